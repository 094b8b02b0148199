using System.Numerics;
using System.Runtime.Intrinsics;

namespace NotebookKit.Optimizers;

/// <summary>Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675): the sign of an average gradient, half of AdamW's state. Rates 3 to 10 times smaller than AdamW's, decay as much larger.</summary>
public sealed record LionSettings : OptimizerSettings
{
    /// <summary>Share of the average in the direction, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the average, in [0, 1). Default 0.99.</summary>
    public double Beta2 { get; init; } = 0.99;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("first_moment")];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (beta1, rest1, beta2, rest2) = (Of(Beta1), Of(1 - Beta1), Of(Beta2), Of(1 - Beta2));
        var (keep, size) = (Of(1 - rate * (block.Decays ? WeightDecay : 0)), Of(rate));
        T* w = block.Weights, g = block.Gradients, m = block.State(0);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var (gradient, average) = (Vector512.Load(g + i), Vector512.Load(m + i));
            var mixed = beta1 * average + rest1 * gradient;
            // −1, 0 or 1.
            var sign = Vector512.ConditionalSelect(Vector512.GreaterThan(mixed, Vector512<T>.Zero), size, Vector512<T>.Zero) - Vector512.ConditionalSelect(Vector512.LessThan(mixed, Vector512<T>.Zero), size, Vector512<T>.Zero);
            (beta2 * average + rest2 * gradient).Store(m + i);
            (Vector512.Load(w + i) * keep - sign).Store(w + i);
        }
    }
}
