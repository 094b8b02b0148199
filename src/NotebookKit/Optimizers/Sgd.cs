using System.Numerics;
using System.Runtime.Intrinsics;

namespace NotebookKit.Optimizers;

/// <summary>Stochastic gradient descent with momentum (Sutskever et al. 2013), as torch has it; decay is added to the gradient.</summary>
public sealed record SgdSettings : OptimizerSettings
{
    /// <summary>Share of the last direction that is kept, in [0, 1). Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Share of the gradient that does not enter the direction, in [0, 1). Default 0.</summary>
    public double Dampening { get; init; }

    /// <summary>Whether the gradient is taken a step ahead (Nesterov 1983). Default <c>false</c>.</summary>
    public bool IsNesterov { get; init; }

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => Momentum > 0 ? [new("direction")] : [];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (pull, momentum, rest, size) = (Of(block.Decays ? WeightDecay : 0), Of(Momentum), Of(step == 1 ? 1 : 1 - Dampening), Of(rate));
        T* w = block.Weights, g = block.Gradients, d = Momentum > 0 ? block.State(0) : null;
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            if (Momentum > 0)
            {
                var direction = momentum * Vector512.Load(d + i) + rest * gradient;
                direction.Store(d + i);
                gradient = IsNesterov ? gradient + momentum * direction : direction;
            }
            (weight - size * gradient).Store(w + i);
        }
    }
}
