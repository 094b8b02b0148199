using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Decoders;

// Llama (Touvron et al. 2023, https://arxiv.org/abs/2302.13971) and its family, told apart by their configurations: Llama 2 and 3, Mistral,
// Qwen2, Qwen3, SmolLM, SmolLM3, Phi-3.
//
//   x = x + Wo Attention(rope(Wq n), rope(Wk n), Wv n),   n = RMSNorm(x)
//   x = x + Wdown (silu(Wgate n) · Wup n),                n = RMSNorm(x)
//
//              q, k, v bias   o bias        q/k norm   window             rope
//   llama      attention_bias attention_bias            –                  all layers
//   mistral    –              –                         sliding_window     all layers
//   qwen2      yes            –                         by layer_types     all layers
//   qwen3      attention_bias attention_bias per head   by layer_types     all layers
//   smollm3    attention_bias attention_bias            by layer_types     where no_rope_layers says 1
//   phi3       –              –                         sliding_window     all layers; q, k, v and gate, up are fused
//
// B batch, T tokens, H query heads, G key/value heads, d head width (not always D / H), D width, F feed-forward width, V vocabulary.

/// <summary>The shape of a model of the Llama family.</summary>
internal sealed record LlamaShape(int Vocabulary, int Width, int Layers, int Heads, int Groups, int HeadWidth, int Inner, double Epsilon,
    bool InBias, bool OutBias, bool MlpBias, bool HeadNorm, bool Fused, double Dropout)
{
    public static LlamaShape Read(ConfigJson json)
    {
        var type = json.ModelType;
        var width = json.Int("hidden_size", 4096);
        var heads = json.Int("num_attention_heads", 32);
        if (!json.Has("head_dim")) json.CheckHeads("hidden_size", width, "num_attention_heads", heads);
        var groups = json.Int("num_key_value_heads", type == "mistral" ? 8 : heads);
        json.CheckHeads("num_attention_heads", heads, "num_key_value_heads", groups);
        var bias = type switch { "qwen2" => true, "mistral" or "phi3" => false, _ => json.Flag("attention_bias", false) };
        return new LlamaShape(json.Int("vocab_size", 32000), width, json.Int("num_hidden_layers", 32), heads, groups, json.Int("head_dim", width / heads),
            json.Int("intermediate_size", 11008), json.Real("rms_norm_eps", type is "llama" ? 1e-6 : type is "phi3" ? 1e-5 : 1e-6),
            InBias: bias, OutBias: type != "qwen2" && bias, MlpBias: json.Flag("mlp_bias", false), HeadNorm: type == "qwen3", Fused: type == "phi3",
            json.Real("attention_dropout", 0));
    }
}

/// <summary>A model of the Llama family, with the language-model head or a classifier on the last token.</summary>
public sealed class Llama : DecoderModel
{
    private readonly Body model;
    private readonly Linear? score;
    private Linear? lm_head;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Llama(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Llama), config, head, build)
    {
        var shape = LlamaShape.Read(config);
        Width = shape.Width;
        build.Deviation = config.Real("initializer_range", 0.02);
        model = new Body(config, shape, build);
        if (head.Head == ModelHead.CausalLM && !config.Flag("tie_word_embeddings", false)) lm_head = new Linear(build, Width, shape.Vocabulary, hasBias: false);
        if (head.Classifies) score = new Linear(build, Width, head.Labels, hasBias: false);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions => model.Rope.DependsOnLength ? int.MaxValue : Config.Int("max_position_embeddings", 2048);

    /// <inheritdoc/>
    public override string BasePrefix => "model.";

    /// <inheritdoc/>
    public override bool CacheDependsOnLength => model.Rope.DependsOnLength;

    internal override IReadOnlyList<(string Here, string There)> Aliases => Head.Head == ModelHead.CausalLM && lm_head is null ? [("model.embed_tokens.", "lm_head.")] : [];

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs inputs, KeyValueCache? cache = null) => model.forward(inputs, cache);

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden) => (score ?? lm_head)?.forward(hidden) ?? F.linear(hidden, model.embed_tokens.weight);

    internal override void Untie() => lm_head ??= Untied("lm_head", model.embed_tokens.weight);

    internal override DecoderPlan? Plan()
    {
        if (Head.Head != ModelHead.CausalLM || model.Rope.DependsOnLength) return null;
        var head = lm_head is null ? new MatrixPlan(model.embed_tokens.weight, null) : lm_head.Plan;
        return head is null ? null : model.Plan(head, LlamaShape.Read(Config));
    }

    private sealed class Body : nn.Module
    {
        private readonly LayerStack _stack;
        public readonly Embedding embed_tokens;
        private readonly ModuleList<Layer> layers;
        private readonly RmsNorm norm;

        public Body(ConfigJson config, LlamaShape shape, ModelBuilder build) : base(nameof(Body))
        {
            _stack = build.Layers;
            Rope = new Rope(config, shape.HeadWidth);
            embed_tokens = new Embedding(build, shape.Vocabulary, shape.Width, untrainedId: config.Int("pad_token_id", -1));
            layers = nn.ModuleList(Enumerable.Range(0, shape.Layers).Select(i => new Layer(shape, i, Window(config, i), Turns(config, i), build)).ToArray());
            norm = new RmsNorm(build, shape.Width, shape.Epsilon);
            RegisterComponents();
        }

        public Rope Rope { get; }

        public DecoderPlan? Plan(MatrixPlan head, LlamaShape shape)
        {
            var plans = layers.Select(l => l.Plan()).ToArray();
            return plans.Contains(null) ? null : new DecoderPlan(embed_tokens.weight, null, Rope, plans!, norm.Plan, head, shape.Heads, shape.Groups, shape.HeadWidth, shape.Inner, true, "silu");
        }

        public Tensor forward(DecoderInputs inputs, KeyValueCache? cache)
        {
            var x = embed_tokens.forward(inputs.Ids);                                                           // (B, T, D)
            var rope = Rope.At(inputs.Positions, x.dtype);
            foreach (var layer in layers) x = _stack.Next(x, h => layer.forward(h, inputs, rope, cache));
            return norm.forward(x);
        }

        /// <summary>How many tokens a layer looks back on; 0 is all.</summary>
        private static int Window(ConfigJson config, int index)
        {
            var window = config.Int("sliding_window", 0);
            if (config.Texts("layer_types") is { } types) return types[index] == "sliding_attention" ? window : 0;
            return config.ModelType switch
            {
                "mistral" or "phi3" => window,
                "qwen2" or "qwen3" => config.Flag("use_sliding_window", false) && index >= config.Int("max_window_layers", 28) ? window : 0,
                "smollm3" => config.Flag("use_sliding_window", false) && !Turns(config, index) ? window : 0,
                _ => 0,
            };
        }

        /// <summary>Whether a layer has rotary positions; SmolLM3 leaves every fourth without.</summary>
        private static bool Turns(ConfigJson config, int index)
        {
            if (config.ModelType != "smollm3") return true;
            return config.Reals("no_rope_layers") is { } given ? given[index] != 0 : (index + 1) % config.Int("no_rope_layer_interval", 4) != 0;
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly RmsNorm input_layernorm, post_attention_layernorm;
        private readonly nn.Module self_attn;
        private readonly nn.Module mlp;
        private readonly Func<Tensor, DecoderInputs, (Tensor, Tensor), KeyValueCache?, Tensor> _attend;
        private readonly Func<Tensor, Tensor> _feed;
        private readonly Func<LayerPlan?> _plan;

        public Layer(LlamaShape shape, int index, int window, bool turns, ModelBuilder build) : base(nameof(Layer))
        {
            input_layernorm = new RmsNorm(build, shape.Width, shape.Epsilon);
            var attention = new SelfAttention(shape, index, window, turns, build);
            (self_attn, _attend) = (attention, attention.forward);
            post_attention_layernorm = new RmsNorm(build, shape.Width, shape.Epsilon);
            if (shape.Fused)
            {
                var fused = new FusedFeedForward(shape, build);
                (mlp, _feed, _plan) = (fused, fused.forward, () => attention.Plan(input_layernorm.Plan, post_attention_layernorm.Plan, fused.Plan));
            }
            else
            {
                var gated = new GatedFeedForward(build, shape.Width, shape.Inner, shape.MlpBias, Activation.Named("silu"));
                (mlp, _feed, _plan) = (gated, gated.forward, () => attention.Plan(input_layernorm.Plan, post_attention_layernorm.Plan, gated.Plan));
            }
            RegisterComponents();
        }

        public LayerPlan? Plan() => _plan();

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor, Tensor) rope, KeyValueCache? cache)
        {
            x = x + _attend(input_layernorm.forward(x), inputs, rope, cache);
            return x + _feed(post_attention_layernorm.forward(x));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear? q_proj, k_proj, v_proj, qkv_proj;
        private readonly Linear o_proj;
        private readonly RmsNorm? q_norm, k_norm;
        private readonly LlamaShape _shape;
        private readonly int _index, _window;
        private readonly bool _turns;
        private readonly DropoutMask _dropout;

        public SelfAttention(LlamaShape shape, int index, int window, bool turns, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_shape, _index, _window, _turns, _dropout) = (shape, index, window, turns, build.Dropout);
            var (queries, pairs) = (shape.Heads * shape.HeadWidth, shape.Groups * shape.HeadWidth);
            if (shape.Fused) qkv_proj = new Linear(build, shape.Width, queries + 2 * pairs, shape.InBias);
            else
            {
                q_proj = new Linear(build, shape.Width, queries, shape.InBias);
                k_proj = new Linear(build, shape.Width, pairs, shape.InBias);
                v_proj = new Linear(build, shape.Width, pairs, shape.InBias);
            }
            o_proj = new Linear(build, queries, shape.Width, shape.OutBias);
            if (shape.HeadNorm) (q_norm, k_norm) = (new RmsNorm(build, shape.HeadWidth, shape.Epsilon), new RmsNorm(build, shape.HeadWidth, shape.Epsilon));
            RegisterComponents();
        }

        /// <summary>The layer around this attention, or <c>null</c> where an adapter is in it.</summary>
        public LayerPlan? Plan(NormPlan before, NormPlan between, IReadOnlyList<MatrixPlan?> feed)
        {
            MatrixPlan?[] into = qkv_proj is null ? [q_proj!.Plan, k_proj!.Plan, v_proj!.Plan] : [qkv_proj.Plan];
            return into.Contains(null) || feed.Contains(null) || o_proj.Plan is not { } back ? null
                : new LayerPlan(before, into!, q_norm?.Plan, k_norm?.Plan, back, between, [.. feed.SkipLast(1)!], feed[^1]!, _window, _turns, 1 / Math.Sqrt(_shape.HeadWidth));
        }

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor Cos, Tensor Sin) rope, KeyValueCache? cache)
        {
            var (q, k, v) = Project(x);                                                                         // (B, H, T, d), (B, G, T, d) twice
            if (q_norm is not null) (q, k) = (q_norm.forward(q), k_norm!.forward(k));
            if (_turns) (q, k) = (Rope.Rotate(q, rope), Rope.Rotate(k, rope));
            if (cache is not null) (k, v) = cache.Append(_index, k, v);
            return o_proj.forward(Attention.Attend(q, k, v, inputs.Bias(_window), 1 / Math.Sqrt(_shape.HeadWidth), training ? w => _dropout.Apply(w, _shape.Dropout) : null));
        }

        private (Tensor, Tensor, Tensor) Project(Tensor x)
        {
            if (qkv_proj is null)
                return (Attention.Split(q_proj!.forward(x), _shape.Heads), Attention.Split(k_proj!.forward(x), _shape.Groups), Attention.Split(v_proj!.forward(x), _shape.Groups));
            var (queries, pairs) = (_shape.Heads * _shape.HeadWidth, _shape.Groups * _shape.HeadWidth);
            var parts = qkv_proj.forward(x).split([queries, pairs, pairs], -1);
            return (Attention.Split(parts[0].contiguous(), _shape.Heads), Attention.Split(parts[1].contiguous(), _shape.Groups), Attention.Split(parts[2].contiguous(), _shape.Groups));
        }
    }

    private sealed class FusedFeedForward : nn.Module
    {
        private readonly Linear gate_up_proj, down_proj;

        public FusedFeedForward(LlamaShape shape, ModelBuilder build) : base(nameof(FusedFeedForward))
        {
            gate_up_proj = new Linear(build, shape.Width, 2 * shape.Inner, shape.MlpBias);
            down_proj = new Linear(build, shape.Inner, shape.Width, shape.MlpBias);
            RegisterComponents();
        }

        public MatrixPlan?[] Plan => [gate_up_proj.Plan, down_proj.Plan];

        public Tensor forward(Tensor x)
        {
            var parts = gate_up_proj.forward(x).chunk(2, -1);                                                   // (B, T, F) each
            return down_proj.forward(F.silu(parts[0]) * parts[1]);
        }
    }
}
