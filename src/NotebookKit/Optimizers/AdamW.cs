using System.Numerics;
using System.Runtime.Intrinsics;

namespace NotebookKit.Optimizers;

/// <summary>
/// AdamW (Loshchilov &amp; Hutter 2019, https://arxiv.org/abs/1711.05101), the rule of nearly all finetuning. Decay takes a share rate · decay of the weight itself; with
/// <see cref="IsCoupled"/> it is added to the gradient, which makes it Adam with L2 (Kingma &amp; Ba 2015, https://arxiv.org/abs/1412.6980). Defaults are torch's, and decay 0.01 as BERT finetuning uses.
/// </summary>
public sealed record AdamWSettings : OptimizerSettings
{
    /// <summary>Default settings.</summary>
    public AdamWSettings() => WeightDecay = 0.01;

    /// <summary>Decay rate of the first moment, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the second moment, in [0, 1). Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the denominator. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Whether decay goes through the gradient, as in Adam. Default <c>false</c>.</summary>
    public bool IsCoupled { get; init; }

    /// <summary>Whether the largest second moment so far counts (Reddi et al. 2018, https://arxiv.org/abs/1904.09237). Default <c>false</c>.</summary>
    public bool IsAmsGrad { get; init; }

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => IsAmsGrad ? [new("first_moment"), new("second_moment"), new("largest_second_moment")] : [new("first_moment"), new("second_moment")];

    internal override double[] Constants(int step) => [1 - Math.Pow(Beta1, step), 1 / Math.Sqrt(1 - Math.Pow(Beta2, step))];

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        static Vector512<T> Of(double value) => Vector512.Create(T.CreateTruncating(value));
        var decay = block.Decays ? WeightDecay : 0;
        var (beta1, beta2, rest1, rest2, epsilon) = (Of(Beta1), Of(Beta2), Of(1 - Beta1), Of(1 - Beta2), Of(Epsilon));
        var (keep, pull, size, correction) = (Of(IsCoupled ? 1 : 1 - rate * decay), Of(IsCoupled ? decay : 0), Of(rate / constants[0]), Of(constants[1]));
        T* w = block.Weights, g = block.Gradients, m = block.State(0), v = block.State(1), most = IsAmsGrad ? block.State(2) : null;
        for (var i = 0; i < block.Count; i += Vector512<T>.Count)
        {
            var weight = Vector512.Load(w + i);
            var gradient = Vector512.Load(g + i) + pull * weight;
            var first = beta1 * Vector512.Load(m + i) + rest1 * gradient;
            var second = beta2 * Vector512.Load(v + i) + rest2 * gradient * gradient;
            first.Store(m + i);
            second.Store(v + i);
            if (IsAmsGrad)
            {
                second = Vector512.Max(second, Vector512.Load(most + i));
                second.Store(most + i);
            }
            (weight * keep - size * (first / (Vector512.Sqrt(second) * correction + epsilon))).Store(w + i);
        }
    }
}
