using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// ALBERT (Lan et al. 2020, https://arxiv.org/abs/1909.11942): narrow embeddings, and layers that share their weights in groups.
// B batch, T tokens, E width of the embeddings, D width, V vocabulary.

/// <summary>ALBERT with any encoder head.</summary>
public sealed class Albert : EncoderModel
{
    private readonly Body albert;
    private readonly Linear? classifier;
    private readonly MaskedLMHead? predictions;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Albert(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Albert), config, head, build)
    {
        Width = config.Int("hidden_size", 4096);
        MaximumPositions = config.Int("max_position_embeddings", 512);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("hidden_size", Width, "num_attention_heads", config.Int("num_attention_heads", 64));
        albert = new Body(config, Width, build, withPooler: head.Head == ModelHead.None || head is { Head: ModelHead.SequenceClassification, Pooling: Pooling.Pooler });
        if (head.Classifies) classifier = new Linear(build, Width, head.Labels);
        if (head.Head == ModelHead.MaskedLM) predictions = new MaskedLMHead(config, Width, build);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "albert.";

    internal override IReadOnlyList<(string Here, string There)> Aliases =>
        Head.Head == ModelHead.MaskedLM ? [("albert.embeddings.word_embeddings.", "predictions.decoder."), ("predictions.bias", "predictions.decoder.bias")] : [];

    private protected override double ClassifierDropout => Config.Real("classifier_dropout_prob", 0.1);

    private protected override Linear? Output => classifier;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return albert.forward(inputs);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) => albert.pooler!.forward(hidden.select(1, 0)).tanh();   // (B, D)

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden) => predictions!.forward(hidden, albert.WordEmbeddings);

    private sealed class Body : nn.Module
    {
        private readonly BertEmbeddings embeddings;
        private readonly Layers encoder;
        public readonly Linear? pooler;

        public Body(ConfigJson config, int width, ModelBuilder build, bool withPooler) : base(nameof(Body))
        {
            embeddings = new BertEmbeddings(new BertConfig
            {
                VocabularySize = config.Int("vocab_size", 30000), HiddenSize = config.Int("embedding_size", 128), MaximumPositions = config.Int("max_position_embeddings", 512),
                TokenTypes = config.Int("type_vocab_size", 2), LayerNormEpsilon = config.Real("layer_norm_eps", 1e-12), HiddenDropout = config.Real("hidden_dropout_prob", 0),
            }, build);
            encoder = new Layers(config, width, build);
            pooler = withPooler ? new Linear(build, width, width) : null;
            RegisterComponents();
        }

        public Parameter WordEmbeddings => embeddings.word_embeddings.weight;

        public Tensor forward(EncoderInputs inputs) => encoder.forward(embeddings.forward(inputs.Ids, inputs.Segments), inputs.Bias);
    }

    private sealed class Layers : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly Linear embedding_hidden_mapping_in;
        private readonly ModuleList<Group> albert_layer_groups;
        private readonly int _layers;

        public Layers(ConfigJson config, int width, ModelBuilder build) : base(nameof(Layers))
        {
            _stack = build.Layers;
            _layers = config.Int("num_hidden_layers", 12);
            embedding_hidden_mapping_in = new Linear(build, config.Int("embedding_size", 128), width);
            albert_layer_groups = nn.ModuleList(Enumerable.Range(0, config.Int("num_hidden_groups", 1)).Select(_ => new Group(config, width, build)).ToArray());
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias)
        {
            x = embedding_hidden_mapping_in.forward(x);                                                        // (B, T, D)
            for (var i = 0; i < _layers; i++)
            {
                var group = albert_layer_groups[(int)(i / ((double)_layers / albert_layer_groups.Count))];
                x = _stack.Next(x, h => group.forward(h, bias));
            }
            return x;
        }
    }

    private sealed class Group : nn.Module
    {
        private readonly ModuleList<Layer> albert_layers;

        public Group(ConfigJson config, int width, ModelBuilder build) : base(nameof(Group))
        {
            albert_layers = nn.ModuleList(Enumerable.Range(0, config.Int("inner_group_num", 1)).Select(_ => new Layer(config, width, build)).ToArray());
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias)
        {
            foreach (var layer in albert_layers) x = layer.forward(x, bias);
            return x;
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly SelfAttention attention;
        private readonly LayerNorm full_layer_layer_norm;
        private readonly Linear ffn, ffn_output;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Layer(ConfigJson config, int width, ModelBuilder build) : base(nameof(Layer))
        {
            (_activation, _dropout, _p) = (Activation.Of(config, "hidden_act", "gelu_new"), build.Dropout, config.Real("hidden_dropout_prob", 0));
            attention = new SelfAttention(config, width, build);
            full_layer_layer_norm = new LayerNorm(build, width, config.Real("layer_norm_eps", 1e-12));
            ffn = new Linear(build, width, config.Int("intermediate_size", 16384));
            ffn_output = new Linear(build, config.Int("intermediate_size", 16384), width);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias)
        {
            x = attention.forward(x, bias);
            return full_layer_layer_norm.forward(_dropout.AddResidual(x, ffn_output.forward(_activation(ffn.forward(x))), training ? _p : 0));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear query, key, value, dense;
        private readonly LayerNorm LayerNorm;
        private readonly int _heads;
        private readonly DropoutMask _dropout;
        private readonly double _attention, _hidden;

        public SelfAttention(ConfigJson config, int width, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_heads, _dropout) = (config.Int("num_attention_heads", 64), build.Dropout);
            (_attention, _hidden) = (config.Real("attention_probs_dropout_prob", 0), config.Real("hidden_dropout_prob", 0));
            query = new Linear(build, width, width);
            key = new Linear(build, width, width);
            value = new Linear(build, width, width);
            dense = new Linear(build, width, width);
            LayerNorm = new LayerNorm(build, width, config.Real("layer_norm_eps", 1e-12));
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias)
        {
            var q = Attention.Split(query.forward(x), _heads);                                                  // (B, H, T, d)
            var (k, v) = (Attention.Split(key.forward(x), _heads), Attention.Split(value.forward(x), _heads));
            var read = Attention.Attend(q, k, v, bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _attention) : null);
            return LayerNorm.forward(_dropout.AddResidual(x, dense.forward(read), training ? _hidden : 0));
        }
    }

    private sealed class MaskedLMHead : nn.Module
    {
        private readonly LayerNorm LayerNorm;
        private readonly Parameter bias;
        private readonly Linear dense;
        private readonly Func<Tensor, Tensor> _activation;

        public MaskedLMHead(ConfigJson config, int width, ModelBuilder build) : base(nameof(MaskedLMHead))
        {
            var narrow = config.Int("embedding_size", 128);
            _activation = Activation.Of(config, "hidden_act", "gelu_new");
            LayerNorm = new LayerNorm(build, narrow, config.Real("layer_norm_eps", 1e-12));
            bias = build.Parameter(Fresh.Zeros, config.Int("vocab_size", 30000));
            dense = new Linear(build, width, narrow);
            RegisterComponents();
        }

        public Tensor forward(Tensor hidden, Tensor table)
        {
            var x = LayerNorm.forward(_activation(dense.forward(hidden)));
            return F.linear(x, table.to(x.dtype), bias.to(x.dtype));                                            // (…, V)
        }
    }
}
