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
    private readonly int _seed;
    private readonly Retention? _retention;

    /// <summary>A step over all parameters of a classifier that ask for gradients.</summary>
    /// <param name="classifier">What is trained.</param>
    /// <param name="settings">The optimiser.</param>
    /// <param name="objective">What is minimised; by default cross-entropy.</param>
    /// <param name="classCounts">Examples of each class in the training part, where the objective weighs classes.</param>
    /// <param name="rateScale">Factor on the learning rate by parameter name; <c>null</c> is 1 for all.</param>
    /// <param name="seed">Seed of what the objective draws.</param>
    /// <param name="retention">What keeps the model from forgetting, or <c>null</c>.</param>
    public TrainStep(TextClassifier classifier, OptimizerSettings settings, ClassificationObjective? objective = null, IReadOnlyList<int>? classCounts = null, Func<string, double>? rateScale = null, int seed = 0, Retention? retention = null)
    {
        (_classifier, _objective, _seed, _retention) = (classifier, objective ?? new(), seed, retention);
        _objective.Validate();
        if (_objective.MixupAlpha > 0 && retention?.ReadsLogits == true) throw new ArgumentException($"{retention} compares answers for examples as they are, and mixup has none: set Objective.MixupAlpha to 0.", nameof(retention));
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
        var loss = Backward(parts);
        _retention?.AddGradients(_classifier.Model);
        GradientNorm = Optimizer.Step(learningRate);
        return loss;
    }

    /// <summary>Norm of the last step's gradient before clipping.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>Adds up gradients and takes no step. Gradients that are there already stay in the sum.</summary>
    /// <param name="parts">The batch.</param>
    /// <param name="regularized">Whether mixup and token cutoff take part.</param>
    /// <returns>The batch's mean loss, in nats.</returns>
    internal double Backward(IReadOnlyList<Batch> parts, bool regularized = true)
    {
        foreach (var part in parts) Check(part);
        var rows = parts.Sum(p => p.Rows);
        var weight = _weights is null ? rows : parts.Sum(p => p.Labels!.Sum(l => _weights[l]));
        var random = new Random(unchecked(_seed * 1_000_003 + Optimizer.Steps));       // the same draws at the same step, however the run came there
        var total = 0.0;
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            using var inputs = Inputs(part, regularized ? random : null);
            var (loss, kept) = regularized && _objective.MixupAlpha > 0 ? (Mixed(part, inputs, rows, weight, random), null) : Plain(part, inputs, rows, weight, regularized);
            total += _classifier.Model.Backward(kept is null ? loss : loss + kept, Optimizer.Steps + 1) - (kept?.ToDouble() ?? 0);
        }
        return total;
    }

    /// <inheritdoc/>
    public void Dispose() => Optimizer.Dispose();

    /// <summary>The loss of the data, and the term of what is to be kept where there is one.</summary>
    private (Tensor Loss, Tensor? Kept) Plain(Batch part, EncoderInputs inputs, int rows, double weight, bool regularized)
    {
        var logits = new List<Tensor>();
        for (var pass = 0; pass < (_objective.RDropAlpha > 0 ? 2 : 1); pass++) logits.Add(_classifier.Model.forward(inputs).to(ScalarType.Float32));   // (B, C)
        var loss = _objective.Of(logits, tensor(part.Labels!), Weights(), rows, weight);
        if (!regularized || _retention is not { ReadsLogits: true }) return (loss, null);
        return (loss, _retention.OfLogits(logits[0], part.Examples ?? throw new ArgumentException($"{_retention} needs to know which examples a batch holds: make it with Batch.Of.")) / rows);
    }

    /// <summary>Features of each example mixed with those of another of its part, and the losses of both labels in the same shares.</summary>
    private Tensor Mixed(Batch part, EncoderInputs inputs, int rows, double weight, Random random)
    {
        var partner = Enumerable.Range(0, part.Rows).ToArray();
        random.Shuffle(partner);
        var share = Beta(_objective.MixupAlpha, random);
        var index = tensor(Array.ConvertAll(partner, p => (long)p));
        var logits = _classifier.Model.forward(inputs, f => f * share + f.index_select(0, index) * (1 - share)).to(ScalarType.Float32);
        Tensor Loss(IEnumerable<long> labels) => _objective.Of([logits], tensor(labels.ToArray()), Weights(), rows, weight);
        return Loss(part.Labels!) * share + Loss(partner.Select(p => part.Labels![p])) * (1 - share);
    }

    private Tensor? Weights() => _weights is null ? null : tensor(_weights, dtype: ScalarType.Float32);

    /// <summary>A part's tensors; with token cutoff some tokens are hidden as padding is.</summary>
    private EncoderInputs Inputs(Batch part, Random? random)
    {
        if (random is null || _objective.TokenCutoff == 0) return new EncoderInputs(part, _classifier.Model.DataType);
        var mask = new float[part.Rows * part.Length];
        for (var row = 0; row < part.Rows; row++)
            for (var t = 0; t < part.RowLengths[row]; t++)
                if (t == 0 || random.NextDouble() >= _objective.TokenCutoff) mask[row * part.Length + t] = 1;
        return new EncoderInputs(tensor(part.Ids, [part.Rows, part.Length], dtype: ScalarType.Int64), tensor(mask, [part.Rows, part.Length]), attentionType: _classifier.Model.DataType);
    }

    /// <summary>A draw from Beta(α, α) by Jöhnk's way for α up to 1 (Jöhnk 1964), else by two gamma variates (Marsaglia &amp; Tsang 2000).</summary>
    internal static double Beta(double alpha, Random random)
    {
        if (alpha <= 1)
            while (true)
            {
                var (x, y) = (Math.Pow(random.NextDouble(), 1 / alpha), Math.Pow(random.NextDouble(), 1 / alpha));
                if (x + y is > 0 and <= 1) return x / (x + y);
            }
        var first = Gamma();
        return first / (first + Gamma());

        double Gamma()
        {
            var d = alpha - 1.0 / 3;
            while (true)
            {
                var normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                var v = Math.Pow(1 + normal / Math.Sqrt(9 * d), 3);
                if (v > 0 && Math.Log(1 - random.NextDouble()) < normal * normal / 2 + d - d * v + d * Math.Log(v)) return d * v;
            }
        }
    }

    private void Check(Batch batch)
    {
        var labels = batch.Labels ?? throw new ArgumentException("A training batch needs labels.", nameof(batch));
        var classes = _classifier.Labels.Count;
        var wrong = Array.FindIndex(labels, l => l < 0 || l >= classes);
        if (wrong >= 0) throw new ArgumentException($"Labels must be in [0, {classes}); found {labels[wrong]} in row {wrong} of the batch.", nameof(batch));
    }
}
