using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297): BERT's layers, positions counted from the padding id 1 as in RoBERTa, and one
// table of relative-position biases that all layers add to their attention scores.
// B batch, T tokens, H heads, D width, V vocabulary.

/// <summary>MPNet with any encoder head.</summary>
public sealed class Mpnet : EncoderModel
{
    private const int PadId = 1;
    private readonly Body _body;
    private readonly RobertaClassificationHead? _classification;
    private readonly Linear? _classifier;
    private readonly RobertaMaskedLMHead? _lm;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Mpnet(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Mpnet), config, head, build)
    {
        var shape = new BertConfig
        {
            ModelType = "roberta", VocabularySize = config.Int("vocab_size", 30527), HiddenSize = config.Int("hidden_size", 768), Layers = config.Int("num_hidden_layers", 12),
            Heads = config.Int("num_attention_heads", 12), IntermediateSize = config.Int("intermediate_size", 3072), MaximumPositions = config.Int("max_position_embeddings", 512),
            TokenTypes = 0, PadId = PadId, Activation = config.Text("hidden_act", "gelu"), LayerNormEpsilon = config.Real("layer_norm_eps", 1e-12),
            HiddenDropout = config.Real("hidden_dropout_prob", 0.1), AttentionDropout = config.Real("attention_probs_dropout_prob", 0.1),
        };
        config.CheckHeads("hidden_size", shape.HiddenSize, "num_attention_heads", shape.Heads);
        build.Deviation = config.Real("initializer_range", 0.02);
        (Width, MaximumPositions) = (shape.HiddenSize, shape.MaximumPositions - PadId - 1);
        register_module("mpnet", _body = new Body(shape, config.Int("relative_attention_num_buckets", 32), build, withPooler: head.Head == ModelHead.None));
        if (head is { Head: ModelHead.SequenceClassification, Pooling: Pooling.Pooler })
            register_module("classifier", _classification = new RobertaClassificationHead(shape, head.Labels, build, x => x.tanh()));
        else if (head.Classifies) register_module("classifier", _classifier = new Linear(build, Width, head.Labels));
        if (head.Head == ModelHead.MaskedLM) register_module("lm_head", _lm = new RobertaMaskedLMHead(shape, config.Flag("tie_word_embeddings", true), build));
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "mpnet.";

    internal override IReadOnlyList<(string Here, string There)> Aliases =>
        Head.Head == ModelHead.MaskedLM && Config.Flag("tie_word_embeddings", true) ? [("mpnet.embeddings.word_embeddings.", "lm_head.decoder."), ("lm_head.bias", "lm_head.decoder.bias")] : [];

    private protected override double ClassifierDropout => Config.Real("hidden_dropout_prob", 0.1);

    private protected override Linear? Output => _classifier ?? _classification?.out_proj;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return _body.forward(inputs);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) => _classification!.Features(Drop(hidden.select(1, 0), ClassifierDropout));

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden) => _lm!.forward(hidden, _body.WordEmbeddings);

    private sealed class Body : nn.Module
    {
        private readonly BertEmbeddings embeddings;
        private readonly Layers encoder;
        private readonly BertPooler? pooler;

        public Body(BertConfig shape, int buckets, ModelBuilder build, bool withPooler) : base(nameof(Body))
        {
            embeddings = new BertEmbeddings(shape, build);
            encoder = new Layers(shape, buckets, build);
            pooler = withPooler ? new BertPooler(shape, build) : null;
            RegisterComponents();
        }

        public Parameter WordEmbeddings => embeddings.word_embeddings.weight;

        public Tensor forward(EncoderInputs inputs) => encoder.forward(embeddings.forward(inputs.Ids, null), inputs.Bias);
    }

    private sealed class Layers : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly ModuleList<Layer> layer;
        private readonly Embedding relative_attention_bias;
        private readonly int _buckets;

        public Layers(BertConfig shape, int buckets, ModelBuilder build) : base(nameof(Layers))
        {
            _stack = build.Layers;
            _buckets = buckets;
            layer = nn.ModuleList(Enumerable.Range(0, shape.Layers).Select(_ => new Layer(shape, build)).ToArray());
            relative_attention_bias = new Embedding(build, buckets, shape.Heads);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias)
        {
            var positions = relative_attention_bias.forward(RelativeBuckets.Of(x.size(1), x.size(1), bidirectional: true, _buckets, 128)).permute(2, 0, 1).unsqueeze(0);   // (1, H, T, T)
            var sum = bias is null ? positions : positions + bias;
            foreach (var l in layer) x = _stack.Next(x, h => l.forward(h, sum));
            return x;
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly AttentionBlock attention;
        private readonly BertIntermediate intermediate;
        private readonly BertOutput output;

        public Layer(BertConfig shape, ModelBuilder build) : base(nameof(Layer))
        {
            attention = new AttentionBlock(shape, build);
            intermediate = new BertIntermediate(shape, build);
            output = new BertOutput(shape.IntermediateSize, shape, build);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor bias)
        {
            x = attention.forward(x, bias);
            return output.forward(intermediate.forward(x), x);
        }
    }

    private sealed class AttentionBlock : nn.Module
    {
        private readonly Projections attn;
        private readonly LayerNorm LayerNorm;
        private readonly BertConfig _shape;
        private readonly DropoutMask _dropout;

        public AttentionBlock(BertConfig shape, ModelBuilder build) : base(nameof(AttentionBlock))
        {
            (_shape, _dropout) = (shape, build.Dropout);
            attn = new Projections(shape, build);
            LayerNorm = new LayerNorm(build, shape.HiddenSize, shape.LayerNormEpsilon);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor bias)
        {
            var q = Attention.Split(attn.q.forward(x), _shape.Heads);                                           // (B, H, T, d)
            var (k, v) = (Attention.Split(attn.k.forward(x), _shape.Heads), Attention.Split(attn.v.forward(x), _shape.Heads));
            var read = Attention.Attend(q, k, v, bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _shape.AttentionDropout) : null);
            return LayerNorm.forward(_dropout.AddResidual(x, attn.o.forward(read), training ? _shape.HiddenDropout : 0));
        }
    }

    private sealed class Projections : nn.Module
    {
        public readonly Linear q, k, v, o;

        public Projections(BertConfig shape, ModelBuilder build) : base(nameof(Projections))
        {
            q = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            k = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            v = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            o = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            RegisterComponents();
        }
    }
}
