using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>A network that reads one sequence and writes another. B batch, S source tokens, T target tokens, D width, V vocabulary.</summary>
public abstract class EncoderDecoderModel : LanguageModel
{
    private protected EncoderDecoderModel(string name, ConfigJson config, HeadSettings head, ModelBuilder build) : base(name, config, head, build)
    {
        if (head.Head is not ModelHead.SequenceToSequenceLM)
            throw new ArgumentException($"'{config.Source}': a {config.ModelType} model takes the head SequenceToSequenceLM; asked for {head.Head}.");
        PadId = config.Int("pad_token_id");
        StartId = config.Int("decoder_start_token_id", PadId);
    }

    /// <summary>Id of padding.</summary>
    public int PadId { get; }

    /// <summary>Id that starts every answer.</summary>
    public int StartId { get; }

    /// <summary>Hidden states of the source, (B, S, D).</summary>
    public abstract Tensor Encode(EncoderInputs inputs);

    /// <summary>Hidden states of the new target tokens, (B, T, D).</summary>
    /// <param name="target">The new target tokens.</param>
    /// <param name="memory">What <see cref="Encode"/> gave.</param>
    /// <param name="source">What it was given.</param>
    /// <param name="cache">Keys and values so far; <c>null</c> computes all anew.</param>
    public abstract Tensor Decode(DecoderInputs target, Tensor memory, EncoderInputs source, KeyValueCache? cache = null);

    /// <summary>Logits over the vocabulary, (…, V), for hidden states (…, D).</summary>
    public abstract Tensor Logits(Tensor hidden);

    /// <summary>Logits (B, T, V) of target ids (B, T), each place seeing the source and the target before it.</summary>
    public Tensor forward(EncoderInputs source, Tensor target)
    {
        var (inputs, whole) = (new DecoderInputs(target, attentionType: DataType, past: Adapter?.PrefixTokens ?? 0), WithPrompt(source));
        using var prefix = Adapter?.Prefix() is { } pairs ? new KeyValueCache(pairs, keeps: false) : null;
        try { return Logits(Decode(inputs, Encode(whole), whole, prefix)); }
        finally
        {
            if (!RecomputesLayers)                                            // else the backward pass reads them once more; they go with the caller's scope
            {
                inputs.Dispose();
                if (!ReferenceEquals(whole, source)) whole.Dispose();
            }
        }
    }

    /// <summary>The source after an adapter's prompt, or as it is.</summary>
    internal EncoderInputs WithPrompt(EncoderInputs source) => Adapter is { PromptTokens: > 0 } adapter ? source.After(adapter) : source;

    /// <summary>The decoder's input for labels (B, T): shifted right, the start token in front, -100 as padding.</summary>
    public virtual Tensor ShiftRight(Tensor labels)
    {
        using var scope = NewDisposeScope();
        var kept = labels.narrow(1, 0, labels.size(1) - 1);
        kept = kept.masked_fill(kept.eq(-100), PadId);
        return cat([full(labels.size(0), 1, StartId, dtype: ScalarType.Int64), kept], 1).MoveToOuterDisposeScope();
    }
}
