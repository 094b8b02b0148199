using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>A network that reads from left to right. B batch, T tokens, D width, C classes, V vocabulary.</summary>
public abstract class DecoderModel : LanguageModel
{
    private protected DecoderModel(string name, ConfigJson config, HeadSettings head, ModelBuilder build) : base(name, config, head, build)
    {
        if (head.Head is not (ModelHead.CausalLM or ModelHead.SequenceClassification or ModelHead.None))
            throw new ArgumentException($"'{config.Source}': a {config.ModelType} model takes the heads CausalLM, SequenceClassification and None; asked for {head.Head}.");
        PadId = config.Has("pad_token_id") ? config.Int("pad_token_id") : -1;
    }

    /// <summary>Id of padding, or -1 where the configuration has none.</summary>
    public int PadId { get; }

    /// <summary>Whether a key in the cache may differ from one computed anew, because rope frequencies depend on the length read so far.</summary>
    public virtual bool CacheDependsOnLength => false;

    /// <summary>Hidden states of the new tokens, (B, T, D); their keys and values go into <paramref name="cache"/> where there is one.</summary>
    public abstract Tensor Decode(DecoderInputs inputs, KeyValueCache? cache = null);

    /// <summary>Logits over the vocabulary, or class logits at every place, for hidden states (…, D).</summary>
    public abstract Tensor Logits(Tensor hidden);

    /// <summary>The model as weights and numbers, where its architecture can be told so; else <c>null</c>.</summary>
    internal virtual DecoderPlan? Plan() => null;

    /// <summary>What comes out of the head: vocabulary logits (B, T, V), class logits (B, C) at each row's last token that is not padding, or hidden states (B, T, D).</summary>
    public Tensor forward(DecoderInputs inputs)
    {
        var after = AdapterTokens == 0 ? null : inputs.After(Adapter!);
        using var prefix = Adapter?.Prefix() is { } pairs ? new KeyValueCache(pairs, keeps: false) : null;
        try { return Answer(after ?? inputs, prefix); }
        finally
        {
            if (!RecomputesLayers) after?.Dispose();                         // else the backward pass reads them once more; they go with the caller's scope
        }
    }

    private Tensor Answer(DecoderInputs inputs, KeyValueCache? prefix)
    {
        var hidden = Decode(inputs, prefix);
        if (Head.Head == ModelHead.None) return hidden;
        return Head.Head == ModelHead.CausalLM ? Logits(hidden) : Logits(LastToken(hidden, inputs.Ids));
    }

    private Tensor LastToken(Tensor hidden, Tensor ids)
    {
        var (B, T) = (ids.size(0), ids.size(1));
        if (PadId < 0)
            return B == 1 ? hidden.select(1, T - 1)
                : throw new InvalidOperationException($"'{Config.Source}' has no pad_token_id, which finds each row's last token in a batch of {B}.");
        var last = (ids.ne(PadId).to(ScalarType.Int64) * arange(T)).argmax(1);                      // (B)
        return hidden.gather(1, last.view(B, 1, 1).expand(B, 1, hidden.size(2))).squeeze(1);       // (B, D)
    }
}
