using NotebookKit.Data;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>The tensors an encoder reads; disposes them together.</summary>
public sealed class EncoderInputs : IDisposable
{
    /// <summary>Makes the tensors of a right-padded batch of plain arrays. A batch without padding gets no attention bias.</summary>
    /// <param name="batch">Ids and row lengths.</param>
    /// <param name="attentionType">Type of the attention bias: that of the encoder's matrix weights.</param>
    public EncoderInputs(Batch batch, ScalarType attentionType = ScalarType.Float32)
    {
        var (rows, length) = (batch.Rows, batch.Length);
        Ids = tensor(batch.Ids, [rows, length], dtype: ScalarType.Int64);
        var mask = new float[rows * length];
        for (var row = 0; row < rows; row++) mask.AsSpan(row * length, batch.RowLengths[row]).Fill(1);
        Mask = tensor(mask, [rows, length, 1], dtype: ScalarType.Float32);
        if (!batch.RowLengths.All(l => l == length)) Bias = BiasOf(Mask, attentionType);
    }

    /// <summary>The same from tensors.</summary>
    /// <param name="ids">(B, T) int64.</param>
    /// <param name="mask">(B, T), 1 at tokens and 0 at padding, on either side; <c>null</c> where nothing is padded.</param>
    /// <param name="segments">(B, T) int64, the segment of every token of a pair; <c>null</c> is segment 0 throughout.</param>
    /// <param name="attentionType">Type of the attention bias: that of the encoder's matrix weights.</param>
    public EncoderInputs(Tensor ids, Tensor? mask = null, Tensor? segments = null, ScalarType attentionType = ScalarType.Float32)
    {
        Ids = ids.alias();
        Segments = segments?.alias();
        Mask = mask is null ? ones(ids.size(0), ids.size(1), 1) : mask.to(ScalarType.Float32).unsqueeze(2);
        if (mask is not null) Bias = BiasOf(Mask, attentionType);
    }

    /// <summary>(B, T) int64.</summary>
    public Tensor Ids { get; }

    /// <summary>(B, T, 1) fp32: 1 at tokens, 0 at padding.</summary>
    public Tensor Mask { get; }

    /// <summary>(B, T) int64, or <c>null</c>.</summary>
    public Tensor? Segments { get; }

    /// <summary>(B, 1, 1, T): 0 at tokens, a large negative number at padding; <c>null</c> where nothing is padded.</summary>
    public Tensor? Bias { get; }

    /// <summary>Takes the tensors out of the dispose scope they were made in: they live until <see cref="Dispose"/>.</summary>
    internal void Detach()
    {
        Ids.DetachFromDisposeScope();
        Mask.DetachFromDisposeScope();
        Segments?.DetachFromDisposeScope();
        Bias?.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids.Dispose();
        Mask.Dispose();
        Segments?.Dispose();
        Bias?.Dispose();
    }

    private static Tensor BiasOf(Tensor mask, ScalarType type)
    {
        using var scope = NewDisposeScope();
        return ((1 - mask) * Attention.Masked(type)).view(mask.size(0), 1, 1, mask.size(1)).to(type).MoveToOuterDisposeScope();
    }
}
