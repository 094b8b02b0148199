using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) and those that differ from it by a detail, read top to bottom. Field names are
// the reference's checkpoint keys.
//
//   ids ── embeddings ── layer 0 ── … ── layer L-1 ── hidden (B, T, D)
//                          │
//                          ├─ x = LayerNorm(x + dropout(Attention(x)))
//                          └─ x = LayerNorm(x + dropout(W₂ gelu(W₁ x)))
//
// RoBERTa and XLM-RoBERTa (Liu et al. 2019, Conneau et al. 2020) count positions from the padding id; ELECTRA (Clark et al. 2020) may have
// narrower embeddings. Each has heads of its own.
// B batch, T tokens, H heads, D width, E width of the embeddings, d = D / H, C classes, V vocabulary.

/// <summary>An encoder of the BERT family: BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, with any head.</summary>
public sealed class Bert : EncoderModel
{
    private readonly BertModel _encoder;
    private readonly Linear? _classifier;
    private readonly RobertaClassificationHead? _classification;
    private readonly BertMaskedLMHead? _bertLM;
    private readonly RobertaMaskedLMHead? _robertaLM;
    private readonly ElectraGenerator? _electraLM;
    private readonly OutputBias? _output;
    private readonly double _classifierDropout;
    private readonly bool _tied;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Bert(ConfigJson json, HeadSettings head, ModelBuilder build) : base(nameof(Bert), json, head, build)
    {
        Shape = BertConfig.Read(json);
        build.Deviation = Shape.InitializerRange;
        _classifierDropout = json.Real("classifier_dropout", Shape.HiddenDropout);
        _tied = json.Flag("tie_word_embeddings", true);
        var (type, own) = (Shape.ModelType, head.Pooling == Pooling.Pooler);
        var family = type is "bert" or "electra" ? type : "roberta";
        BasePrefix = family + ".";
        var pooler = family != "electra" && (head.Head == ModelHead.None || (family == "bert" && head.Head == ModelHead.SequenceClassification && own));
        _encoder = new BertModel(Shape, build, pooler);
        register_module(family, _encoder);
        switch (head.Head)
        {
            case ModelHead.SequenceClassification when family != "bert" && own:
                register_module("classifier", _classification = new RobertaClassificationHead(Shape, head.Labels, build, family == "electra" ? Activation.Of(json, "summary_activation", "gelu") : x => x.tanh()));
                break;
            case ModelHead.SequenceClassification or ModelHead.TokenClassification:
                register_module("classifier", _classifier = new Linear(build, Shape.HiddenSize, head.Labels));
                break;
            case ModelHead.MaskedLM when family == "bert":
                register_module("cls", _bertLM = new BertMaskedLMHead(Shape, _tied, build));
                break;
            case ModelHead.MaskedLM when family == "roberta":
                register_module("lm_head", _robertaLM = new RobertaMaskedLMHead(Shape, _tied, build));
                break;
            case ModelHead.MaskedLM:
                register_module("generator_predictions", _electraLM = new ElectraGenerator(Shape, build));
                register_module("generator_lm_head", _output = new OutputBias(build, Shape.VocabularySize));
                break;
            case ModelHead.None: break;
            default: throw new ArgumentException($"'{json.Source}': a {type} model has no head {head.Head}.");
        }
    }

    /// <summary>A fresh model of a shape.</summary>
    public static Bert Fresh(BertConfig shape, HeadSettings head, DropoutMask dropout)
    {
        var build = new ModelBuilder(dropout);
        var model = new Bert(new ConfigJson("a new model", shape.ToJson("BertModel")), head, build);
        build.Initialise();
        return model;
    }

    /// <summary>The shape.</summary>
    public BertConfig Shape { get; }

    /// <inheritdoc/>
    public override int Width => Shape.HiddenSize;

    /// <inheritdoc/>
    public override int MaximumPositions => Shape.ModelType is "bert" or "electra" ? Shape.MaximumPositions : Shape.MaximumPositions - Shape.PadId - 1;

    /// <inheritdoc/>
    public override string BasePrefix { get; }

    internal override IReadOnlyList<(string Here, string There)> Aliases => _tied ? Head.Head == ModelHead.MaskedLM ? Shape.ModelType switch
    {
        "bert" => [("bert.embeddings.word_embeddings.", "cls.predictions.decoder."), ("cls.predictions.bias", "cls.predictions.decoder.bias")],
        "electra" => [("electra.embeddings.word_embeddings.", "generator_lm_head.")],
        _ => [("roberta.embeddings.word_embeddings.", "lm_head.decoder."), ("lm_head.bias", "lm_head.decoder.bias")],
    } : [] : [];

    private protected override double ClassifierDropout => _classifierDropout;

    private protected override Linear? Output => _classifier ?? _classification?.out_proj;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids, inputs.Prefix);
        return _encoder.forward(inputs);
    }

    private protected override bool CanShorten => true;

    private protected override Tensor EncodeFirst(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids, inputs.Prefix);
        return _encoder.forward(inputs, firstOnly: true);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) =>
        _classification is not null ? _classification.Features(Drop(hidden.select(1, 0), _classifierDropout)) : _encoder.Pool(hidden);

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden) =>
        _bertLM?.forward(hidden, _encoder.WordEmbeddings) ?? _robertaLM?.forward(hidden, _encoder.WordEmbeddings) ?? _output!.forward(_electraLM!.forward(hidden), _encoder.WordEmbeddings);
}

/// <summary>The encoder without a head: token ids to hidden states.</summary>
internal sealed class BertModel : nn.Module
{
    private readonly BertEmbeddings embeddings;
    private readonly Linear? embeddings_project;
    private readonly BertEncoder encoder;
    private readonly BertPooler? pooler;

    public BertModel(BertConfig config, ModelBuilder build, bool withPooler) : base(nameof(BertModel))
    {
        embeddings = new BertEmbeddings(config, build);
        var width = config.EmbeddingSize > 0 ? config.EmbeddingSize : config.HiddenSize;
        embeddings_project = width != config.HiddenSize ? new Linear(build, width, config.HiddenSize) : null;
        encoder = new BertEncoder(config, build);
        pooler = withPooler ? new BertPooler(config, build) : null;
        RegisterComponents();
    }

    public Parameter WordEmbeddings => embeddings.word_embeddings.weight;

    public Tensor forward(EncoderInputs inputs, bool firstOnly = false)
    {
        var x = embeddings.forward(inputs.Ids, inputs.Segments, inputs.Prefix?.Length ?? 0);   // (B, T, E)
        return encoder.forward(embeddings_project is null ? x : embeddings_project.forward(x), inputs, firstOnly);
    }

    public Tensor Pool(Tensor hidden) => pooler!.forward(hidden);
}

internal sealed class BertEmbeddings : nn.Module
{
    public readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings;
    private readonly Embedding? token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly BertConfig _config;
    private readonly DropoutMask _dropout;

    public BertEmbeddings(BertConfig config, ModelBuilder build) : base(nameof(BertEmbeddings))
    {
        (_config, _dropout) = (config, build.Dropout);
        var width = config.EmbeddingSize > 0 ? config.EmbeddingSize : config.HiddenSize;
        word_embeddings = new Embedding(build, config.VocabularySize, width);
        position_embeddings = new Embedding(build, config.MaximumPositions, width);
        token_type_embeddings = config.TokenTypes > 0 ? new Embedding(build, config.TokenTypes, width) : null;
        LayerNorm = new LayerNorm(build, width, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor forward(Tensor ids, Tensor? segments, long past = 0)
    {
        using var scope = NewDisposeScope();
        var x = word_embeddings.forward(ids) + Positions(ids, past);                                 // (B, T, E)
        if (token_type_embeddings is not null) x = x + (segments is null ? token_type_embeddings.weight[0] : token_type_embeddings.forward(segments));
        x = LayerNorm.forward(x);
        return (training ? _dropout.Apply(x, _config.HiddenDropout) : x).MoveToOuterDisposeScope();
    }

    /// <summary>Places after <paramref name="past"/> that an adapter's prefix has taken.</summary>
    private Tensor Positions(Tensor ids, long past)
    {
        if (_config.ModelType is "bert" or "electra") return position_embeddings.weight.narrow(0, past, ids.size(1));   // (T, E)
        return position_embeddings.forward(CountFromPadding(ids, _config.PadId) + past * ids.ne(_config.PadId).to(ScalarType.Int64));
    }

    /// <summary>RoBERTa's positions: tokens count from the padding id + 1, padding stays at the padding id.</summary>
    public static Tensor CountFromPadding(Tensor ids, long padId)
    {
        var real = ids.ne(padId).to(ScalarType.Int64);
        return real.cumsum(1) * real + padId;
    }
}

internal sealed class BertEncoder : nn.Module
{
    private readonly LayerStack _stack;
    private readonly ModuleList<BertLayer> layer;

    public BertEncoder(BertConfig config, ModelBuilder build) : base(nameof(BertEncoder))
    {
        _stack = build.Layers;
        layer = nn.ModuleList(Enumerable.Range(0, config.Layers).Select(i => new BertLayer(config, i, build)).ToArray());
        RegisterComponents();
    }

    /// <summary>(B, T, D) to (B, T, D), or to (B, 1, D): the last layer at the first token alone.</summary>
    public Tensor forward(Tensor x, EncoderInputs inputs, bool firstOnly)
    {
        x = x.to(layer[0].DataType);
        foreach (var l in layer) x = _stack.Next(x, h => l.forward(h, inputs, firstOnly && ReferenceEquals(l, layer[^1])));
        return x;
    }
}

internal sealed class BertLayer : nn.Module
{
    private readonly BertAttention attention;
    private readonly BertIntermediate intermediate;
    private readonly BertOutput output;

    public BertLayer(BertConfig config, int index, ModelBuilder build) : base(nameof(BertLayer))
    {
        attention = new BertAttention(config, index, build);
        intermediate = new BertIntermediate(config, build);
        output = new BertOutput(config.IntermediateSize, config, build);
        RegisterComponents();
    }

    public ScalarType DataType => intermediate.dense.weight.dtype;

    public Tensor forward(Tensor x, EncoderInputs inputs, bool firstOnly)
    {
        x = attention.forward(x, firstOnly ? x.narrow(1, 0, 1) : x, inputs);
        return output.forward(intermediate.forward(x), x);
    }
}

internal sealed class BertAttention : nn.Module
{
    private readonly BertSelfAttention self;
    private readonly BertOutput output;

    public BertAttention(BertConfig config, int index, ModelBuilder build) : base(nameof(BertAttention))
    {
        self = new BertSelfAttention(config, index, build);
        output = new BertOutput(config.HiddenSize, config, build);
        RegisterComponents();
    }

    public Tensor forward(Tensor x, Tensor asking, EncoderInputs inputs) => output.forward(self.forward(x, asking, inputs), asking);
}

internal sealed class BertSelfAttention : nn.Module
{
    private readonly Linear query, key, value;
    private readonly BertConfig _config;
    private readonly int _index;
    private readonly DropoutMask _dropout;

    public BertSelfAttention(BertConfig config, int index, ModelBuilder build) : base(nameof(BertSelfAttention))
    {
        (_config, _index, _dropout) = (config, index, build.Dropout);
        query = new Linear(build, config.HiddenSize, config.HiddenSize);
        key = new Linear(build, config.HiddenSize, config.HiddenSize);
        value = new Linear(build, config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    /// <summary>What the tokens of <paramref name="asking"/> read in those of <paramref name="x"/>.</summary>
    public Tensor forward(Tensor x, Tensor asking, EncoderInputs inputs)
    {
        using var scope = NewDisposeScope();
        var q = Attention.Split(query.forward(asking), _config.Heads);                         // (B, H, T, d)
        var (k, v) = (Attention.Split(key.forward(x), _config.Heads), Attention.Split(value.forward(x), _config.Heads));
        if (inputs.Prefix is not null) (k, v) = inputs.Prefix.Append(_index, k, v);
        return Attention.Attend(q, k, v, inputs.Bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _config.AttentionDropout) : null).MoveToOuterDisposeScope();
    }
}

internal sealed class BertIntermediate : nn.Module
{
    public readonly Linear dense;
    private readonly Func<Tensor, Tensor> _activation;

    public BertIntermediate(BertConfig config, ModelBuilder build) : base(nameof(BertIntermediate))
    {
        _activation = Activation.Named(config.Activation);
        dense = new Linear(build, config.HiddenSize, config.IntermediateSize);
        RegisterComponents();
    }

    public Tensor forward(Tensor x) => _activation(dense.forward(x));                           // (B, T, 4D)
}

internal sealed class BertOutput : nn.Module
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly BertConfig _config;
    private readonly DropoutMask _dropout;

    public BertOutput(int width, BertConfig config, ModelBuilder build) : base(nameof(BertOutput))
    {
        (_config, _dropout) = (config, build.Dropout);
        dense = new Linear(build, width, config.HiddenSize);
        LayerNorm = new LayerNorm(build, config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor forward(Tensor x, Tensor residual) =>
        LayerNorm.forward(_dropout.AddResidual(residual, dense.forward(x), training ? _config.HiddenDropout : 0));
}

internal sealed class BertPooler : nn.Module
{
    private readonly Linear dense;

    public BertPooler(BertConfig config, ModelBuilder build) : base(nameof(BertPooler))
    {
        dense = new Linear(build, config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    public Tensor forward(Tensor hidden) => dense.forward(hidden.select(1, 0)).tanh();          // (B, D)
}
