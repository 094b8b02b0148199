using NotebookKit.Data;
using NotebookKit.Models.Adapting;
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
    public EncoderInputs(Tensor ids, Tensor? mask = null, Tensor? segments = null, ScalarType attentionType = ScalarType.Float32) : this(ids, mask, attentionType, null) => Segments = segments?.alias();

    private EncoderInputs(Tensor ids, Tensor? mask, ScalarType attentionType, IReadOnlyList<(Tensor Keys, Tensor Values)>? prefix)
    {
        Ids = ids.alias();
        Mask = mask is null ? ones(ids.size(0), ids.size(1), 1) : mask.to(ScalarType.Float32).unsqueeze(2);
        if (prefix is not null) Prefix = new KeyValueCache(prefix, keeps: false);
        if (mask is not null) Bias = BiasOf(Prefix is null ? Mask : cat([ones(ids.size(0), Prefix.Length, 1), Mask], 1), attentionType);
    }

    /// <summary>The same after tokens that an adapter puts in front of every row: places with the ids -1, -2, …, or keys and values alone. As in the reference, segments are all 0 then.</summary>
    internal EncoderInputs After(IModelAdapter adapter)
    {
        var prefix = adapter.Prefix();                                        // in the caller's scope, since the layers read it
        using var scope = NewDisposeScope();
        var (rows, type) = (Ids.size(0), Bias?.dtype ?? ScalarType.Float32);
        if (adapter.PromptTokens is > 0 and var n)
            return new EncoderInputs(cat([Prompts.Ids(rows, n), Ids], 1), Bias is null ? null : cat([ones(rows, n), Mask.squeeze(2)], 1), attentionType: type).Kept();
        return new EncoderInputs(Ids, Bias is null ? null : Mask.squeeze(2), type, prefix).Kept();
    }

    /// <summary>Keys and values that stand before every row's, or <c>null</c>; adds to them and keeps nothing.</summary>
    internal KeyValueCache? Prefix { get; }

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

    private EncoderInputs Kept()
    {
        foreach (var one in new[] { Ids, Mask, Bias }) one?.MoveToOuterDisposeScope();
        return this;
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
