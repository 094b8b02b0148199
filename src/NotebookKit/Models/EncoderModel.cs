using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models;

/// <summary>A network that reads a sequence in both directions. B batch, T tokens, D width, C classes, V vocabulary.</summary>
public abstract class EncoderModel : LanguageModel
{
    private protected EncoderModel(string name, ConfigJson config, HeadSettings head, ModelBuilder build) : base(name, config, head, build)
    {
    }

    /// <summary>The last layer of a classification head.</summary>
    /// <exception cref="InvalidOperationException">The model has another head.</exception>
    public Linear Classifier => Output ?? throw new InvalidOperationException($"This model has the head {Head.Head}, which has no classes.");

    /// <summary>Dropout before the classifier.</summary>
    private protected abstract double ClassifierDropout { get; }

    private protected abstract Linear? Output { get; }

    internal Linear? LastLayer => Output;

    /// <summary>Hidden states of the last layer, (B, T, D).</summary>
    public abstract Tensor Encode(EncoderInputs inputs);

    /// <summary>What a sequence classifier reads, (B, D), made from hidden states in the architecture's own way.</summary>
    private protected abstract Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs);

    /// <summary>What a token classifier reads, (B, T, D).</summary>
    private protected virtual Tensor TokenFeatures(Tensor hidden) => hidden;

    /// <summary>Logits over the vocabulary for hidden states (…, D).</summary>
    public abstract Tensor VocabularyLogits(Tensor hidden);

    /// <summary>Whether a classifier that reads the first token alone has the last layer computed for that token alone. The result is the same, for about five sixths of the layer's work less.
    /// Default <c>true</c>.</summary>
    public bool ShortensLastLayer { get; set; } = true;

    /// <summary>Whether this model's last layer is computed for the first token alone.</summary>
    internal bool HasShortLastLayer => ShortensLastLayer && CanShorten && Head is { Head: ModelHead.SequenceClassification, Pooling: Pooling.Pooler };

    private protected virtual bool CanShorten => false;

    /// <summary>Hidden states of the last layer at the first token, (B, 1, D), where the architecture <see cref="CanShorten"/>.</summary>
    private protected virtual Tensor EncodeFirst(EncoderInputs inputs) => Encode(inputs);

    /// <summary>What comes out of the head: hidden states (B, T, D), class logits (B, C) or (B, T, C), or vocabulary logits (B, T, V).</summary>
    public Tensor forward(EncoderInputs inputs) => After(inputs, all => Predict(Read(all), all));

    private Tensor Read(EncoderInputs inputs) => HasShortLastLayer ? EncodeFirst(inputs) : Encode(inputs);

    /// <summary>Class logits (B, C) whose features are mixed on the way: <paramref name="mix"/> takes and gives (B, D).</summary>
    internal Tensor forward(EncoderInputs inputs, Func<Tensor, Tensor> mix) => After(inputs, all => Classifier.forward(Drop(mix(Features(Read(all), all)), ClassifierDropout)));

    /// <summary>What the sequence classifier reads, (B, D).</summary>
    internal Tensor Features(EncoderInputs inputs) => After(inputs, all => Features(Read(all), all));

    /// <summary>Computes with the places that an adapter puts in front.</summary>
    private Tensor After(EncoderInputs inputs, Func<EncoderInputs, Tensor> compute)
    {
        if (AdapterTokens == 0) return compute(inputs);
        var all = inputs.After(Adapter!);
        var result = compute(all);
        if (!RecomputesLayers) all.Dispose();                                // else the backward pass reads them once more; they go with the caller's scope
        return result;
    }

    /// <summary>The head alone, on hidden states (B, T, D).</summary>
    public Tensor Predict(Tensor hidden, EncoderInputs inputs) => Head.Head switch
    {
        ModelHead.None => hidden,
        ModelHead.SequenceClassification => Classifier.forward(Drop(Features(hidden, inputs), ClassifierDropout)),
        ModelHead.TokenClassification => Classifier.forward(Drop(TokenFeatures(hidden), ClassifierDropout)),
        _ => VocabularyLogits(hidden),
    };

    /// <summary>What the sequence classifier reads, (B, D) in the classifier's type.</summary>
    public Tensor Features(Tensor hidden, EncoderInputs inputs)
    {
        hidden = hidden.to(Classifier.weight.dtype);
        return Head.Pooling == Pooling.Mean ? Mean(hidden, inputs.Mask) : PoolForClassifier(hidden, inputs);
    }

    /// <summary>Mean over the tokens that are not padding: (B, T, D) and mask (B, T, 1) to (B, D).</summary>
    public static Tensor Mean(Tensor hidden, Tensor mask) => (hidden * mask.to(hidden.dtype)).sum(1) / mask.to(hidden.dtype).sum(1).clamp_min(1e-9);

    /// <summary>One unit-length vector per sequence, (B, D) in fp32: the mean over its tokens, as sentence encoders are trained.</summary>
    public Tensor Embed(EncoderInputs inputs)
    {
        var pooled = After(inputs, all => Mean(Encode(all).to(ScalarType.Float32), all.Mask));
        return pooled / pooled.norm(1, keepdim: true).clamp_min(1e-12);
    }

    /// <summary>Refuses a batch longer than the positions there are.</summary>
    private protected void CheckLength(Tensor ids, KeyValueCache? prefix = null)
    {
        if (ids.size(1) + (prefix?.Length ?? 0) is var length && length > MaximumPositions)
            throw new ArgumentException($"The model takes at most {MaximumPositions} tokens; got {length}{(AdapterTokens == 0 ? "" : $", {AdapterTokens} of them the adapter's")}. Encode with a maximumLength.");
    }
}
