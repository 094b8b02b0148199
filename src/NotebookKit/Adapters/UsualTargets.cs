using NotebookKit.Models;

namespace NotebookKit.Adapters;

/// <summary>Layers that a method is put on where nobody says which, by the reference's names of each architecture.</summary>
internal static class UsualTargets
{
    /// <summary>Keys, values and the second layer of the feed-forward part, and which of these have their inputs multiplied.</summary>
    public static (ModulePattern Targets, ModulePattern FeedForward)? Ia3(ConfigJson config) => config.ModelType switch
    {
        "bert" or "roberta" or "xlm-roberta" or "camembert" or "electra" => Both(["key", "value", "output.dense"], "output.dense"),
        "distilbert" => Both(["k_lin", "v_lin", "lin2"], "lin2"),
        "mpnet" => Both(["attn.k", "attn.v", "output.dense"], "output.dense"),
        "albert" => Both(["key", "value", "ffn_output"], "ffn_output"),
        "modernbert" => Both(["Wqkv", "mlp.Wo"], "mlp.Wo"),
        "deberta-v2" => Both(["key_proj", "value_proj", "output.dense"], "output.dense"),
        "gpt2" => Both(["c_attn", "mlp.c_proj"], "mlp.c_proj"),
        "gpt_neox" => Both(["query_key_value", "dense_4h_to_h"], "dense_4h_to_h"),
        "phi3" => Both(["qkv_proj", "down_proj"], "down_proj"),
        "llama" or "mistral" or "qwen2" or "qwen3" or "smollm3" or "gemma3_text" or "gemma3" => Both(["k_proj", "v_proj", "down_proj"], "down_proj"),
        "t5" or "mt5" => Both(["k", "v", "wo"], "wo"),
        "bart" or "mbart" or "marian" => Both(["k_proj", "v_proj", "fc2"], "fc2"),
        _ => null,
    };

    /// <summary>What attention and feed-forward part of a layer end with.</summary>
    public static ModulePattern? Bottleneck(ConfigJson config) => config.ModelType switch
    {
        "bert" or "roberta" or "xlm-roberta" or "camembert" or "electra" or "deberta-v2" => ModulePattern.Named("output.dense"),
        "distilbert" => ModulePattern.Named("out_lin", "lin2"),
        "mpnet" => ModulePattern.Named("attn.o", "output.dense"),
        "albert" => ModulePattern.Named("attention.dense", "ffn_output"),
        "modernbert" => ModulePattern.Named("Wo"),
        "gpt2" => ModulePattern.Named("c_proj"),
        "gpt_neox" => ModulePattern.Named("attention.dense", "dense_4h_to_h"),
        "llama" or "mistral" or "qwen2" or "qwen3" or "smollm3" or "phi3" or "gemma3_text" or "gemma3" => ModulePattern.Named("o_proj", "down_proj"),
        "t5" or "mt5" => ModulePattern.Named("o", "wo"),
        "bart" or "mbart" or "marian" => ModulePattern.Named("out_proj", "fc2"),
        _ => null,
    };

    private static (ModulePattern Targets, ModulePattern FeedForward) Both(string[] targets, string feedForward) => (ModulePattern.Named(targets), ModulePattern.Named(feedForward));
}
