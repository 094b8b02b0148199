using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

// Scaled dot-product attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).
//
//   q (B, H, Tq, d) ──┐
//   k (B, G, Tk, d) ──┴─ scores (B, H, Tq, Tk) ─ + bias ─ softmax ─ dropout ──┐
//   v (B, G, Tk, d) ──────────────────────────────────────────────────────────┴─ (B, Tq, H·d)
//
// B batch, H query heads, G key/value heads (G divides H; each serves H / G query heads), Tq and Tk tokens, d head width.

internal static class Attention
{
    /// <summary>A large negative number of a type, which softmax turns into 0; finite, so that a row with nothing to attend to stays a number.</summary>
    public static double Masked(ScalarType type) => type == ScalarType.Float16 ? -3e4 : -1e9;

    /// <summary>(B, T, H·d) to (B, H, T, d).</summary>
    public static Tensor Split(Tensor x, long heads) => x.view(x.size(0), x.size(1), heads, x.size(2) / heads).transpose(1, 2);

    /// <summary>What each query reads, (B, Tq, H·d).</summary>
    /// <param name="q">Queries, (B, H, Tq, d).</param>
    /// <param name="k">Keys, (B, G, Tk, d).</param>
    /// <param name="v">Values, (B, G, Tk, d).</param>
    /// <param name="bias">Added to the scores; broadcasts to (B, H, Tq, Tk); <c>null</c> is 0.</param>
    /// <param name="scale">Factor on the scores.</param>
    /// <param name="drop">Dropout of the weights; <c>null</c> is none.</param>
    /// <param name="softCap">Scores are squeezed into ±this by tanh; 0 is none.</param>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? bias, double scale, Func<Tensor, Tensor>? drop = null, double softCap = 0)
    {
        var (B, H, Tq, d, G) = (q.size(0), q.size(1), q.size(2), q.size(3), k.size(1));
        using var scope = NewDisposeScope();
        q = q * scale;
        if (G != H) q = q.reshape(B, G, H / G * Tq, d);                     // the heads of a group side by side: one product per group
        var scores = q.matmul(k.transpose(-2, -1)).view(B, H, Tq, k.size(2));
        if (softCap > 0) scores = (scores / softCap).tanh() * softCap;
        if (bias is not null) scores = scores + bias;
        var weights = scores.softmax(-1);                                   // (B, H, Tq, Tk)
        if (drop is not null) weights = drop(weights);
        if (G != H) weights = weights.view(B, G, H / G * Tq, k.size(2));
        return weights.matmul(v).view(B, H, Tq, d).transpose(1, 2).reshape(B, Tq, H * d).MoveToOuterDisposeScope();
    }
}
