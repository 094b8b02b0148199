using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Decoders;

// GPT-NeoX (Black et al. 2022, https://arxiv.org/abs/2204.06745), the architecture of Pythia: rope on a quarter of each head, one fused
// projection whose rows go head by head (q, k, v), and both blocks reading the same x when they stand in parallel.
//
//   parallel: x = x + Attention(norm₁(x)) + Mlp(norm₂(x))
//
// B batch, T tokens, H heads, d head width, D width, V vocabulary.

/// <summary>GPT-NeoX with the language-model head or a classifier on the last token.</summary>
public sealed class GptNeoX : DecoderModel
{
    private readonly Body gpt_neox;
    private readonly Linear? score;
    private Linear? lm_head;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public GptNeoX(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(GptNeoX), config, head, build)
    {
        Width = config.Int("hidden_size", 6144);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("hidden_size", Width, "num_attention_heads", config.Int("num_attention_heads", 64));
        gpt_neox = new Body(config, Width, build);
        if (head.Head == ModelHead.CausalLM && !config.Flag("tie_word_embeddings", false)) lm_head = new Linear(build, Width, config.Int("vocab_size", 50432), hasBias: false);
        if (head.Classifies) score = new Linear(build, Width, head.Labels, hasBias: false);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions => Config.Int("max_position_embeddings", 2048);

    /// <inheritdoc/>
    public override string BasePrefix => "gpt_neox.";

    internal override IReadOnlyList<(string Here, string There)> Aliases => lm_head is not null ? [("lm_head.", "embed_out.")] : [];

    internal override void Untie() => lm_head ??= Untied("lm_head", gpt_neox.embed_in.weight);

    /// <inheritdoc/>
    public override string FileKey(string name) => name == "lm_head.weight" ? "embed_out.weight" : name;

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs inputs, KeyValueCache? cache = null) => gpt_neox.forward(inputs, cache);

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden) => (score ?? lm_head)?.forward(hidden) ?? F.linear(hidden, gpt_neox.embed_in.weight);

    private sealed class Body : nn.Module
    {
        private readonly LayerStack _stack;
        public readonly Embedding embed_in;
        private readonly ModuleList<Layer> layers;
        private readonly LayerNorm final_layer_norm;
        private readonly Rope _rope;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Body(ConfigJson config, int width, ModelBuilder build) : base(nameof(Body))
        {
            _stack = build.Layers;
            (_dropout, _p) = (build.Dropout, config.Real("hidden_dropout", 0));
            _rope = new Rope(config, width / config.Int("num_attention_heads", 64), theta: config.Real("rotary_emb_base", 10000));
            embed_in = new Embedding(build, config.Int("vocab_size", 50432), width);
            layers = nn.ModuleList(Enumerable.Range(0, config.Int("num_hidden_layers", 44)).Select(i => new Layer(config, width, i, build)).ToArray());
            final_layer_norm = new LayerNorm(build, width, config.Real("layer_norm_eps", 1e-5));
            RegisterComponents();
        }

        public Tensor forward(DecoderInputs inputs, KeyValueCache? cache)
        {
            var x = embed_in.forward(inputs.Ids);                                                               // (B, T, D)
            if (training) x = _dropout.Apply(x, _p);
            var rope = _rope.At(inputs.Positions, x.dtype);
            foreach (var layer in layers) x = _stack.Next(x, h => layer.forward(h, inputs, rope, cache));
            return final_layer_norm.forward(x);
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly LayerNorm input_layernorm, post_attention_layernorm;
        private readonly SelfAttention attention;
        private readonly FeedForward mlp;
        private readonly bool _parallel;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Layer(ConfigJson config, int width, int index, ModelBuilder build) : base(nameof(Layer))
        {
            (_parallel, _dropout, _p) = (config.Flag("use_parallel_residual", true), build.Dropout, config.Real("hidden_dropout", 0));
            input_layernorm = new LayerNorm(build, width, config.Real("layer_norm_eps", 1e-5));
            post_attention_layernorm = new LayerNorm(build, width, config.Real("layer_norm_eps", 1e-5));
            attention = new SelfAttention(config, width, index, build);
            mlp = new FeedForward(config, width, build);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor Cos, Tensor Sin) rope, KeyValueCache? cache)
        {
            var read = _dropout.AddResidual(x, attention.forward(input_layernorm.forward(x), inputs, rope, cache), training ? _p : 0);
            return _dropout.AddResidual(read, mlp.forward(post_attention_layernorm.forward(_parallel ? x : read)), training ? _p : 0);
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear query_key_value, dense;
        private readonly int _heads, _index;
        private readonly double _p;
        private readonly DropoutMask _dropout;

        public SelfAttention(ConfigJson config, int width, int index, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_heads, _index, _p, _dropout) = (config.Int("num_attention_heads", 64), index, config.Real("attention_dropout", 0), build.Dropout);
            var bias = config.Flag("attention_bias", true);
            query_key_value = new Linear(build, width, 3 * width, bias);
            dense = new Linear(build, width, width, bias);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor Cos, Tensor Sin) rope, KeyValueCache? cache)
        {
            var parts = Attention.Split(query_key_value.forward(x), _heads).chunk(3, -1);                       // (B, H, T, 3d) → (B, H, T, d) each
            var (q, k, v) = (Rope.Rotate(parts[0], rope), Rope.Rotate(parts[1], rope), parts[2]);
            if (cache is not null) (k, v) = cache.Append(_index, k, v);
            return dense.forward(Attention.Attend(q, k, v, inputs.Bias(), 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _p) : null));
        }
    }

    private sealed class FeedForward : nn.Module
    {
        private readonly Linear dense_h_to_4h, dense_4h_to_h;
        private readonly Func<Tensor, Tensor> _activation;

        public FeedForward(ConfigJson config, int width, ModelBuilder build) : base(nameof(FeedForward))
        {
            _activation = Activation.Of(config, "hidden_act", "gelu");
            dense_h_to_4h = new Linear(build, width, config.Int("intermediate_size", 24576));
            dense_4h_to_h = new Linear(build, config.Int("intermediate_size", 24576), width);
            RegisterComponents();
        }

        public Tensor forward(Tensor x) => dense_4h_to_h.forward(_activation(dense_h_to_4h.forward(x)));
    }
}
