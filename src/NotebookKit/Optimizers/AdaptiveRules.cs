using System.Numerics;
using System.Runtime.Intrinsics;

namespace NotebookKit.Optimizers;

/// <summary>RMSprop (Tieleman &amp; Hinton 2012), as torch has it; decay is added to the gradient.</summary>
public sealed record RmsPropSettings : OptimizerSettings
{
    /// <summary>Decay rate of the squared gradients, in [0, 1). Default 0.99.</summary>
    public double Alpha { get; init; } = 0.99;

    /// <summary>Added to the denominator. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Share of the last direction that is kept, in [0, 1). Default 0.</summary>
    public double Momentum { get; init; }

    /// <summary>Whether the variance divides, not the square. Default <c>false</c>.</summary>
    public bool IsCentered { get; init; }

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("second_moment"), .. IsCentered ? [new StateArray("mean")] : Array.Empty<StateArray>(), .. Momentum > 0 ? [new StateArray("direction")] : Array.Empty<StateArray>()];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (alpha, rest, epsilon, momentum, pull, size) = (Of(Alpha), Of(1 - Alpha), Of(Epsilon), Of(Momentum), Of(block.Decays ? WeightDecay : 0), Of(rate));
        T* w = block.Weights, g = block.Gradients, v = block.State(0), mean = IsCentered ? block.State(1) : null, d = Momentum > 0 ? block.State(IsCentered ? 2 : 1) : null;
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var second = alpha * Vector512.Load(v + i) + rest * gradient * gradient;
            second.Store(v + i);
            if (IsCentered)
            {
                var average = alpha * Vector512.Load(mean + i) + rest * gradient;
                average.Store(mean + i);
                second -= average * average;
            }
            var direction = gradient / (Vector512.Sqrt(second) + epsilon);
            if (Momentum > 0)
            {
                direction += momentum * Vector512.Load(d + i);
                direction.Store(d + i);
            }
            (weight - size * direction).Store(w + i);
        }
    }
}

/// <summary>Adagrad (Duchi et al. 2011); decay is added to the gradient.</summary>
public sealed record AdagradSettings : OptimizerSettings
{
    /// <summary>The rate at step t is divided by 1 + (t − 1) times this. Default 0.</summary>
    public double RateDecay { get; init; }

    /// <summary>Added to the denominator. Default 1e-10.</summary>
    public double Epsilon { get; init; } = 1e-10;

    /// <summary>What the sum of squares begins with. Default 0.</summary>
    public double InitialSum { get; init; }

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("sum", Start: InitialSum)];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (epsilon, pull, size) = (Of(Epsilon), Of(block.Decays ? WeightDecay : 0), Of(rate / (1 + (step - 1) * RateDecay)));
        T* w = block.Weights, g = block.Gradients, s = block.State(0);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var sum = Vector512.Load(s + i) + gradient * gradient;
            sum.Store(s + i);
            (weight - size * (gradient / (Vector512.Sqrt(sum) + epsilon))).Store(w + i);
        }
    }
}

/// <summary>Adadelta (Zeiler 2012, https://arxiv.org/abs/1212.5701); decay is added to the gradient. Its usual rate is 1.</summary>
public sealed record AdadeltaSettings : OptimizerSettings
{
    /// <summary>Decay rate of both averages, in [0, 1). Default 0.9.</summary>
    public double Rho { get; init; } = 0.9;

    /// <summary>Added below both roots. Default 1e-6.</summary>
    public double Epsilon { get; init; } = 1e-6;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("second_moment"), new("squared_steps")];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (rho, rest, epsilon, pull, size) = (Of(Rho), Of(1 - Rho), Of(Epsilon), Of(block.Decays ? WeightDecay : 0), Of(rate));
        T* w = block.Weights, g = block.Gradients, v = block.State(0), d = block.State(1);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var (second, steps) = (rho * Vector512.Load(v + i) + rest * gradient * gradient, Vector512.Load(d + i));
            var change = Vector512.Sqrt(steps + epsilon) / Vector512.Sqrt(second + epsilon) * gradient;
            second.Store(v + i);
            (rho * steps + rest * change * change).Store(d + i);
            (weight - size * change).Store(w + i);
        }
    }
}
