using NotebookKit.Models.Adapting;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>The tensors a decoder reads for the new tokens of a batch, after those a cache holds; disposes them together.</summary>
public sealed class DecoderInputs : IDisposable
{
    private readonly Dictionary<int, Tensor?> _biases = [];
    private readonly ScalarType _type;
    private readonly Tensor? _keyMask, _documents;

    /// <summary>Makes them.</summary>
    /// <param name="ids">(B, T) int64: the new tokens.</param>
    /// <param name="mask">(B, past + T), 1 at tokens and 0 at padding, on either side; <c>null</c> where nothing is padded.</param>
    /// <param name="positions">(B, T) int64; by default counted from a row's first token, so that padding on the left changes nothing.</param>
    /// <param name="past">Tokens that the cache holds.</param>
    /// <param name="attentionType">Type of the attention bias.</param>
    /// <param name="documents">(B, T) int64: which document of its row a token belongs to; it sees no other. Goes with <paramref name="positions"/> that begin anew, and without a cache. <c>null</c> where a row is one.</param>
    public DecoderInputs(Tensor ids, Tensor? mask = null, Tensor? positions = null, long past = 0, ScalarType attentionType = ScalarType.Float32, Tensor? documents = null)
    {
        if (documents is not null && (positions is null || past > 0)) throw new ArgumentException("Packed documents need positions that begin anew with each, and no cache.", nameof(documents));
        (Ids, Past, _type) = (ids.alias(), past, attentionType);
        var length = ids.size(1);
        using var scope = NewDisposeScope();
        _keyMask = mask?.to(ScalarType.Bool).alias().MoveToOuterDisposeScope();
        _documents = documents?.alias().MoveToOuterDisposeScope();
        Positions = (positions?.alias() ?? Count(mask, past, length)).MoveToOuterDisposeScope();
    }

    /// <summary>The same after tokens that an adapter puts in front of every row: places with the ids -1, -2, …, or keys and values alone.</summary>
    internal DecoderInputs After(IModelAdapter adapter)
    {
        using var scope = NewDisposeScope();
        if (_documents is not null) throw new ArgumentException("Packed documents and an adapter that puts tokens in front of every row do not go together: turn packing off.");
        var (n, rows, given) = (adapter.PromptTokens + adapter.PrefixTokens, Ids.size(0), adapter.PromptTokens > 0);
        var mask = _keyMask is null ? null : cat([ones(rows, n, dtype: ScalarType.Bool), _keyMask], 1);
        var positions = (Positions + n).expand(rows, -1);
        if (given) positions = cat([arange(n, dtype: ScalarType.Int64).unsqueeze(0).expand(rows, -1), positions], 1);
        return new DecoderInputs(given ? cat([Prompts.Ids(rows, n), Ids], 1) : Ids, mask, positions, given ? 0 : n, _type).Kept();
    }

    /// <summary>(B, T) int64.</summary>
    public Tensor Ids { get; }

    /// <summary>(B or 1, T) int64.</summary>
    public Tensor Positions { get; }

    /// <summary>Tokens before the new ones.</summary>
    public long Past { get; }

    /// <summary>What is added to the attention scores, (B or 1, 1, T, past + T): a token sees itself and those before it, no padding, and with a
    /// <paramref name="window"/> only the last so many; <c>null</c> where it sees everything.</summary>
    internal Tensor? Bias(int window = 0)
    {
        if (_biases.TryGetValue(window, out var bias)) return bias;
        return _biases[window] = Compute(window);
    }

    private DecoderInputs Kept()
    {
        foreach (var one in new[] { Ids, Positions, _keyMask }) one?.MoveToOuterDisposeScope();
        return this;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids.Dispose();
        Positions.Dispose();
        _keyMask?.Dispose();
        _documents?.Dispose();
        foreach (var bias in _biases.Values) bias?.Dispose();
        _biases.Clear();
    }

    private static Tensor Count(Tensor? mask, long past, long length)
    {
        if (mask is null || past == 0 && mask.select(1, 0).all().item<bool>()) return arange(past, past + length, dtype: ScalarType.Int64).unsqueeze(0);
        return (mask.to(ScalarType.Int64).cumsum(1) - 1).clamp_min(0).narrow(1, past, length);
    }

    private Tensor? Compute(int window)
    {
        var (length, keys) = (Ids.size(1), Past + Ids.size(1));
        if (length == 1 && _keyMask is null && _documents is null && (window == 0 || keys <= window)) return null;
        using var scope = NewDisposeScope();
        var distance = arange(Past, keys, dtype: ScalarType.Int64).unsqueeze(1) - arange(0, keys, dtype: ScalarType.Int64).unsqueeze(0);   // (T, keys)
        var hidden = distance < 0;
        if (window > 0) hidden = hidden.logical_or(distance >= window);
        hidden = hidden.unsqueeze(0).unsqueeze(0);
        if (_keyMask is not null) hidden = hidden.logical_or(_keyMask.logical_not().unsqueeze(1).unsqueeze(1));
        if (_documents is not null) hidden = hidden.logical_or(_documents.unsqueeze(1).ne(_documents.unsqueeze(2)).unsqueeze(1));          // (B, 1, T, T)
        return zeros(hidden.shape, dtype: _type).masked_fill(hidden, Attention.Masked(_type)).DetachFromDisposeScope();
    }
}
