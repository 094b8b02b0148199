using System.Numerics.Tensors;

namespace NotebookKit.Statistics;

/// <summary>A choice among a few, each with its weight.</summary>
internal static class Categorical
{
    /// <summary>Place of the one chosen.</summary>
    /// <param name="weights">At least 0, one above; they need not add up to 1.</param>
    /// <param name="random">What is drawn from.</param>
    public static int Draw(ReadOnlySpan<float> weights, Random random)
    {
        var total = 0.0;
        foreach (var weight in weights) total += weight;
        var left = random.NextDouble() * total;
        for (var i = 0; i < weights.Length; i++)
            if ((left -= weights[i]) < 0) return i;
        return TensorPrimitives.IndexOfMax(weights);                          // rounding left a little
    }
}
