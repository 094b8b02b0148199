using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Checkpoints;
using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>Adapters on disk as PEFT 0.21 writes them: adapter_config.json and adapter_model.safetensors.</summary>
internal static class PeftFolder
{
    private const string ConfigFile = "adapter_config.json", WeightsFile = "adapter_model.safetensors", BaseHash = "notebookkit_base_sha256";

    /// <summary>The settings that adapter_config.json holds.</summary>
    public static AdapterSettings ReadSettings(string folder)
    {
        var config = ConfigJson.Load(folder, ConfigFile);
        if (!File.Exists(Path.Combine(folder, WeightsFile))) throw new FileNotFoundException($"No {WeightsFile} in '{folder}'. (adapter_model.bin, which may hold code, is not read: save it anew as safetensors.)", Path.Combine(folder, WeightsFile));
        var type = config.Text("peft_type", "").ToUpperInvariant();
        var saved = config.Texts("modules_to_save")?.Distinct().ToArray() ?? [];
        try
        {
            return type switch
            {
                "LORA" => Lora(config) with { Targets = Pattern(config, "target_modules"), ModulesToSave = saved },
                "IA3" => new Ia3Settings { Targets = Pattern(config, "target_modules"), FeedForward = Pattern(config, "feedforward_modules"), ModulesToSave = saved },
                "PROMPT_TUNING" => new PromptSettings { Tokens = config.Int("num_virtual_tokens"), ModulesToSave = saved },
                "PREFIX_TUNING" => new PrefixSettings { Tokens = config.Int("num_virtual_tokens"), ModulesToSave = saved },
                "BITFIT" => new BitFitSettings { ModulesToSave = saved },
                "BOTTLENECK" => new BottleneckSettings { Width = config.Int("width"), Targets = Pattern(config, "target_modules"), ModulesToSave = saved },
                _ => throw new InvalidDataException($"'{config.Source}' has peft_type '{type}'. The kit knows LORA, IA3, PROMPT_TUNING, PREFIX_TUNING, and its own BITFIT and BOTTLENECK."),
            };
        }
        catch (ArgumentException e) { throw new InvalidDataException($"'{config.Source}': {e.Message}", e); }
    }

    /// <summary>Fills an adapter; nothing is changed unless everything is there in its shape and the base is the one it was trained on.</summary>
    public static void ReadWeights(string folder, Adapter adapter)
    {
        var path = Path.Combine(folder, WeightsFile);
        using var file = SafetensorsFile.Open(path);
        if (file.Metadata.TryGetValue(BaseHash, out var hash) && hash != HashOfBase(adapter))
            throw new InvalidDataException($"'{path}': {BaseHash} in its metadata is not the hash of this model's weights: the adapter was trained on another base. Load the base it was trained on ('{ConfigJson.Load(folder, ConfigFile).Text("base_model_name_or_path", "?")}').");
        var keys = file.Tensors.Keys.ToDictionary(Plain, k => k, StringComparer.Ordinal);
        var wanted = adapter.Parameters().ToArray();
        foreach (var (name, parameter) in wanted)
        {
            if (!keys.TryGetValue(name, out var key)) throw new InvalidDataException($"'{path}' lacks '{name}', which its adapter_config.json asks for in this model. It holds keys like '{file.Tensors.Keys.FirstOrDefault()}'.");
            if (!file.Tensors[key].Shape.SequenceEqual(parameter.shape))
                throw new InvalidDataException($"'{path}': '{key}' has the shape [{string.Join(", ", file.Tensors[key].Shape)}], the adapter needs [{string.Join(", ", parameter.shape)}]: it was trained on another base, or with other settings.");
        }
        // A table's own weights may stand beside its adapter; they are the base's.
        var unknown = keys.Keys.Except(wanted.Select(w => w.Name)).Where(k => !(k.EndsWith(".weight", StringComparison.Ordinal) && adapter.Parts.Any(p => p.Layer.Kind == LayerKind.Table && k == p.Path + ".weight"))).ToArray();
        if (unknown.Length > 0) throw new InvalidDataException($"'{path}' holds {unknown.Length} tensors that belong to no layer of this model under its adapter_config.json, such as '{keys[unknown[0]]}'.");
        using var noGradient = no_grad();
        foreach (var (name, parameter) in wanted) file.ReadInto(keys[name], parameter);
    }

    /// <summary>Writes the adapter; the configuration last, so that a folder with one is whole.</summary>
    public static void Write(string folder, Adapter adapter, string? baseName)
    {
        Directory.CreateDirectory(folder);
        var inModel = adapter.Settings is PromptSettings or PrefixSettings ? "base_model." : "base_model.model.";
        SafetensorsWriter.Write(Path.Combine(folder, WeightsFile), adapter.Parameters().Select(p => KeyValuePair.Create(p.Name == "prompt_embeddings" ? p.Name : inModel + Written(adapter, p.Name), (Tensor)p.Parameter)),
            metadata: new Dictionary<string, string> { ["format"] = "pt", [BaseHash] = HashOfBase(adapter) });
        ModelFolder.WriteJson(Path.Combine(folder, ConfigFile), ConfigOf(adapter, baseName));
    }

    /// <summary>A key without what PEFT puts around it; the names of its versions differ.</summary>
    internal static string Plain(string key)
    {
        foreach (var prefix in new[] { "base_model.model.", "base_model." })
            if (key.StartsWith(prefix, StringComparison.Ordinal))
            {
                key = key[prefix.Length..];
                break;
            }
        foreach (var part in new[] { ".base_layer", ".modules_to_save", ".default" }) key = (key + ".").Replace(part + ".", ".", StringComparison.Ordinal)[..^1];
        return key.EndsWith(".lora_magnitude_vector.weight", StringComparison.Ordinal) ? key[..^".weight".Length] : key;
    }

    /// <summary>The bias of a layer that carries a part has another key.</summary>
    private static string Written(Adapter adapter, string name) => adapter.Parts.FirstOrDefault(p => name == p.Path + ".bias") is { } part ? part.Path + ".base_layer.bias" : name;

    private static LoraSettings Lora(ConfigJson config)
    {
        foreach (var field in new[] { "use_qalora", "use_bdlora", "lora_bias" })
            if (config.Flag(field, false)) throw new InvalidDataException($"'{config.Source}' has {field} = true, which the kit does not know.");
        foreach (var field in new[] { "alora_invocation_tokens", "layer_replication", "target_parameters", "trainable_token_indices", "arrow_config", "velora_config", "monteclora_config", "kasa_config" })
            if (config.Json[field] is not (null or JsonArray { Count: 0 })) throw new InvalidDataException($"'{config.Source}' sets {field}, which the kit does not know.");
        return new LoraSettings
        {
            Rank = config.Int("r", 8), Alpha = config.Real("lora_alpha", 8), Dropout = config.Real("lora_dropout", 0), RankStabilised = config.Flag("use_rslora", false), DecomposesWeights = config.Flag("use_dora", false),
            Biases = config.Text("bias", "none") switch { "none" => TrainedBiases.None, "lora_only" => TrainedBiases.Adapted, "all" => TrainedBiases.All, var other => throw new InvalidDataException($"'{config.Source}' has bias = '{other}'; there are none, lora_only and all.") },
            RankPattern = Map(config, "rank_pattern", n => n.GetValue<int>()), AlphaPattern = Map(config, "alpha_pattern", n => n.GetValue<double>()),
        };
    }

    private static Dictionary<string, T> Map<T>(ConfigJson config, string field, Func<JsonNode, T> read) =>
        config.Json[field] is JsonObject map ? map.ToDictionary(p => p.Key, p => read(p.Value!), StringComparer.Ordinal) : [];

    private static ModulePattern? Pattern(ConfigJson config, string field)
    {
        ModulePattern? One(string name) => config.Json[name] switch
        {
            null => null,
            JsonArray { Count: 0 } => null,
            JsonArray names => ModulePattern.Named([.. names.Select(n => n!.GetValue<string>())]),
            JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>() is "all-linear" ? ModulePattern.AllLinear : ModulePattern.Regex(value.GetValue<string>()),
            _ => throw new InvalidDataException($"'{config.Source}': {name} is a list of names or a regular expression."),
        };
        if (One(field) is not { } pattern) return null;
        if (field != "target_modules") return pattern;
        int[]? layers = config.Json["layers_to_transform"] switch { null => null, JsonArray many => [.. many.Select(n => n!.GetValue<int>())], var one => [one.GetValue<int>()] };
        string[]? parts = config.Json["layers_pattern"] switch { null => null, JsonArray many => [.. many.Select(n => n!.GetValue<string>())], var one => [one.GetValue<string>()] };
        return pattern with { Layers = layers, LayerParts = parts, Except = One("exclude_modules") };
    }

    private static JsonNode? Json(ModulePattern? pattern, IEnumerable<string>? resolved = null) => pattern switch
    {
        null => null,
        { Expression: { } expression } => expression,
        { Names: { } names } => new JsonArray([.. names.Select(n => (JsonNode)n)]),
        _ => new JsonArray([.. resolved!.Select(n => (JsonNode)n)]),
    };

    private static JsonObject ConfigOf(Adapter adapter, string? baseName)
    {
        var (settings, model) = (adapter.Settings, adapter.Model);
        var json = new JsonObject
        {
            ["base_model_name_or_path"] = baseName ?? NameOf(model), ["inference_mode"] = true, ["peft_type"] = settings switch { LoraSettings => "LORA", Ia3Settings => "IA3", PromptSettings => "PROMPT_TUNING", PrefixSettings => "PREFIX_TUNING", BitFitSettings => "BITFIT", _ => "BOTTLENECK" },
            ["revision"] = null,
            ["task_type"] = model.Head.Head switch { ModelHead.SequenceClassification => "SEQ_CLS", ModelHead.TokenClassification => "TOKEN_CLS", ModelHead.CausalLM => "CAUSAL_LM", ModelHead.SequenceToSequenceLM => "SEQ_2_SEQ_LM", ModelHead.None => "FEATURE_EXTRACTION", _ => null },
            ["modules_to_save"] = adapter.SavedModules.Count == 0 ? null : new JsonArray([.. adapter.SavedModules.Select(n => (JsonNode)n)]),
        };
        if (adapter.Parts.Count > 0 && settings is not PromptSettings) json["target_modules"] = settings.Targets is { Names: null, Expression: null } or null ? new JsonArray([.. adapter.Matched.Select(n => (JsonNode)n)]) : Json(settings.Targets);
        if (settings.Targets is { Layers: { } layers }) json["layers_to_transform"] = new JsonArray([.. layers.Select(l => (JsonNode)l)]);
        if (settings.Targets is { LayerParts: { } parts }) json["layers_pattern"] = new JsonArray([.. parts.Select(l => (JsonNode)l)]);
        if (settings.Targets is { Except: { } except }) json["exclude_modules"] = Json(except, []);
        switch (settings)
        {
            case LoraSettings lora:
                (json["r"], json["lora_alpha"], json["lora_dropout"], json["use_rslora"], json["use_dora"], json["init_lora_weights"]) = (lora.Rank, lora.Alpha, lora.Dropout, lora.RankStabilised, lora.DecomposesWeights, true);
                json["fan_in_fan_out"] = adapter.Parts.Any(p => p.Layer.Kind == LayerKind.Transposed);
                json["bias"] = lora.Biases switch { TrainedBiases.None => "none", TrainedBiases.All => "all", _ => "lora_only" };
                json["rank_pattern"] = new JsonObject(lora.RankPattern.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)p.Value)));
                json["alpha_pattern"] = new JsonObject(lora.AlphaPattern.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)p.Value)));
                break;
            case Ia3Settings ia3:
                json["fan_in_fan_out"] = adapter.Parts.Any(p => p.Layer.Kind == LayerKind.Transposed);
                json["feedforward_modules"] = ia3.FeedForward is null ? new JsonArray([.. adapter.Parts.Where(p => p is Ia3Part { OnInput: true }).Select(p => (JsonNode)p.Path)]) : Json(ia3.FeedForward, []);
                json["init_ia3_weights"] = true;
                break;
            case BottleneckSettings bottleneck: json["width"] = bottleneck.Width; break;
            case PromptSettings or PrefixSettings:
                var (count, heads, width) = Injection.Heads(model.Config);
                var sides = model is EncoderDecoderModel ? 2 : 1;
                (json["num_layers"], json["num_attention_heads"], json["num_transformer_submodules"], json["num_virtual_tokens"], json["token_dim"]) = (count, heads, sides, adapter.Vectors!.size(0) / (settings is PromptSettings ? sides : 1), settings is PromptSettings ? adapter.Vectors.size(1) : heads * width);
                if (settings is PromptSettings) json["prompt_tuning_init"] = "RANDOM";
                else (json["encoder_hidden_size"], json["prefix_projection"]) = (heads * width, false);
                break;
        }
        return json;
    }

    /// <summary>The base's folder name: paths of a machine stay there.</summary>
    private static string NameOf(LanguageModel model) => Path.GetFileName(Path.GetDirectoryName(model.Config.Source)) is { Length: > 0 } name ? name : model.Config.ModelType;

    /// <summary>SHA-256 over the base's weights, those that the adapter has its own values for left out.</summary>
    private static string HashOfBase(Adapter adapter)
    {
        var before = adapter.Model.modules().OfType<IAdaptable>().Where(l => l.Int8 is not null).ToDictionary(l => l.Weight.Handle, l => l.Int8!.SourceHash);
        return TensorHash.Of([], string.Join('\n', adapter.Model.OwnParameters().Where(p => !adapter.Whole.Contains(p.Name)).Select(p => $"{p.Name} {(before.TryGetValue(p.Parameter.Handle, out var hash) ? hash : TensorHash.Of(p.Parameter))}")));
    }
}
