using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// ModernBERT (Warner et al. 2024, https://arxiv.org/abs/2412.13663): rotary positions, norms before the blocks, gated feed-forward, and
// attention within a local window in all but every third layer.
//
//   x = x + Wo Attention(attn_norm(x))          (layer 0 has no attn_norm: the embeddings' norm stands in)
//   x = x + Wo (gelu(a) · b),  a, b = Wi mlp_norm(x)
//
// B batch, T tokens, H heads, D width, F width of the feed-forward layer, V vocabulary.

/// <summary>ModernBERT with any encoder head.</summary>
public sealed class ModernBert : EncoderModel
{
    private readonly Body model;
    private readonly PredictionHead? head;
    private readonly Linear? classifier;
    private readonly Decoder? decoder;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public ModernBert(ConfigJson config, HeadSettings settings, ModelBuilder build) : base(nameof(ModernBert), config, settings, build)
    {
        Width = config.Int("hidden_size", 768);
        MaximumPositions = config.Int("max_position_embeddings", 8192);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("hidden_size", Width, "num_attention_heads", config.Int("num_attention_heads", 12));
        model = new Body(config, Width, build);
        if (settings.Head != ModelHead.None) head = new PredictionHead(config, Width, build);
        if (settings.Classifies) classifier = new Linear(build, Width, settings.Labels);
        if (settings.Head == ModelHead.MaskedLM) decoder = new Decoder(config, Width, build);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "model.";

    internal override IReadOnlyList<(string Here, string There)> Aliases =>
        Head.Head == ModelHead.MaskedLM && Config.Flag("tie_word_embeddings", true) ? [("model.embeddings.tok_embeddings.", "decoder.")] : [];

    private protected override double ClassifierDropout => Config.Real("classifier_dropout", 0);

    private protected override Linear? Output => classifier;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return model.forward(inputs);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) =>
        head!.forward(Config.Text("classifier_pooling", "cls") == "mean" ? Mean(hidden, inputs.Mask) : hidden.select(1, 0));   // (B, D)

    private protected override Tensor TokenFeatures(Tensor hidden) => head!.forward(hidden);

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden) => decoder!.forward(head!.forward(hidden), model.WordEmbeddings);   // (…, V)

    private sealed class Body : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly Embeddings embeddings;
        private readonly ModuleList<Layer> layers;
        private readonly LayerNorm final_norm;
        private readonly Rope _global, _local;
        private readonly int _window;

        public Body(ConfigJson config, int width, ModelBuilder build) : base(nameof(Body))
        {
            _stack = build.Layers;
            var headWidth = width / config.Int("num_attention_heads", 12);
            _global = new Rope(config, headWidth, "full_attention", config.Real("global_rope_theta", 160000));
            _local = new Rope(config, headWidth, "sliding_attention", config.Real("local_rope_theta", 10000));
            _window = config.Int("local_attention", 128) / 2;
            embeddings = new Embeddings(config, width, build);
            var types = config.Texts("layer_types");
            var every = config.Int("global_attn_every_n_layers", 3);
            layers = nn.ModuleList(Enumerable.Range(0, config.Int("num_hidden_layers", 22))
                .Select(i => new Layer(config, width, i, types is null ? i % every != 0 : types[i] == "sliding_attention", build)).ToArray());
            final_norm = new LayerNorm(build, width, config.Real("norm_eps", 1e-5), config.Flag("norm_bias", false));
            RegisterComponents();
        }

        public Parameter WordEmbeddings => embeddings.tok_embeddings.weight;

        public Tensor forward(EncoderInputs inputs)
        {
            var x = embeddings.forward(inputs.Ids);                                                             // (B, T, D)
            var positions = arange(x.size(1), dtype: ScalarType.Int64).unsqueeze(0);
            var (global, local) = (_global.At(positions, x.dtype), _local.At(positions, x.dtype));
            var near = Near(inputs, x.dtype);
            foreach (var layer in layers) x = _stack.Next(x, h => layer.forward(h, layer.IsLocal ? near : inputs.Bias, layer.IsLocal ? local : global));
            return final_norm.forward(x);
        }

        /// <summary>Attention bias of the local layers, (B or 1, 1, T, T): nothing further than the window.</summary>
        private Tensor Near(EncoderInputs inputs, ScalarType type)
        {
            var places = arange(inputs.Ids.size(1), dtype: ScalarType.Int64);
            var far = (places.unsqueeze(1) - places.unsqueeze(0)).abs() > _window;                               // (T, T)
            var bias = zeros(far.shape, dtype: type).masked_fill(far, Attention.Masked(type)).unsqueeze(0).unsqueeze(0);
            return inputs.Bias is null ? bias : bias + inputs.Bias;
        }
    }

    private sealed class Embeddings : nn.Module
    {
        public readonly Embedding tok_embeddings;
        private readonly LayerNorm norm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Embeddings(ConfigJson config, int width, ModelBuilder build) : base(nameof(Embeddings))
        {
            (_dropout, _p) = (build.Dropout, config.Real("embedding_dropout", 0));
            tok_embeddings = new Embedding(build, config.Int("vocab_size", 50368), width);
            norm = new LayerNorm(build, width, config.Real("norm_eps", 1e-5), config.Flag("norm_bias", false));
            RegisterComponents();
        }

        public Tensor forward(Tensor ids)
        {
            var x = norm.forward(tok_embeddings.forward(ids));
            return training ? _dropout.Apply(x, _p) : x;
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly LayerNorm? attn_norm;
        private readonly LayerNorm mlp_norm;
        private readonly SelfAttention attn;
        private readonly FeedForward mlp;

        public Layer(ConfigJson config, int width, int index, bool isLocal, ModelBuilder build) : base(nameof(Layer))
        {
            IsLocal = isLocal;
            var (epsilon, bias) = (config.Real("norm_eps", 1e-5), config.Flag("norm_bias", false));
            attn_norm = index == 0 ? null : new LayerNorm(build, width, epsilon, bias);
            attn = new SelfAttention(config, width, build);
            mlp_norm = new LayerNorm(build, width, epsilon, bias);
            mlp = new FeedForward(config, width, build);
            RegisterComponents();
        }

        public bool IsLocal { get; }

        public Tensor forward(Tensor x, Tensor? bias, (Tensor Cos, Tensor Sin) rope)
        {
            x = x + attn.forward(attn_norm is null ? x : attn_norm.forward(x), bias, rope);
            return x + mlp.forward(mlp_norm.forward(x));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear Wqkv, Wo;
        private readonly int _heads;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public SelfAttention(ConfigJson config, int width, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_heads, _dropout, _p) = (config.Int("num_attention_heads", 12), build.Dropout, config.Real("attention_dropout", 0));
            var bias = config.Flag("attention_bias", false);
            Wqkv = new Linear(build, width, 3 * width, bias);
            Wo = new Linear(build, width, width, bias);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, (Tensor Cos, Tensor Sin) rope)
        {
            var parts = Wqkv.forward(x).chunk(3, -1);
            var q = Rope.Rotate(Attention.Split(parts[0], _heads), rope);                                       // (B, H, T, d)
            var k = Rope.Rotate(Attention.Split(parts[1], _heads), rope);
            var v = Attention.Split(parts[2], _heads);
            var read = Wo.forward(Attention.Attend(q, k, v, bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _p) : null));
            return training ? _dropout.Apply(read, _p) : read;
        }
    }

    private sealed class FeedForward : nn.Module
    {
        private readonly Linear Wi, Wo;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public FeedForward(ConfigJson config, int width, ModelBuilder build) : base(nameof(FeedForward))
        {
            (_activation, _dropout, _p) = (Activation.Of(config, "hidden_activation", "gelu"), build.Dropout, config.Real("mlp_dropout", 0));
            var (inner, bias) = (config.Int("intermediate_size", 1152), config.Flag("mlp_bias", false));
            Wi = new Linear(build, width, 2 * inner, bias);
            Wo = new Linear(build, inner, width, bias);
            RegisterComponents();
        }

        public Tensor forward(Tensor x)
        {
            var parts = Wi.forward(x).chunk(2, -1);                                                             // (B, T, F) each
            var gated = _activation(parts[0]) * parts[1];
            return Wo.forward(training ? _dropout.Apply(gated, _p) : gated);
        }
    }

    private sealed class PredictionHead : nn.Module
    {
        private readonly Linear dense;
        private readonly LayerNorm norm;
        private readonly Func<Tensor, Tensor> _activation;

        public PredictionHead(ConfigJson config, int width, ModelBuilder build) : base(nameof(PredictionHead))
        {
            _activation = Activation.Of(config, "classifier_activation", "gelu");
            dense = new Linear(build, width, width, config.Flag("classifier_bias", false));
            norm = new LayerNorm(build, width, config.Real("norm_eps", 1e-5), config.Flag("norm_bias", false));
            RegisterComponents();
        }

        public Tensor forward(Tensor x) => norm.forward(_activation(dense.forward(x)));
    }

    private sealed class Decoder : nn.Module
    {
        private readonly Parameter? weight, bias;

        public Decoder(ConfigJson config, int width, ModelBuilder build) : base(nameof(Decoder))
        {
            var vocabulary = config.Int("vocab_size", 50368);
            weight = config.Flag("tie_word_embeddings", true) ? null : build.Parameter(Fresh.Normal, vocabulary, width);
            bias = config.Flag("decoder_bias", true) ? build.Parameter(Fresh.Zeros, vocabulary) : null;
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor table) => F.linear(x, (weight ?? table).to(x.dtype), bias?.to(x.dtype));
    }
}
