using System.Text.Json.Nodes;
using NotebookKit.Models;

namespace NotebookKit.Generation;

/// <summary>When beam search stops looking for better hypotheses.</summary>
public enum EarlyStopping
{
    /// <summary>When the best running hypothesis, at its present length, can no longer beat the worst finished one. The reference's default.</summary>
    WhenNoneCanImprove,
    /// <summary>As soon as there are as many finished hypotheses as beams.</summary>
    AtOnce,
    /// <summary>Only when no running hypothesis, at the length that would favour it most, can beat the worst finished one.</summary>
    Never,
}

/// <summary>What a decoder's matrices are read as while it writes: the fewer bytes, the faster.</summary>
public enum DecodingWeights
{
    /// <summary>As the model holds them.</summary>
    AsLoaded,
    /// <summary>Rounded to bf16, computed in fp32.</summary>
    BFloat16,
    /// <summary>Rounded to 8 bits with a factor a row, computed in fp32.</summary>
    Int8,
}

/// <summary>How tokens are chosen. Names and defaults are those of the reference's generation_config.json.</summary>
public sealed record GenerationSettings
{
    /// <summary>Most tokens to write, at least 1. Default 20.</summary>
    public int MaximumNewTokens { get; init; } = 20;

    /// <summary>The end token is not chosen before so many tokens. Default 0.</summary>
    public int MinimumNewTokens { get; init; }

    /// <summary>Whether tokens are drawn by their probabilities; else the most probable is taken. Default no.</summary>
    public bool Sample { get; init; }

    /// <summary>Logits are divided by this before drawing; above 0. Default 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Draw from the k most probable tokens only; 0 is all (Fan et al. 2018). Default 0.</summary>
    public int TopK { get; init; }

    /// <summary>Draw from the fewest tokens whose probabilities reach this, in (0, 1] (Holtzman et al. 2020). Default 1, which is all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Draw from tokens at least this share as probable as the best, in [0, 1) (Nguyen et al. 2024). Default 0, which is all.</summary>
    public double MinP { get; init; }

    /// <summary>Logits of tokens that stand there already are divided by this where positive and multiplied where negative (Keskar et al. 2019); above 0. Default 1.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>No sequence of so many tokens comes twice; 0 is no limit. Default 0.</summary>
    public int NoRepeatNgramSize { get; init; }

    /// <summary>Hypotheses kept side by side; 1 is no beam search. Default 1.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>A hypothesis' score is its log-probability over its length to this power. Default 1.</summary>
    public double LengthPenalty { get; init; } = 1;

    /// <summary>When beam search stops. Default <see cref="EarlyStopping.WhenNoneCanImprove"/>.</summary>
    public EarlyStopping EarlyStopping { get; init; }

    /// <summary>Hypotheses to return for each prompt, at most <see cref="Beams"/>. Default 1.</summary>
    public int ReturnedSequences { get; init; } = 1;

    /// <summary>Tokens that end an answer; none goes on to <see cref="MaximumNewTokens"/>.</summary>
    public IReadOnlyList<int> EndIds { get; init; } = [];

    /// <summary>The token every answer of an encoder-decoder must begin with, such as a language code; <c>null</c> is none.</summary>
    public int? ForcedFirstId { get; init; }

    /// <summary>The token put at the last place when <see cref="MaximumNewTokens"/> is reached; <c>null</c> is none.</summary>
    public int? ForcedEndId { get; init; }

    /// <summary>Tokens that are never chosen.</summary>
    public IReadOnlyList<int> SuppressedIds { get; init; } = [];

    /// <summary>Sequences of tokens that are never completed.</summary>
    public IReadOnlyList<IReadOnlyList<int>> BadWords { get; init; } = [];

    /// <summary>Texts that end an answer where they appear; they need a way to decode.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Seed of what is drawn; row i of a batch draws from a source of its own. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Whether keys and values of tokens read are kept. Without, every step reads everything anew: slower, the same tokens. Default yes.</summary>
    public bool UseCache { get; init; } = true;

    /// <summary>Whether GPT-2 and the Llama family in fp32 are computed by vector code of the kit's own, several times as fast as libtorch's operations for one token at a time; other models are computed as ever. Default yes.</summary>
    public bool UseEngine { get; init; } = true;

    /// <summary>What the matrices are read as. Default <see cref="DecodingWeights.AsLoaded"/>.</summary>
    public DecodingWeights Weights { get; init; }

    /// <summary>Settings that come with a model: generation_config.json, or the fields older config.json files have for it.</summary>
    public static GenerationSettings Of(PretrainedModel model)
    {
        var own = File.Exists(Path.Combine(model.Folder, "generation_config.json")) ? ConfigJson.Load(model.Folder, "generation_config.json") : model.Config;
        int? Id(string name) => own.Has(name) ? own.Int(name) : model.Config.Has(name) ? model.Config.Int(name) : null;
        var d = new GenerationSettings();
        return d with
        {
            EndIds = Ids(own, "eos_token_id") ?? Ids(model.Config, "eos_token_id") ?? [], ForcedFirstId = Id("forced_bos_token_id"), ForcedEndId = Id("forced_eos_token_id"),
            SuppressedIds = Ids(own, "suppress_tokens") ?? [], MaximumNewTokens = own.Int("max_new_tokens", d.MaximumNewTokens),
            Sample = own.Flag("do_sample", false), Temperature = own.Real("temperature", 1), TopK = own.Int("top_k", 0), TopP = own.Real("top_p", 1), MinP = own.Real("min_p", 0),
            RepetitionPenalty = own.Real("repetition_penalty", 1), NoRepeatNgramSize = own.Int("no_repeat_ngram_size", 0), Beams = own.Int("num_beams", 1),
            LengthPenalty = own.Real("length_penalty", 1), EarlyStopping = own.Json["early_stopping"]?.ToString() switch { "true" => EarlyStopping.AtOnce, "never" => EarlyStopping.Never, _ => EarlyStopping.WhenNoneCanImprove },
            BadWords = own.Json["bad_words_ids"] is JsonArray words ? [.. words.Select(w => (IReadOnlyList<int>)[.. ((JsonArray)w!).Select(i => i!.GetValue<int>())])] : [],
        };
    }

    /// <summary>Refuses what cannot be, naming the setting.</summary>
    internal void Validate(int vocabulary)
    {
        static void Check(bool good, string name, object value, string wanted)
        {
            if (!good) throw new ArgumentException($"{name} must be {wanted}; got {value}.");
        }
        Check(MaximumNewTokens >= 1, nameof(MaximumNewTokens), MaximumNewTokens, "at least 1");
        Check(Temperature > 0, nameof(Temperature), Temperature, "above 0 (for the most probable token set Sample to false)");
        Check(TopK >= 0, nameof(TopK), TopK, "at least 0");
        Check(TopP is > 0 and <= 1, nameof(TopP), TopP, "in (0, 1]");
        Check(MinP is >= 0 and < 1, nameof(MinP), MinP, "in [0, 1)");
        Check(RepetitionPenalty > 0, nameof(RepetitionPenalty), RepetitionPenalty, "above 0");
        Check(NoRepeatNgramSize >= 0, nameof(NoRepeatNgramSize), NoRepeatNgramSize, "at least 0");
        Check(Beams >= 1, nameof(Beams), Beams, "at least 1");
        Check(Beams == 1 || !Sample, nameof(Beams), Beams, "1 when Sample is true");
        Check(ReturnedSequences >= 1 && ReturnedSequences <= Beams, nameof(ReturnedSequences), ReturnedSequences, $"in [1, Beams = {Beams}]");
        foreach (var id in EndIds.Concat(ForcedEndId is { } e ? [e] : []).Concat(ForcedFirstId is { } f ? [f] : []))
            Check(id >= 0 && id < vocabulary, id == ForcedFirstId ? nameof(ForcedFirstId) : nameof(EndIds), id, $"in the vocabulary [0, {vocabulary})");
    }

    private static IReadOnlyList<int>? Ids(ConfigJson config, string name) => config.Json[name] switch
    {
        null => null,
        JsonArray many => [.. many.Select(i => i!.GetValue<int>())],
        _ => [config.Int(name)],
    };
}
