using NotebookKit.Data;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>The tensors an encoder reads, made from a batch of plain arrays; disposes them together.</summary>
public sealed class EncoderInputs : IDisposable
{
    /// <summary>Makes the tensors. A batch without padding gets no attention bias.</summary>
    /// <param name="batch">Ids and row lengths.</param>
    /// <param name="attentionType">Type of the attention bias: that of the encoder's matrix weights.</param>
    public EncoderInputs(Batch batch, ScalarType attentionType = ScalarType.Float32)
    {
        var (rows, length) = (batch.Rows, batch.Length);
        Ids = tensor(batch.Ids, [rows, length], dtype: ScalarType.Int64);
        var mask = new float[rows * length];
        for (var row = 0; row < rows; row++) mask.AsSpan(row * length, batch.RowLengths[row]).Fill(1);
        Mask = tensor(mask, [rows, length, 1], dtype: ScalarType.Float32);
        if (batch.RowLengths.All(l => l == length)) return;
        using var scope = NewDisposeScope();
        Bias = ((Mask - 1) * 1e9f).view(rows, 1, 1, length).to(attentionType).MoveToOuterDisposeScope();
    }

    /// <summary>(B, T) int64.</summary>
    public Tensor Ids { get; }

    /// <summary>(B, T, 1) fp32: 1 at tokens, 0 at padding.</summary>
    public Tensor Mask { get; }

    /// <summary>(B, 1, 1, T): 0 at tokens, -1e9 at padding; <c>null</c> where nothing is padded.</summary>
    public Tensor? Bias { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids.Dispose();
        Mask.Dispose();
        Bias?.Dispose();
    }
}
