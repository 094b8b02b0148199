using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Optimizers;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>One training step of a decoder on packed documents: next-token cross-entropy, the mean over all places that have a target. Tensors live only inside <see cref="Run"/>. Not thread-safe.</summary>
/// <param name="model">A causal language model.</param>
/// <param name="settings">The optimiser.</param>
/// <param name="rateScale">Factor on the learning rate by parameter name; <c>null</c> is 1 for all.</param>
public sealed class CausalStep(DecoderModel model, OptimizerSettings settings, Func<string, double>? rateScale = null) : IDisposable
{
    /// <summary>The optimiser.</summary>
    public Optimizer Optimizer { get; } = new(model.named_parameters(), settings, rateScale);

    /// <summary>Takes one step.</summary>
    /// <param name="parts">A batch, in one piece or in parts whose gradients add up to the same.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <returns>Mean loss before the step, in nats a token.</returns>
    /// <exception cref="InvalidOperationException">Nothing has a target, or loss or gradient is not finite; no weight has been changed.</exception>
    public double Run(IReadOnlyList<PackedBatch> parts, double learningRate)
    {
        var loss = Backward(parts);
        Optimizer.Step(learningRate);
        return loss;
    }

    /// <summary>Adds up gradients and takes no step.</summary>
    internal double Backward(IReadOnlyList<PackedBatch> parts)
    {
        var count = parts.Sum(p => p.TargetCount);
        if (count == 0) throw new InvalidOperationException("No place of this batch has a target: there is nothing to learn.");
        var total = 0.0;
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            Tensor Of(long[] values) => tensor(values, [part.Rows, part.Length], dtype: ScalarType.Int64);
            using var inputs = new DecoderInputs(Of(part.Ids), positions: Of(part.Positions), attentionType: model.DataType, documents: Of(part.Documents));
            var logits = model.Logits(model.Decode(inputs)).to(ScalarType.Float32);                    // (B, T, V)
            var loss = nn.functional.cross_entropy(logits.view(-1, logits.size(2)), Of(part.Targets).view(-1), ignore_index: PackedBatch.NoTarget, reduction: nn.Reduction.Sum) / count;
            total += model.Backward(loss, Optimizer.Steps + 1);
        }
        return total;
    }

    /// <inheritdoc/>
    public void Dispose() => Optimizer.Dispose();
}
