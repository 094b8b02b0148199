namespace NotebookKit.Metrics;

/// <summary>What the counts of a confusion matrix are divided by.</summary>
public enum Normalization
{
    /// <summary>Counts as they are.</summary>
    None,
    /// <summary>Every row (truth) sums to 1.</summary>
    Truth,
    /// <summary>Every column (prediction) sums to 1.</summary>
    Prediction,
    /// <summary>All entries sum to 1.</summary>
    All,
}

/// <summary>
/// Counts of truth against prediction for C classes: rows are truth. Counts add up, so parts can be counted apart and merged.
/// All metrics of classification are computed from it. Not thread-safe.
/// </summary>
public sealed class ConfusionMatrix
{
    private readonly double[,] _counts;

    /// <summary>An empty matrix for classes 0 to C - 1.</summary>
    public ConfusionMatrix(int classes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 1);
        Classes = classes;
        _counts = new double[classes, classes];
    }

    /// <summary>Number of classes C.</summary>
    public int Classes { get; }

    /// <summary>Sum of all counts.</summary>
    public double Total { get; private set; }

    /// <summary>Count of a truth answered by a prediction.</summary>
    public double this[int truth, int predicted] => _counts[truth, predicted];

    /// <summary>Counts pairs of class ids.</summary>
    /// <exception cref="ArgumentException">The lists differ in length, or an id is outside [0, C).</exception>
    public static ConfusionMatrix Of(IReadOnlyList<int> truth, IReadOnlyList<int> predicted, int classes, IReadOnlyList<double>? weights = null)
    {
        if (truth.Count != predicted.Count) throw new ArgumentException($"As many predictions as truths are needed; got {predicted.Count} for {truth.Count}.", nameof(predicted));
        if (weights is not null && weights.Count != truth.Count) throw new ArgumentException($"As many weights as truths are needed; got {weights.Count} for {truth.Count}.", nameof(weights));
        var matrix = new ConfusionMatrix(classes);
        for (var i = 0; i < truth.Count; i++) matrix.Add(truth[i], predicted[i], weights?[i] ?? 1);
        return matrix;
    }

    /// <summary>Counts one answer.</summary>
    public void Add(int truth, int predicted, double weight = 1)
    {
        if (truth < 0 || truth >= Classes) throw new ArgumentException($"Class ids are in [0, {Classes}); got {truth} as truth.", nameof(truth));
        if (predicted < 0 || predicted >= Classes) throw new ArgumentException($"Class ids are in [0, {Classes}); got {predicted} as prediction.", nameof(predicted));
        _counts[truth, predicted] += weight;
        Total += weight;
    }

    /// <summary>Adds the counts of another part.</summary>
    public void Merge(ConfusionMatrix other)
    {
        if (other.Classes != Classes) throw new ArgumentException($"Only matrices of the same classes can be merged; got {other.Classes} and {Classes}.", nameof(other));
        for (var t = 0; t < Classes; t++)
            for (var p = 0; p < Classes; p++) _counts[t, p] += other._counts[t, p];
        Total += other.Total;
    }

    /// <summary>Sum of a row: how often a class is the truth.</summary>
    public double TruthCount(int @class)
    {
        var sum = 0.0;
        for (var p = 0; p < Classes; p++) sum += _counts[@class, p];
        return sum;
    }

    /// <summary>Sum of a column: how often a class is predicted.</summary>
    public double PredictedCount(int @class)
    {
        var sum = 0.0;
        for (var t = 0; t < Classes; t++) sum += _counts[t, @class];
        return sum;
    }

    /// <summary>The matrix divided as asked; a division by zero gives 0, as scikit-learn does.</summary>
    public double[,] Normalized(Normalization normalization)
    {
        var result = new double[Classes, Classes];
        for (var t = 0; t < Classes; t++)
            for (var p = 0; p < Classes; p++)
            {
                var divisor = normalization switch
                {
                    Normalization.Truth => TruthCount(t), Normalization.Prediction => PredictedCount(p), Normalization.All => Total, _ => 1,
                };
                result[t, p] = divisor == 0 ? 0 : _counts[t, p] / divisor;
            }
        return result;
    }
}
