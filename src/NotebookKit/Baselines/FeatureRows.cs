using System.Numerics.Tensors;

namespace NotebookKit.Baselines;

/// <summary>Rows of features, dense or sparse, as a linear model needs them.</summary>
public abstract class FeatureRows
{
    /// <summary>Number of rows N.</summary>
    public abstract int Count { get; }

    /// <summary>Number of features F.</summary>
    public abstract int Width { get; }

    /// <summary>Adds row · W to <paramref name="scores"/>; <paramref name="weights"/> is (F, C) row-major.</summary>
    internal abstract void AddScores(int row, ReadOnlySpan<double> weights, Span<double> scores);

    /// <summary>Adds rowᵀ · <paramref name="errors"/> to <paramref name="gradient"/>, (F, C) row-major.</summary>
    internal abstract void AddOuter(int row, ReadOnlySpan<double> errors, Span<double> gradient);

    /// <summary>Dense rows, such as an encoder's features; all of one width.</summary>
    public static FeatureRows Dense(IReadOnlyList<float[]> rows) => new DenseRows(rows);

    private sealed class DenseRows(IReadOnlyList<float[]> rows) : FeatureRows
    {
        public override int Count => rows.Count;
        public override int Width { get; } = rows.Count > 0 && rows.All(r => r.Length == rows[0].Length)
            ? rows[0].Length : throw new ArgumentException("Dense features need at least one row, and all rows of one width.", nameof(rows));

        internal override void AddScores(int row, ReadOnlySpan<double> weights, Span<double> scores)
        {
            var (x, classes) = (rows[row], scores.Length);
            for (var f = 0; f < x.Length; f++) TensorPrimitives.MultiplyAdd(weights.Slice(f * classes, classes), x[f], scores, scores);
        }

        internal override void AddOuter(int row, ReadOnlySpan<double> errors, Span<double> gradient)
        {
            var (x, classes) = (rows[row], errors.Length);
            for (var f = 0; f < x.Length; f++)
            {
                var target = gradient.Slice(f * classes, classes);
                TensorPrimitives.MultiplyAdd(errors, x[f], target, target);
            }
        }
    }
}

/// <summary>Sparse rows in compressed form.</summary>
/// <param name="starts">Where each row starts; N + 1 entries.</param>
/// <param name="columns">Feature of each value.</param>
/// <param name="values">Values, none zero.</param>
/// <param name="width">Number of features F.</param>
public sealed class SparseRows(int[] starts, int[] columns, double[] values, int width) : FeatureRows
{
    /// <inheritdoc/>
    public override int Count => starts.Length - 1;

    /// <inheritdoc/>
    public override int Width => width;

    /// <summary>The features and values of a row.</summary>
    public IEnumerable<(int Feature, double Value)> Row(int row)
    {
        for (var i = starts[row]; i < starts[row + 1]; i++) yield return (columns[i], values[i]);
    }

    internal override void AddScores(int row, ReadOnlySpan<double> weights, Span<double> scores)
    {
        var classes = scores.Length;
        for (var i = starts[row]; i < starts[row + 1]; i++)
            TensorPrimitives.MultiplyAdd(weights.Slice(columns[i] * classes, classes), values[i], scores, scores);
    }

    internal override void AddOuter(int row, ReadOnlySpan<double> errors, Span<double> gradient)
    {
        var classes = errors.Length;
        for (var i = starts[row]; i < starts[row + 1]; i++)
        {
            var target = gradient.Slice(columns[i] * classes, classes);
            TensorPrimitives.MultiplyAdd(errors, values[i], target, target);
        }
    }
}
