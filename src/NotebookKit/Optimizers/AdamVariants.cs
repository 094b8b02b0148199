using System.Numerics;
using System.Runtime.Intrinsics;

namespace NotebookKit.Optimizers;

/// <summary>NAdam (Dozat 2016): Adam with Nesterov's momentum, as torch has it; decay is added to the gradient.</summary>
public sealed record NAdamSettings : OptimizerSettings
{
    /// <summary>Decay rate of the first moment, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the second moment, in [0, 1). Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the denominator. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>How fast the momentum reaches its full size. Default 0.004.</summary>
    public double MomentumDecay { get; init; } = 4e-3;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("first_moment"), new("second_moment")];

    internal override double[] Constants(int step)
    {
        double Momentum(int t) => Beta1 * (1 - 0.5 * Math.Pow(0.96, t * MomentumDecay));
        var product = 1f;                                                     // torch keeps this in fp32
        for (var t = 1; t <= step; t++) product *= (float)Momentum(t);
        return [(1 - Momentum(step)) / (1.0 - product), Momentum(step + 1) / (1 - product * Momentum(step + 1)), 1 - Math.Pow(Beta2, step)];
    }

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (beta1, beta2, rest1, rest2, epsilon, pull) = (Of(Beta1), Of(Beta2), Of(1 - Beta1), Of(1 - Beta2), Of(Epsilon), Of(block.Decays ? WeightDecay : 0));
        var (now, ahead, correction) = (Of(rate * constants[0]), Of(rate * constants[1]), Of(constants[2]));
        T* w = block.Weights, g = block.Gradients, m = block.State(0), v = block.State(1);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var first = beta1 * Vector512.Load(m + i) + rest1 * gradient;
            var second = beta2 * Vector512.Load(v + i) + rest2 * gradient * gradient;
            first.Store(m + i);
            second.Store(v + i);
            (weight - (now * gradient + ahead * first) / (Vector512.Sqrt(second / correction) + epsilon)).Store(w + i);
        }
    }
}

/// <summary>RAdam (Liu et al. 2020, https://arxiv.org/abs/1908.03265): no adaptive steps while their variance is unknown; decay is added to the gradient.</summary>
public sealed record RAdamSettings : OptimizerSettings
{
    /// <summary>Decay rate of the first moment, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the second moment, in [0, 1). Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the denominator. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("first_moment"), new("second_moment")];

    internal override double[] Constants(int step)
    {
        var correction = 1 - Math.Pow(Beta2, step);
        double most = 2 / (1 - Beta2) - 1, now = most - 2 * step * Math.Pow(Beta2, step) / correction;
        var rectified = now > 5 ? Math.Sqrt((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now)) : 0;
        return [1 - Math.Pow(Beta1, step), rectified * Math.Sqrt(correction)];
    }

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (beta1, beta2, rest1, rest2, epsilon, pull) = (Of(Beta1), Of(Beta2), Of(1 - Beta1), Of(1 - Beta2), Of(Epsilon), Of(block.Decays ? WeightDecay : 0));
        var (size, adaptive) = (Of(rate / constants[0]), Of(constants[1]));
        T* w = block.Weights, g = block.Gradients, m = block.State(0), v = block.State(1);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var first = beta1 * Vector512.Load(m + i) + rest1 * gradient;
            var second = beta2 * Vector512.Load(v + i) + rest2 * gradient * gradient;
            first.Store(m + i);
            second.Store(v + i);
            var direction = constants[1] > 0 ? first * adaptive / (Vector512.Sqrt(second) + epsilon) : first;
            (weight - size * direction).Store(w + i);
        }
    }
}

/// <summary>Adamax (Kingma &amp; Ba 2015, section 7.1): Adam with the largest gradient in place of the second moment; decay is added to the gradient.</summary>
public sealed record AdamaxSettings : OptimizerSettings
{
    /// <summary>Decay rate of the first moment, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the largest gradient, in [0, 1). Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to every gradient's size. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => [new("first_moment"), new("largest")];

    internal override double[] Constants(int step) => [1 - Math.Pow(Beta1, step)];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var (beta1, beta2, rest1, epsilon, pull, size) = (Of(Beta1), Of(Beta2), Of(1 - Beta1), Of(Epsilon), Of(block.Decays ? WeightDecay : 0), Of(rate / constants[0]));
        T* w = block.Weights, g = block.Gradients, m = block.State(0), u = block.State(1);
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var first = beta1 * Vector512.Load(m + i) + rest1 * gradient;
            var largest = Vector512.Max(beta2 * Vector512.Load(u + i), Vector512.Abs(gradient) + epsilon);
            first.Store(m + i);
            largest.Store(u + i);
            (weight - size * (first / largest)).Store(w + i);
        }
    }
}
