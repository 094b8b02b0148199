using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Decoders;

// Gemma 3, text (Gemma Team 2025, https://arxiv.org/abs/2503.19786): embeddings scaled by √D, (1 + w) norms before and after both blocks,
// norms on queries and keys, and layers that see a window, with a rope of their own, between those that see everything.
//
//   x = x + norm(Wo Attention(…norm(x)…));   x = x + norm(Wdown (gelu(Wgate n) · Wup n)),  n = norm(x)
//
// B batch, T tokens, H query heads, G key/value heads, d head width, D width, V vocabulary.

/// <summary>Gemma 3 with the language-model head or a classifier on the last token.</summary>
public sealed class Gemma3 : DecoderModel
{
    private readonly Body model;
    private readonly Linear? score;
    private Linear? lm_head;
    private readonly double _softCap;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Gemma3(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Gemma3), config, head, build)
    {
        Width = config.Int("hidden_size", 2304);
        MaximumPositions = config.Int("max_position_embeddings", 131072);
        _softCap = config.Real("final_logit_softcapping", 0);
        build.Deviation = config.Real("initializer_range", 0.02);
        if (config.Flag("use_bidirectional_attention", false)) throw config.Wrong("use_bidirectional_attention", "false");
        model = new Body(config, Width, build);
        if (head.Head == ModelHead.CausalLM && !config.Flag("tie_word_embeddings", true)) lm_head = new Linear(build, Width, config.Int("vocab_size", 262208), hasBias: false);
        if (head.Classifies) score = new Linear(build, Width, head.Labels, hasBias: false);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "model.";

    internal override IReadOnlyList<(string Here, string There)> Aliases => Head.Head == ModelHead.CausalLM && lm_head is null ? [("model.embed_tokens.", "lm_head.")] : [];

    internal override void Untie() => lm_head ??= Untied("lm_head", model.embed_tokens.weight);

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs inputs, KeyValueCache? cache = null) => model.forward(inputs, cache);

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden)
    {
        if (score is not null) return score.forward(hidden);
        var logits = lm_head?.forward(hidden) ?? F.linear(hidden, model.embed_tokens.weight);
        return _softCap > 0 ? (logits / _softCap).tanh() * _softCap : logits;
    }

    private sealed class Body : nn.Module
    {
        private readonly LayerStack _stack;
        public readonly Embedding embed_tokens;
        private readonly ModuleList<Layer> layers;
        private readonly RmsNorm norm;
        private readonly Rope _global, _local;
        private readonly double _scale;

        public Body(ConfigJson config, int width, ModelBuilder build) : base(nameof(Body))
        {
            _stack = build.Layers;
            _scale = Math.Sqrt(width);
            var headWidth = config.Int("head_dim", 256);
            _global = new Rope(config, headWidth, "full_attention", config.Real("rope_theta", 1e6));
            _local = new Rope(config, headWidth, "sliding_attention", config.Real("rope_local_base_freq", 1e4), scaled: false);
            embed_tokens = new Embedding(build, config.Int("vocab_size", 262208), width, untrainedId: config.Int("pad_token_id", -1));
            var types = config.Texts("layer_types");
            var pattern = config.Int(["sliding_window_pattern", "_sliding_window_pattern"], 6);
            layers = nn.ModuleList(Enumerable.Range(0, config.Int("num_hidden_layers", 26))
                .Select(i => new Layer(config, width, i, types is null ? (i + 1) % pattern != 0 : types[i] == "sliding_attention", build)).ToArray());
            norm = new RmsNorm(build, width, config.Real("rms_norm_eps", 1e-6), plusOne: true);
            RegisterComponents();
        }

        public Tensor forward(DecoderInputs inputs, KeyValueCache? cache)
        {
            var x = embed_tokens.forward(inputs.Ids);
            using var scale = tensor((float)_scale).to(x.dtype);                                                // rounded to the weights' type, as the reference does
            x = x * scale;                                                                                      // (B, T, D)
            var (global, local) = (_global.At(inputs.Positions, x.dtype), _local.At(inputs.Positions, x.dtype));
            foreach (var layer in layers) x = _stack.Next(x, h => layer.forward(h, inputs, layer.IsLocal ? local : global, cache));
            return norm.forward(x);
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
        private readonly SelfAttention self_attn;
        private readonly GatedFeedForward mlp;

        public Layer(ConfigJson config, int width, int index, bool isLocal, ModelBuilder build) : base(nameof(Layer))
        {
            IsLocal = isLocal;
            RmsNorm Norm() => new(build, width, config.Real("rms_norm_eps", 1e-6), plusOne: true);
            self_attn = new SelfAttention(config, width, index, isLocal, build);
            mlp = new GatedFeedForward(build, width, config.Int("intermediate_size", 9216), bias: false, Activation.Of(config, "hidden_activation", "gelu_pytorch_tanh"));
            (input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm) = (Norm(), Norm(), Norm(), Norm());
            RegisterComponents();
        }

        public bool IsLocal { get; }

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor Cos, Tensor Sin) rope, KeyValueCache? cache)
        {
            x = x + post_attention_layernorm.forward(self_attn.forward(input_layernorm.forward(x), inputs, rope, cache));
            return x + post_feedforward_layernorm.forward(mlp.forward(pre_feedforward_layernorm.forward(x)));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear q_proj, k_proj, v_proj, o_proj;
        private readonly RmsNorm q_norm, k_norm;
        private readonly int _heads, _groups, _index, _window;
        private readonly double _scale, _softCap, _p;
        private readonly DropoutMask _dropout;

        public SelfAttention(ConfigJson config, int width, int index, bool isLocal, ModelBuilder build) : base(nameof(SelfAttention))
        {
            var headWidth = config.Int("head_dim", 256);
            (_heads, _groups, _index, _dropout) = (config.Int("num_attention_heads", 8), config.Int("num_key_value_heads", 4), index, build.Dropout);
            config.CheckHeads("num_attention_heads", _heads, "num_key_value_heads", _groups);
            _window = isLocal ? config.Int("sliding_window", 4096) : 0;
            (_scale, _softCap, _p) = (1 / Math.Sqrt(config.Real("query_pre_attn_scalar", 256)), config.Real("attn_logit_softcapping", 0), config.Real("attention_dropout", 0));
            var bias = config.Flag("attention_bias", false);
            q_proj = new Linear(build, width, _heads * headWidth, bias);
            k_proj = new Linear(build, width, _groups * headWidth, bias);
            v_proj = new Linear(build, width, _groups * headWidth, bias);
            o_proj = new Linear(build, _heads * headWidth, width, bias);
            q_norm = new RmsNorm(build, headWidth, config.Real("rms_norm_eps", 1e-6), plusOne: true);
            k_norm = new RmsNorm(build, headWidth, config.Real("rms_norm_eps", 1e-6), plusOne: true);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, DecoderInputs inputs, (Tensor Cos, Tensor Sin) rope, KeyValueCache? cache)
        {
            var q = Rope.Rotate(q_norm.forward(Attention.Split(q_proj.forward(x), _heads)), rope);              // (B, H, T, d)
            var k = Rope.Rotate(k_norm.forward(Attention.Split(k_proj.forward(x), _groups)), rope);             // (B, G, T, d)
            var v = Attention.Split(v_proj.forward(x), _groups);
            if (cache is not null) (k, v) = cache.Append(_index, k, v);
            return o_proj.forward(Attention.Attend(q, k, v, inputs.Bias(_window), _scale, training ? w => _dropout.Apply(w, _p) : null, _softCap));
        }
    }
}
