using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>What keeps a run from forgetting what its model knew: a term beside the loss, of the weights or of the logits. The loss that a run reports is that of the data alone. One instance serves one run at a time.</summary>
public abstract class Retention : IDisposable
{
    private protected Retention()
    {
    }

    /// <summary>Whether <see cref="OfLogits"/> has a term.</summary>
    internal virtual bool ReadsLogits => false;

    /// <summary>A run begins: the classifier is as it was before.</summary>
    internal virtual void Begin(TextClassifier classifier, TextDataset train)
    {
    }

    /// <summary>Sum over a part's rows of the term of their logits (N, C) in fp32.</summary>
    /// <param name="logits">The logits.</param>
    /// <param name="rows">Which examples of the training data they are of.</param>
    internal virtual Tensor OfLogits(Tensor logits, IReadOnlyList<int> rows) => throw new NotSupportedException();

    /// <summary>Adds the gradient of the term of the weights to the weights' gradients.</summary>
    internal virtual void AddGradients(LanguageModel model)
    {
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }
}
