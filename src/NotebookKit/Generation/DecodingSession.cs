using NotebookKit.Generation.Decoding;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Generation;

/// <summary>A model in the middle of writing: rows of tokens that grow one by one, with or without a cache. Tensors live only in here.</summary>
internal abstract class DecodingSession : IDisposable
{
    /// <summary>Makes the session that suits the model.</summary>
    /// <exception cref="ArgumentException">The model writes nothing, or cannot be read in the weights asked for.</exception>
    public static DecodingSession Start(LanguageModel model, int[][] prompts, GenerationSettings settings)
    {
        if (settings.UseCache && settings.UseEngine && DecodingEngine.TryMake(model, settings.Weights) is { } engine) return new EngineSession(engine, prompts, model.Config.Int("vocab_size"));
        if (settings.Weights != DecodingWeights.AsLoaded)
            throw new ArgumentException($"Weights = {settings.Weights} is for GPT-2 and the Llama family in fp32 and evaluation mode, without adapters and with UseCache and UseEngine; got a {model.Config.ModelType} model in {model.DataType}. Leave Weights as loaded.");
        return Plain(model, prompts, settings.UseCache);
    }

    private static DecodingSession Plain(LanguageModel model, int[][] prompts, bool useCache) => model switch
    {
        DecoderModel decoder => new DecoderSession(decoder, prompts, useCache),
        EncoderDecoderModel pair => new EncoderDecoderSession(pair, prompts, useCache),
        _ => throw new ArgumentException($"A {model.Config.ModelType} model reads in both directions and writes nothing; generation needs a decoder or an encoder-decoder."),
    };

    /// <summary>Tokens each row starts with, which count for the filters: the prompt, or an encoder-decoder's start token.</summary>
    public abstract int[][] Start();

    /// <summary>Logits of the next token of every row; <paramref name="chosen"/> is what each row got last, <c>null</c> at first.</summary>
    public abstract float[][] Next(int[]? chosen);

    /// <summary>Makes row i the former row <paramref name="rows"/>[i].</summary>
    public abstract void Reorder(int[] rows);

    public abstract void Dispose();

    protected static float[][] Rows(Tensor logits)
    {
        using var wide = logits.to(ScalarType.Float32).contiguous();
        var (flat, width) = (wide.data<float>().ToArray(), (int)wide.size(1));
        return [.. Enumerable.Range(0, (int)wide.size(0)).Select(i => flat[(i * width)..((i + 1) * width)])];
    }

    /// <summary>Keys and values that an adapter puts before every row's, or <c>null</c>; whoever asked drops them.</summary>
    protected static IReadOnlyList<(Tensor Keys, Tensor Values)>? PrefixOf(LanguageModel model)
    {
        using var noGradient = no_grad();
        return model.Adapter?.Prefix()?.Select(p => (p.Keys.DetachFromDisposeScope(), p.Values.DetachFromDisposeScope())).ToArray();
    }

    /// <summary>What every pass reads and, where a cache is wanted, adds to; <c>null</c> where there is neither that nor a prefix.</summary>
    protected static KeyValueCache? CacheOf(IReadOnlyList<(Tensor Keys, Tensor Values)>? prefix, bool keeps) => keeps || prefix is not null ? new KeyValueCache(prefix, keeps) : null;

    protected static void Drop(IReadOnlyList<(Tensor Keys, Tensor Values)>? prefix)
    {
        foreach (var (keys, values) in prefix ?? [])
        {
            keys.Dispose();
            values.Dispose();
        }
    }

    protected static Tensor Column(int[] ids) => tensor(Array.ConvertAll(ids, i => (long)i), [ids.Length, 1]);

    protected static void Replace(ref Tensor? held, Tensor? value)
    {
        if (ReferenceEquals(held, value)) return;
        held?.Dispose();
        held = value?.DetachFromDisposeScope();
    }
}

internal sealed class DecoderSession : DecodingSession
{
    private readonly DecoderModel _model;
    private readonly int[][] _prompts;
    private readonly IReadOnlyList<(Tensor Keys, Tensor Values)>? _prefix;
    private readonly KeyValueCache? _cache;
    private Tensor? _ids, _mask;

    public DecoderSession(DecoderModel model, int[][] prompts, bool useCache)
    {
        (_model, _prompts) = (model, prompts);
        _prefix = PrefixOf(model);
        _cache = CacheOf(_prefix, useCache);
        var rows = prompts;
        if (model.Adapter is { PromptTokens: > 0 and var n }) rows = [.. prompts.Select(p => (int[])[.. Enumerable.Range(0, n).Select(i => -1 - i), .. p])];
        var (length, before) = (rows.Max(p => p.Length), (int)(_prefix?[0].Keys.size(1) ?? 0));
        var (ids, mask) = (new long[rows.Length * length], new bool[rows.Length * (before + length)]);
        for (var row = 0; row < rows.Length; row++)
        {
            mask.AsSpan(row * (before + length), before).Fill(true);
            for (var t = 0; t < rows[row].Length; t++)
            {
                var at = length - rows[row].Length + t;                                  // padded on the left: all rows end together
                (ids[row * length + at], mask[row * (before + length) + before + at]) = (rows[row][t], true);
            }
        }
        _ids = tensor(ids, [rows.Length, length]).DetachFromDisposeScope();
        _mask = rows.All(p => p.Length == length) ? null : tensor(mask, [rows.Length, before + length]).DetachFromDisposeScope();
    }

    public override int[][] Start() => _prompts;

    public override float[][] Next(int[]? chosen)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        if (chosen is not null)
        {
            Replace(ref _ids, cat([_ids!, Column(chosen)], 1));
            if (_mask is not null) Replace(ref _mask, cat([_mask, ones(chosen.Length, 1, dtype: ScalarType.Bool)], 1));
        }
        var fresh = _cache is not { Keeps: true } || chosen is null ? _ids! : _ids!.narrow(1, _ids.size(1) - 1, 1);
        using var inputs = new DecoderInputs(fresh, _mask, past: _cache?.Length ?? 0, attentionType: _model.DataType);
        var hidden = _model.Decode(inputs, _cache);
        return Rows(_model.Logits(hidden.select(1, hidden.size(1) - 1)));
    }

    public override void Reorder(int[] rows)
    {
        using var scope = NewDisposeScope();
        var index = Array.ConvertAll(rows, r => (long)r);
        Replace(ref _ids, _ids!.index_select(0, tensor(index)));
        if (_mask is not null) Replace(ref _mask, _mask.index_select(0, tensor(index)));
        _cache?.Reorder(index);
    }

    public override void Dispose()
    {
        _ids?.Dispose();
        _mask?.Dispose();
        _cache?.Dispose();
        Drop(_prefix);
    }
}

internal sealed class EncoderDecoderSession : DecodingSession
{
    private readonly EncoderDecoderModel _model;
    private readonly IReadOnlyList<(Tensor Keys, Tensor Values)>? _prefix;
    private readonly KeyValueCache? _cache;
    private readonly int _rows;
    private EncoderInputs _source;
    private Tensor? _memory, _ids;

    public EncoderDecoderSession(EncoderDecoderModel model, int[][] sources, bool useCache)
    {
        (_model, _rows, _prefix) = (model, sources.Length, PrefixOf(model));
        _cache = CacheOf(_prefix, useCache);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var batch = Data.Batch.Pad(sources, model.PadId);
        var mask = batch.RowLengths.All(l => l == batch.Length) ? null : tensor([.. batch.RowLengths.SelectMany(l => Enumerable.Range(0, batch.Length).Select(t => t < l))], [sources.Length, batch.Length]);
        _source = Source(tensor(batch.Ids, [sources.Length, batch.Length], dtype: ScalarType.Int64), mask);
        if (model.WithPrompt(_source) is var whole && !ReferenceEquals(whole, _source))
        {
            _source.Dispose();
            whole.Detach();
            _source = whole;
        }
        Replace(ref _memory, model.Encode(_source));
        _ids = Column(Enumerable.Repeat(model.StartId, sources.Length).ToArray()).DetachFromDisposeScope();
    }

    public override int[][] Start() => [.. Enumerable.Repeat(new[] { _model.StartId }, _rows)];

    public override float[][] Next(int[]? chosen)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        if (chosen is not null) Replace(ref _ids, cat([_ids!, Column(chosen)], 1));
        var fresh = _cache is not { Keeps: true } || chosen is null ? _ids! : _ids!.narrow(1, _ids.size(1) - 1, 1);
        using var inputs = new DecoderInputs(fresh, past: _cache?.Length ?? 0, attentionType: _model.DataType);
        var hidden = _model.Decode(inputs, _memory!, _source, _cache);
        return Rows(_model.Logits(hidden.select(1, hidden.size(1) - 1)));
    }

    public override void Reorder(int[] rows)
    {
        using var scope = NewDisposeScope();
        var index = tensor(Array.ConvertAll(rows, r => (long)r));
        Replace(ref _ids, _ids!.index_select(0, index));
        Replace(ref _memory, _memory!.index_select(0, index));
        var old = _source;
        _source = Source(old.Ids.index_select(0, index), old.Bias is null ? null : old.Mask.squeeze(2).index_select(0, index));
        old.Dispose();
        _cache?.Reorder(Array.ConvertAll(rows, r => (long)r));
    }

    public override void Dispose()
    {
        _source.Dispose();
        _memory?.Dispose();
        _ids?.Dispose();
        _cache?.Dispose();
        Drop(_prefix);
    }

    private EncoderInputs Source(Tensor ids, Tensor? mask)
    {
        var source = new EncoderInputs(ids, mask, attentionType: _model.DataType);
        source.Detach();
        return source;
    }
}
