using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>A norm: its weights, and which it is.</summary>
internal sealed record NormPlan(Tensor Weight, Tensor? Bias, double Epsilon, bool IsRms);

/// <summary>A matrix product: weights (out, in), or (in, out) where transposed.</summary>
internal sealed record MatrixPlan(Tensor Weight, Tensor? Bias, bool IsTransposed = false);

/// <summary>A layer: x + out(attention(norm x)), then x + down(activation(up(norm x))), gated where there are two halves of up.</summary>
/// <param name="AttentionNorm">Before attention.</param>
/// <param name="In">Queries, keys and values: one matrix for all, or three.</param>
/// <param name="QueryNorm">Norm of each query head, or <c>null</c>.</param>
/// <param name="KeyNorm">Norm of each key head, or <c>null</c>.</param>
/// <param name="Out">After attention.</param>
/// <param name="FeedNorm">Before the feed-forward part.</param>
/// <param name="Up">One matrix; or gate and up, as two or as one.</param>
/// <param name="Down">Back to the width.</param>
/// <param name="Window">Tokens looked back on; 0 is all.</param>
/// <param name="Turns">Whether queries and keys are rotated.</param>
/// <param name="Scale">Factor on the scores.</param>
internal sealed record LayerPlan(NormPlan AttentionNorm, IReadOnlyList<MatrixPlan> In, NormPlan? QueryNorm, NormPlan? KeyNorm, MatrixPlan Out, NormPlan FeedNorm, IReadOnlyList<MatrixPlan> Up, MatrixPlan Down,
    int Window, bool Turns, double Scale)
{
    /// <summary>All matrices of the layer.</summary>
    public IEnumerable<MatrixPlan> Matrices => In.Concat(Up).Append(Out).Append(Down);
}

/// <summary>A decoder as weights and numbers, for what computes it without libtorch. Tensors are the model's own.</summary>
/// <param name="Embeddings">(V, D).</param>
/// <param name="Positions">Learned positions (P, D), or <c>null</c>.</param>
/// <param name="Rope">Rotary positions, or <c>null</c>.</param>
/// <param name="Layers">From the bottom.</param>
/// <param name="Final">The last norm.</param>
/// <param name="Head">Logits.</param>
/// <param name="Heads">Query heads H.</param>
/// <param name="Groups">Key/value heads G.</param>
/// <param name="HeadWidth">d.</param>
/// <param name="Inner">Width of the feed-forward part.</param>
/// <param name="IsGated">Whether it has a gate.</param>
/// <param name="Activation">Its name in configurations.</param>
internal sealed record DecoderPlan(Tensor Embeddings, Tensor? Positions, Rope? Rope, IReadOnlyList<LayerPlan> Layers, NormPlan Final, MatrixPlan Head, int Heads, int Groups, int HeadWidth, int Inner, bool IsGated, string Activation);
