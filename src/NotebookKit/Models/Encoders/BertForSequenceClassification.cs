using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Encoders;

/// <summary>BERT with a linear classification head over the pooler's output, or over the mean of the hidden states.</summary>
public sealed class BertForSequenceClassification : nn.Module<Tensor, Tensor?, Tensor, Tensor>
{
    private readonly BertModel bert;
    private readonly Linear classifier;
    private readonly DropoutMask _dropout;

    /// <summary>A fresh model.</summary>
    /// <param name="config">The shape; <see cref="BertConfig.ClassifierPooling"/> says what the head reads.</param>
    /// <param name="labels">Number of classes C.</param>
    /// <param name="dropout">Source of dropout masks.</param>
    public BertForSequenceClassification(BertConfig config, int labels, DropoutMask dropout) : base(nameof(BertForSequenceClassification))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(labels, 2);
        _dropout = dropout;
        bert = new BertModel(config, dropout, withPooler: config.ClassifierPooling == Pooling.Pooler);
        classifier = Init.Linear(config.HiddenSize, labels, config.InitializerRange);
        RegisterComponents();
    }

    /// <summary>The encoder.</summary>
    public BertModel Encoder => bert;

    /// <summary>Weight (C, D) and bias (C) of the head.</summary>
    public Linear Head => classifier;

    /// <summary>Source of dropout masks.</summary>
    public DropoutMask Dropout => _dropout;

    /// <summary>Logits (B, C) in fp32.</summary>
    /// <param name="ids">(B, T) int64.</param>
    /// <param name="bias">(B, 1, 1, T) or <c>null</c>, as <see cref="BertModel.forward"/> takes it.</param>
    /// <param name="mask">(B, T, 1), 1 at tokens, 0 at padding.</param>
    public override Tensor forward(Tensor ids, Tensor? bias, Tensor mask) => Classify(bert.forward(ids, bias), mask);

    /// <summary>Logits (B, C) of hidden states (B, T, D).</summary>
    public Tensor Classify(Tensor hidden, Tensor mask)
    {
        var features = Pooled(hidden, mask);
        return classifier.forward(training ? _dropout.Apply(features, bert.Config.HiddenDropout) : features);
    }

    /// <summary>What the head reads: (B, D) in fp32.</summary>
    public Tensor Features(Tensor ids, Tensor? bias, Tensor mask) => Pooled(bert.forward(ids, bias), mask);

    private Tensor Pooled(Tensor hidden, Tensor mask) => bert.Pool(hidden.to(ScalarType.Float32), mask, bert.Config.ClassifierPooling);
}
