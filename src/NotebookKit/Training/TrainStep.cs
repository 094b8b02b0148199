using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>One training step: model → loss → backward → optimiser. Tensors live only inside <see cref="Run(Batch, double)"/>. Not thread-safe.</summary>
public sealed class TrainStep : IDisposable
{
    private readonly TextClassifier _classifier;
    private readonly ClassificationObjective _objective;
    private readonly double[]? _weights;

    /// <summary>A step over all parameters of a classifier that ask for gradients.</summary>
    /// <param name="classifier">What is trained.</param>
    /// <param name="settings">The optimiser.</param>
    /// <param name="objective">What is minimised; by default cross-entropy.</param>
    /// <param name="classCounts">Examples of each class in the training part, where the objective weighs classes.</param>
    /// <param name="rateScale">Factor on the learning rate by parameter name; <c>null</c> is 1 for all.</param>
    public TrainStep(TextClassifier classifier, OptimizerSettings settings, ClassificationObjective? objective = null, IReadOnlyList<int>? classCounts = null, Func<string, double>? rateScale = null)
    {
        (_classifier, _objective) = (classifier, objective ?? new());
        _objective.Validate();
        if (_objective.Weighting != ClassWeighting.None && classCounts is null) throw new ArgumentException("An objective that weighs classes needs their counts.", nameof(classCounts));
        _weights = classCounts is null ? null : _objective.Weights(classCounts);
        Optimizer = new Optimizer(classifier.Model.named_parameters(), settings, rateScale);
    }

    /// <summary>The optimiser.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>Takes one step and returns the batch's mean loss before it, in nats.</summary>
    /// <param name="batch">A batch with labels.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <exception cref="ArgumentException">The batch has no labels, or one out of range.</exception>
    /// <exception cref="InvalidOperationException">Loss or gradient is not finite; no weight has been changed.</exception>
    public double Run(Batch batch, double learningRate) => Run([batch], learningRate);

    /// <summary>The same for a batch that comes in parts, one after the other: gradients add up to those of the batch in one piece.</summary>
    public double Run(IReadOnlyList<Batch> parts, double learningRate)
    {
        foreach (var part in parts) Check(part);
        var rows = parts.Sum(p => p.Rows);
        var weight = _weights is null ? rows : parts.Sum(p => p.Labels!.Sum(l => _weights[l]));
        var total = 0.0;
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            using var inputs = new EncoderInputs(part, _classifier.Model.DataType);
            var logits = new List<Tensor>();
            for (var pass = 0; pass < (_objective.RDropAlpha > 0 ? 2 : 1); pass++) logits.Add(_classifier.Model.forward(inputs).to(ScalarType.Float32));   // (B, C)
            var loss = _objective.Of(logits, tensor(part.Labels!), _weights is null ? null : tensor(_weights, dtype: ScalarType.Float32), rows, weight);
            var value = loss.ToDouble();
            if (!double.IsFinite(value))
            {
                foreach (var parameter in _classifier.Model.parameters()) parameter.grad = null;
                throw new InvalidOperationException($"The loss is {value} at step {Optimizer.Steps + 1}. Lower the learning rate, or look at the batch.");
            }
            total += value;
            loss.backward();
        }
        Optimizer.Step(learningRate);
        return total;
    }

    /// <inheritdoc/>
    public void Dispose() => Optimizer.Dispose();

    private void Check(Batch batch)
    {
        var labels = batch.Labels ?? throw new ArgumentException("A training batch needs labels.", nameof(batch));
        var classes = _classifier.Labels.Count;
        var wrong = Array.FindIndex(labels, l => l < 0 || l >= classes);
        if (wrong >= 0) throw new ArgumentException($"Labels must be in [0, {classes}); found {labels[wrong]} in row {wrong} of the batch.", nameof(batch));
    }
}
