using System.Numerics;

namespace NotebookKit.Optimizers;

/// <summary>
/// Adafactor (Shazeer &amp; Stern 2018, https://arxiv.org/abs/1804.04235) as transformers has it: second moments of a matrix as a row and a column, so that state is next to nothing. Decay
/// takes a share rate · decay of the weight. The learning rate given to a step is ignored where <see cref="IsRelative"/>.
/// </summary>
public sealed record AdafactorSettings : OptimizerSettings
{
    /// <summary>Added to squared gradients. Default 1e-30.</summary>
    public double SquareEpsilon { get; init; } = 1e-30;

    /// <summary>Least size of a parameter that <see cref="ScalesWithParameter"/> counts with. Default 1e-3.</summary>
    public double ScaleEpsilon { get; init; } = 1e-3;

    /// <summary>Largest root mean square of an update. Default 1.</summary>
    public double ClipThreshold { get; init; } = 1;

    /// <summary>β₂ at step t is 1 − t to this power. Default −0.8.</summary>
    public double DecayPower { get; init; } = -0.8;

    /// <summary>Decay rate of a first moment, in [0, 1); <c>null</c> keeps none. Default <c>null</c>.</summary>
    public double? Beta1 { get; init; }

    /// <summary>Whether steps grow with the size of the parameter. Default <c>true</c>.</summary>
    public bool ScalesWithParameter { get; init; } = true;

    /// <summary>Whether the rate is min(0.01, 1/√t), not the one given. Default <c>false</c>.</summary>
    public bool IsRelative { get; init; }

    /// <summary>Whether a relative rate begins at 1e-6 · t. Default <c>false</c>.</summary>
    public bool WarmsUp { get; init; }

    internal override bool NeedsWhole => true;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) =>
        [.. Factored.StateOf(shape), .. Beta1 is null ? Array.Empty<StateArray>() : [new("first_moment")]];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        if (IsRelative) rate = Math.Min(WarmsUp ? 1e-6 * step : 1e-2, 1 / Math.Sqrt(step));
        if (ScalesWithParameter) rate *= Math.Max(ScaleEpsilon, Factored.RootMeanSquare(block.Weights, block.Count));
        Factored.Average(block, Math.Pow(step, DecayPower), SquareEpsilon);
        Factored.Divide(block, 0, (value, _) => value);
        var shrink = rate / Math.Max(1, Factored.RootMeanSquare(block.Gradients, block.Count) / ClipThreshold);
        var (size, keep) = (T.CreateTruncating(shrink), T.CreateTruncating(1 - (block.Decays ? WeightDecay : 0) * rate));
        var m = Beta1 is null ? null : block.State(Factored.Arrays(block.Shape));
        var (beta1, rest1) = (T.CreateTruncating(Beta1 ?? 0), T.CreateTruncating(1 - (Beta1 ?? 0)));
        for (var i = 0; i < block.Count; i++)
        {
            var update = block.Gradients[i] * size;
            if (m is not null) update = m[i] = beta1 * m[i] + rest1 * update;
            block.Weights[i] = block.Weights[i] * keep - update;
        }
    }
}

/// <summary>Adafactor as torch has it: the rate is held below 1/√t and always scaled by the parameter's size.</summary>
public sealed record TorchAdafactorSettings : OptimizerSettings
{
    /// <summary>1 − β₂ at step t is t to this power. Default −0.8.</summary>
    public double DecayPower { get; init; } = -0.8;

    /// <summary>Least root of a second moment; <c>null</c> is the type's own precision. Default <c>null</c>.</summary>
    public double? RootEpsilon { get; init; }

    /// <summary>Least size of a parameter. Default 1e-3.</summary>
    public double ScaleEpsilon { get; init; } = 1e-3;

    /// <summary>Largest root mean square of an update. Default 1.</summary>
    public double ClipThreshold { get; init; } = 1;

    internal override bool NeedsWhole => true;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => Factored.StateOf(shape);

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        var epsilon = RootEpsilon ?? (typeof(T) == typeof(double) ? Math.BitIncrement(1.0) - 1 : MathF.BitIncrement(1f) - 1);
        var scale = Math.Max(ScaleEpsilon, Factored.RootMeanSquare(block.Weights, block.Count)) * Math.Min(rate, 1 / Math.Sqrt(step));
        Factored.Average(block, Math.Pow(step, DecayPower), 0);
        Factored.Divide(block, epsilon, (value, least) => Math.Max(value, least * least));
        var size = T.CreateTruncating(scale / Math.Max(1, Factored.RootMeanSquare(block.Gradients, block.Count) / ClipThreshold));
        var keep = T.CreateTruncating(1 - rate * (block.Decays ? WeightDecay : 0));
        for (var i = 0; i < block.Count; i++) block.Weights[i] = block.Weights[i] * keep - size * block.Gradients[i];
    }
}

/// <summary>Second moments of a matrix as the means of its rows and columns; of a vector as they are. More than two dimensions: a matrix for each leading index.</summary>
internal static unsafe class Factored
{
    public static int Arrays(long[] shape) => shape.Length > 1 ? 2 : 1;

    public static IReadOnlyList<StateArray> StateOf(long[] shape) =>
        shape.Length > 1 ? [new("row", Product(shape[..^1])), new("column", Product(shape[..^2]) * shape[^1])] : [new("second_moment")];

    public static double RootMeanSquare<T>(T* values, int count) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var sum = 0.0;
        for (var i = 0; i < count; i++)
        {
            var x = double.CreateTruncating(values[i]);
            sum += x * x;
        }
        return Math.Sqrt(sum / Math.Max(1, count));
    }

    /// <summary>Takes the squared gradients into the averages with a share.</summary>
    public static void Average<T>(in Block<T> block, double share, double epsilon) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* g = block.Gradients, first = block.State(0);
        double Mixed(T old, double value) => double.CreateTruncating(old) * (1 - share) + value * share;
        double Square(long i) => double.CreateTruncating(g[i]) * double.CreateTruncating(g[i]) + epsilon;
        if (block.Shape.Length < 2)
        {
            for (var i = 0; i < block.Count; i++) first[i] = T.CreateTruncating(Mixed(first[i], Square(i)));
            return;
        }
        var second = block.State(1);
        var (matrices, rows, columns) = (Product(block.Shape[..^2]), block.Shape[^2], block.Shape[^1]);
        var sums = new double[columns];
        for (var k = 0L; k < matrices; k++)
        {
            Array.Clear(sums);
            for (var r = 0L; r < rows; r++)
            {
                var (sum, from) = (0.0, (k * rows + r) * columns);
                for (var c = 0L; c < columns; c++)
                {
                    var square = Square(from + c);
                    sum += square;
                    sums[c] += square;
                }
                first[k * rows + r] = T.CreateTruncating(Mixed(first[k * rows + r], sum / columns));
            }
            for (var c = 0L; c < columns; c++) second[k * columns + c] = T.CreateTruncating(Mixed(second[k * columns + c], sums[c] / rows));
        }
    }

    /// <summary>Divides gradients by the roots of the second moments, in place.</summary>
    public static void Divide<T>(in Block<T> block, double epsilon, Func<double, double, double> least) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* g = block.Gradients, first = block.State(0);
        if (block.Shape.Length < 2)
        {
            for (var i = 0; i < block.Count; i++) g[i] = T.CreateTruncating(double.CreateTruncating(g[i]) / Math.Sqrt(least(double.CreateTruncating(first[i]), epsilon)));
            return;
        }
        var second = block.State(1);
        var (matrices, rows, columns) = (Product(block.Shape[..^2]), block.Shape[^2], block.Shape[^1]);
        for (var k = 0L; k < matrices; k++)
        {
            var mean = 0.0;
            for (var r = 0L; r < rows; r++) mean += double.CreateTruncating(first[k * rows + r]) / rows;
            mean = Math.Max(mean, epsilon);
            for (var r = 0L; r < rows; r++)
                for (var c = 0L; c < columns; c++)
                {
                    var i = (k * rows + r) * columns + c;
                    var moment = double.CreateTruncating(first[k * rows + r]) / mean * double.CreateTruncating(second[k * columns + c]);
                    g[i] = T.CreateTruncating(double.CreateTruncating(g[i]) / Math.Sqrt(least(moment, epsilon)));
                }
        }
    }

    private static long Product(IEnumerable<long> sizes) => sizes.Aggregate(1L, (a, b) => a * b);
}
