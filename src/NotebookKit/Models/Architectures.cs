using NotebookKit.Models.Decoders;
using NotebookKit.Models.EncoderDecoders;
using NotebookKit.Models.Encoders;

namespace NotebookKit.Models;

/// <summary>The architectures the kit knows, by the <c>model_type</c> of their configurations.</summary>
public static class Architectures
{
    private static readonly Dictionary<string, Func<ConfigJson, HeadSettings, ModelBuilder, LanguageModel>> ByType = new(StringComparer.Ordinal)
    {
        ["bert"] = (c, h, b) => new Bert(c, h, b), ["roberta"] = (c, h, b) => new Bert(c, h, b), ["xlm-roberta"] = (c, h, b) => new Bert(c, h, b),
        ["camembert"] = (c, h, b) => new Bert(c, h, b), ["electra"] = (c, h, b) => new Bert(c, h, b),
        ["distilbert"] = (c, h, b) => new DistilBert(c, h, b), ["albert"] = (c, h, b) => new Albert(c, h, b), ["mpnet"] = (c, h, b) => new Mpnet(c, h, b),
        ["modernbert"] = (c, h, b) => new ModernBert(c, h, b), ["deberta-v2"] = (c, h, b) => new DebertaV2(c, h, b),
        ["gpt2"] = (c, h, b) => new Gpt2(c, h, b), ["gpt_neox"] = (c, h, b) => new GptNeoX(c, h, b), ["gemma3_text"] = (c, h, b) => new Gemma3(c, h, b),
        ["llama"] = (c, h, b) => new Llama(c, h, b), ["mistral"] = (c, h, b) => new Llama(c, h, b), ["qwen2"] = (c, h, b) => new Llama(c, h, b),
        ["qwen3"] = (c, h, b) => new Llama(c, h, b), ["smollm3"] = (c, h, b) => new Llama(c, h, b), ["phi3"] = (c, h, b) => new Llama(c, h, b),
        ["t5"] = (c, h, b) => new T5(c, h, b), ["bart"] = (c, h, b) => new Bart(c, h, b), ["mbart"] = (c, h, b) => new Bart(c, h, b), ["marian"] = (c, h, b) => new Bart(c, h, b),
    };

    /// <summary>Their names, in alphabetical order.</summary>
    public static IReadOnlyList<string> Known { get; } = [.. ByType.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Builds a network without filling it.</summary>
    /// <exception cref="InvalidDataException">The architecture is unknown, or a field does not fit; the message names file, field and what is known.</exception>
    public static LanguageModel Build(ConfigJson config, HeadSettings head, ModelBuilder build) => Of(config)(config, head, build);

    /// <summary>The head that a configuration's weights were written with, by the reference's class name; without one, the architecture's usual head.</summary>
    public static HeadSettings HeadOf(ConfigJson config)
    {
        _ = Of(config);
        var name = config.ClassName;
        var head = name.EndsWith("ForSequenceClassification", StringComparison.Ordinal) ? ModelHead.SequenceClassification
            : name.EndsWith("ForTokenClassification", StringComparison.Ordinal) ? ModelHead.TokenClassification
            : name.EndsWith("ForMaskedLM", StringComparison.Ordinal) ? ModelHead.MaskedLM
            : name.EndsWith("ForCausalLM", StringComparison.Ordinal) || name.EndsWith("LMHeadModel", StringComparison.Ordinal) ? ModelHead.CausalLM
            : name.EndsWith("ForConditionalGeneration", StringComparison.Ordinal) || name.EndsWith("MTModel", StringComparison.Ordinal) ? ModelHead.SequenceToSequenceLM
            : config.ModelType switch { "t5" or "bart" or "mbart" or "marian" => ModelHead.SequenceToSequenceLM, _ => ModelHead.None };
        var pooling = head == ModelHead.SequenceClassification && config.ModelType != "modernbert" && config.Text("classifier_pooling", "") == "mean" ? Pooling.Mean : Pooling.Pooler;
        return new HeadSettings(head, head is ModelHead.SequenceClassification or ModelHead.TokenClassification ? config.LabelCount : 0, pooling);
    }

    /// <summary>The reference's class name for a configuration's architecture under a head, such as <c>BertForMaskedLM</c>.</summary>
    internal static string ClassNameOf(ConfigJson config, ModelHead head)
    {
        var stem = config.ModelType switch
        {
            "bert" => "Bert", "roberta" => "Roberta", "xlm-roberta" => "XLMRoberta", "camembert" => "Camembert", "electra" => "Electra", "distilbert" => "DistilBert",
            "albert" => "Albert", "mpnet" => "MPNet", "modernbert" => "ModernBert", "deberta-v2" => "DebertaV2", "gpt2" => "GPT2", "gpt_neox" => "GPTNeoX", "gemma3_text" => "Gemma3",
            "llama" => "Llama", "mistral" => "Mistral", "qwen2" => "Qwen2", "qwen3" => "Qwen3", "smollm3" => "SmolLM3", "phi3" => "Phi3",
            "t5" => "T5", "bart" => "Bart", "mbart" => "MBart", "marian" => "Marian", _ => throw new ArgumentOutOfRangeException(nameof(config)),
        };
        return head switch
        {
            ModelHead.SequenceClassification => stem + "ForSequenceClassification",
            ModelHead.TokenClassification => stem + "ForTokenClassification",
            ModelHead.MaskedLM => stem + "ForMaskedLM",
            ModelHead.CausalLM => stem == "GPT2" ? "GPT2LMHeadModel" : stem + "ForCausalLM",
            ModelHead.SequenceToSequenceLM => stem == "Marian" ? "MarianMTModel" : stem + "ForConditionalGeneration",
            _ => stem == "Gemma3" ? "Gemma3TextModel" : stem + "Model",
        };
    }

    private static Func<ConfigJson, HeadSettings, ModelBuilder, LanguageModel> Of(ConfigJson config) =>
        ByType.TryGetValue(config.ModelType, out var make) ? make
            : throw new InvalidDataException($"'{config.Source}' has model_type '{config.ModelType}'"
                + (config.ClassName.Length > 0 ? $" (architectures: {config.ClassName})" : "") + $". The kit knows {string.Join(", ", Known)}.");
}
