using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Keys and values of tokens that a decoder has read, layer by layer, so that each further token costs one token's work. Owns its tensors.</summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Dictionary<int, (Tensor Keys, Tensor Values)> _own = [], _cross = [];
    private readonly IReadOnlyList<(Tensor Keys, Tensor Values)>? _prefix;

    /// <summary>An empty cache.</summary>
    public KeyValueCache() : this(null)
    {
    }

    /// <summary>A cache of rows that begin with the same keys and values.</summary>
    /// <param name="prefix">Layer by layer, (G, n, d) each; not owned.</param>
    /// <param name="keeps">Whether new tokens stay; else every <see cref="Append"/> adds to the prefix alone.</param>
    internal KeyValueCache(IReadOnlyList<(Tensor Keys, Tensor Values)>? prefix, bool keeps = true) => (_prefix, Keeps, Length) = (prefix, keeps, prefix?[0].Keys.size(1) ?? 0);

    /// <summary>Whether new tokens stay.</summary>
    internal bool Keeps { get; }

    /// <summary>Tokens held.</summary>
    public long Length { get; private set; }

    /// <summary>Adds the keys and values of new tokens, (B, G, T, d) each, and answers with those of all tokens so far.</summary>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        var entry = (Keys: keys, Values: values);
        if (_own.TryGetValue(layer, out var held)) entry = (cat([held.Keys, keys], 2), cat([held.Values, values], 2));
        else if (_prefix is not null) entry = (cat([Rows(_prefix[layer].Keys, keys), keys], 2), cat([Rows(_prefix[layer].Values, values), values], 2));
        if (!Keeps) return entry;
        Replace(_own, layer, entry.Keys.contiguous(), entry.Values.contiguous());
        Length = entry.Keys.size(2);
        return _own[layer];
    }

    /// <summary>Keys and values of the other sequence, computed once where they are kept.</summary>
    internal (Tensor Keys, Tensor Values) Cross(int layer, Func<(Tensor Keys, Tensor Values)> compute)
    {
        if (!Keeps) return compute();
        if (_cross.TryGetValue(layer, out var held)) return held;
        var (keys, values) = compute();
        Replace(_cross, layer, keys, values);
        return _cross[layer];
    }

    /// <summary>Makes row i the former row <paramref name="rows"/>[i], as beam search needs when hypotheses change places.</summary>
    public void Reorder(long[] rows)
    {
        using var index = tensor(rows);
        foreach (var entries in new[] { _own, _cross })
            foreach (var (layer, (keys, values)) in entries.ToArray())
                Replace(entries, layer, keys.index_select(0, index), values.index_select(0, index));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (keys, values) in _own.Values.Concat(_cross.Values))
        {
            keys.Dispose();
            values.Dispose();
        }
        _own.Clear();
        _cross.Clear();
    }

    private static Tensor Rows(Tensor prefix, Tensor like) => prefix.to(like.dtype).unsqueeze(0).expand(like.size(0), -1, -1, -1);

    private static void Replace(Dictionary<int, (Tensor Keys, Tensor Values)> entries, int layer, Tensor keys, Tensor values)
    {
        if (entries.TryGetValue(layer, out var old))
        {
            if (!ReferenceEquals(old.Keys, keys)) old.Keys.Dispose();
            if (!ReferenceEquals(old.Values, values)) old.Values.Dispose();
        }
        entries[layer] = (keys.DetachFromDisposeScope(), values.DetachFromDisposeScope());
    }
}
