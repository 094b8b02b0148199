using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance;

/// <summary>Distances between what came out and what the reference gave, with the tolerances of the reference's README.</summary>
internal static class Compare
{
    public const double Logits = 1e-4, Loss = 1e-5, Gradient = 1e-4, TrainedLoss = 1e-4, TrainedLogits = 1e-3, Score = 1e-4;

    /// <summary>Largest difference where <paramref name="mask"/> (leading dimensions) is not 0.</summary>
    public static Deviation Close(Tensor expected, Tensor got, double allowed, Tensor? mask = null)
    {
        if (!expected.shape.SequenceEqual(got.shape)) return new Deviation(double.PositiveInfinity, allowed);
        var difference = (expected.to(ScalarType.Float64) - got.detach().to(ScalarType.Float64)).abs();
        if (mask is not null)
        {
            while (mask.dim() < difference.dim()) mask = mask.unsqueeze(-1);
            difference = where(mask.to(ScalarType.Bool).expand(difference.shape), difference, zeros_like(difference));
        }
        var worst = difference.max().ToDouble();
        return new Deviation(double.IsNaN(worst) ? double.PositiveInfinity : worst, allowed);
    }

    /// <summary>Largest difference relative to the largest entry expected, or to a hundredth of the <paramref name="largest"/> entry of all gradients where that is more.</summary>
    public static Deviation Relative(Tensor expected, Tensor got, double allowed, double largest)
    {
        if (!expected.shape.SequenceEqual(got.shape)) return new Deviation(double.PositiveInfinity, allowed);
        // A gradient that is zero but for rounding (a key's bias under softmax) has no scale of its own.
        var scale = Math.Max(expected.abs().max().ToDouble(), 1e-2 * largest);
        var worst = (expected.to(ScalarType.Float64) - got.to(ScalarType.Float64)).abs().max().ToDouble() / scale;
        return new Deviation(double.IsNaN(worst) ? double.PositiveInfinity : worst, allowed);
    }

    /// <summary>Whether rows of ids equal the reference's, which are padded at the end.</summary>
    public static string? SameIds(long[][] expected, IReadOnlyList<IReadOnlyList<int>> got)
    {
        if (expected.Length != got.Count) return $"{got.Count} sequences instead of {expected.Length}";
        for (var row = 0; row < expected.Length; row++)
            for (var t = 0; t < Math.Max(expected[row].Length, got[row].Count); t++)
                if (t >= expected[row].Length || (t < got[row].Count && expected[row][t] != got[row][t]))
                    return $"row {row} differs at place {t}: {(t < got[row].Count ? got[row][t] : -1)} instead of {(t < expected[row].Length ? expected[row][t] : -1)}";
        return null;
    }

    public static long[][] Rows(Tensor ids)
    {
        var (flat, width) = (ids.contiguous().data<long>().ToArray(), (int)ids.size(1));
        return [.. Enumerable.Range(0, (int)ids.size(0)).Select(r => flat[(r * width)..((r + 1) * width)])];
    }
}
