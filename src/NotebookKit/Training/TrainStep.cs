using NotebookKit.Optimizers;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Training;

/// <summary>One training step: model → loss → backward → optimiser. Tensors live only inside <see cref="Run"/>. Not thread-safe.</summary>
public sealed class TrainStep : IDisposable
{
    private readonly TextClassifier _classifier;
    private readonly Optimizer _optimizer;

    /// <summary>A step over all parameters of a classifier that ask for gradients.</summary>
    public TrainStep(TextClassifier classifier, OptimizerSettings settings)
    {
        _classifier = classifier;
        _optimizer = new Optimizer(classifier.Model.named_parameters(), settings);
    }

    /// <summary>Takes one step and returns the batch's mean cross-entropy before it, in nats.</summary>
    /// <param name="batch">A batch with labels.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <exception cref="ArgumentException">The batch has no labels, or one out of range.</exception>
    /// <exception cref="InvalidOperationException">Loss or gradient is not finite; no weight has been changed.</exception>
    public double Run(Batch batch, double learningRate)
    {
        var labels = batch.Labels ?? throw new ArgumentException("A training batch needs labels.", nameof(batch));
        var classes = _classifier.Labels.Count;
        var wrong = Array.FindIndex(labels, l => l < 0 || l >= classes);
        if (wrong >= 0) throw new ArgumentException($"Labels must be in [0, {classes}); found {labels[wrong]} in row {wrong} of the batch.", nameof(batch));

        using var scope = NewDisposeScope();
        using var inputs = new EncoderInputs(batch);
        var logits = _classifier.Model.forward(inputs);   // (B, C)
        var loss = F.cross_entropy(logits, tensor(labels));
        var value = loss.ToDouble();
        if (!double.IsFinite(value)) throw new InvalidOperationException($"The loss is {value} at step {_optimizer.Steps + 1}. Lower the learning rate, or look at the batch.");
        loss.backward();
        _optimizer.Step(learningRate);
        return value;
    }

    /// <inheritdoc/>
    public void Dispose() => _optimizer.Dispose();
}
