using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Optimizers;

/// <summary>
/// Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): momentum made orthogonal by a Newton–Schulz iteration in bf16. For the matrices of hidden layers only; give
/// embeddings, heads, biases and norms to AdamW. Decay takes a share rate · decay of the weight.
/// </summary>
public sealed record MuonSettings : OptimizerSettings
{
    /// <summary>Default settings.</summary>
    public MuonSettings() => WeightDecay = 0.1;

    /// <summary>Decay rate of the average gradient, in [0, 1). Default 0.95.</summary>
    public double Momentum { get; init; } = 0.95;

    /// <summary>Whether the gradient is mixed in once more. Default <c>true</c>.</summary>
    public bool IsNesterov { get; init; } = true;

    /// <summary>Coefficients of the iteration. Default 3.4445, −4.775, 2.0315.</summary>
    public (double A, double B, double C) Coefficients { get; init; } = (3.4445, -4.775, 2.0315);

    /// <summary>Iterations. Default 5.</summary>
    public int Iterations { get; init; } = 5;

    /// <summary>Least norm. Default 1e-7.</summary>
    public double Epsilon { get; init; } = 1e-7;

    internal override bool NeedsWhole => true;

    internal override IReadOnlyList<StateArray> StateOf(long[] shape) => shape.Length == 2 ? [new("direction")]
        : throw new ArgumentException($"Muon takes matrices; a parameter has the shape [{string.Join(", ", shape)}]. Give the others to another optimiser.");

    internal override unsafe void Update<T>(in Block<T> block, double rate, int step, double[] constants)
    {
        var (keep, mixed) = (T.CreateTruncating(Momentum), T.CreateTruncating(1 - Momentum));
        T* w = block.Weights, g = block.Gradients, d = block.State(0);
        var update = new float[block.Count];
        for (var i = 0; i < block.Count; i++)
        {
            d[i] = keep * d[i] + mixed * g[i];
            update[i] = float.CreateTruncating(IsNesterov ? mixed * g[i] + keep * d[i] : d[i]);
        }
        var orthogonal = Orthogonal(update, block.Shape[0], block.Shape[1]);
        var size = T.CreateTruncating(rate * Math.Sqrt(Math.Max(1, block.Shape[0] / (double)block.Shape[1])));
        var shrink = T.CreateTruncating(1 - rate * (block.Decays ? WeightDecay : 0));
        for (var i = 0; i < block.Count; i++) w[i] = w[i] * shrink - size * T.CreateTruncating(orthogonal[i]);
    }

    private float[] Orthogonal(float[] values, long rows, long columns)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var x = tensor(values, [rows, columns]).to(ScalarType.BFloat16);
        if (rows > columns) x = x.transpose(0, 1);
        x = x / x.norm().clamp_min(Epsilon);
        for (var i = 0; i < Iterations; i++)
        {
            var gram = x.matmul(x.transpose(0, 1));
            x = x * Coefficients.A + (gram * Coefficients.B + gram.matmul(gram) * Coefficients.C).matmul(x);
        }
        if (rows > columns) x = x.transpose(0, 1);
        return x.to(ScalarType.Float32).contiguous().data<float>().ToArray();
    }
}
