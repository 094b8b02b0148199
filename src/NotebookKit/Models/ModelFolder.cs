using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Checkpoints;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>Writes a model as a Hugging Face folder, which the reference implementation loads as it is.</summary>
public static class ModelFolder
{
    /// <summary>Writes <c>model.safetensors</c> and <c>config.json</c>, and copies what else belongs to the model. Each file is whole or absent.</summary>
    /// <param name="model">What to write; tied matrices are stored once, tables that are computed not at all.</param>
    /// <param name="folder">Made where it is absent.</param>
    /// <param name="from">Folder to copy <c>generation_config.json</c> and the tokenizer's files from; <c>null</c> copies nothing.</param>
    /// <param name="labels">Class names of a classification head, in id order; by default those of the configuration.</param>
    /// <param name="type">Type to store weights in; <c>null</c> keeps each one's own.</param>
    /// <param name="extra">Further fields for config.json.</param>
    public static void Write(LanguageModel model, string folder, string? from = null, IReadOnlyList<string>? labels = null, ScalarType? type = null,
        IReadOnlyDictionary<string, JsonNode?>? extra = null)
    {
        if (model.Adapter is not null) throw new InvalidOperationException("An adapter takes part in this model, and its weights alone would not be what is computed. Merge the adapter, or save it by itself, or Deactivate it first.");
        if (model.IsInInt8) throw new InvalidOperationException("This model's matrices are held in int8, which no other program would read: save the adapter by itself.");
        Directory.CreateDirectory(folder);
        var computed = model.Parameters().Where(p => model.MayBeAbsent(p.Name) && !p.Name.Contains("pooler", StringComparison.Ordinal)).Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), model.Stored().Where(s => !computed.Contains(s.Name)).Select(s => KeyValuePair.Create(model.FileKey(s.Name), s.Value)), type);
        WriteJson(Path.Combine(folder, "config.json"), ConfigOf(model, labels, type, extra));
        if (from is null) return;
        foreach (var name in new[] { "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "source.spm", "target.spm" })
            if (File.Exists(Path.Combine(from, name)) && Path.GetFullPath(from) != Path.GetFullPath(folder)) File.Copy(Path.Combine(from, name), Path.Combine(folder, name), overwrite: true);
    }

    /// <summary>Writes a JSON file as Python's tools do: two spaces, a newline at the end.</summary>
    internal static void WriteJson(string path, JsonNode json) => Runtime.WholeFile.Write(path, json.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n");

    private static JsonObject ConfigOf(LanguageModel model, IReadOnlyList<string>? labels, ScalarType? type, IReadOnlyDictionary<string, JsonNode?>? extra)
    {
        var json = (JsonObject)model.Config.Json.DeepClone();
        json["architectures"] = new JsonArray(Architectures.ClassNameOf(model.Config, model.Head.Head));
        json.Remove("torch_dtype");
        json["dtype"] = (type ?? model.Parameters().First().Parameter.dtype) switch { ScalarType.BFloat16 => "bfloat16", ScalarType.Float16 => "float16", _ => "float32" };
        if (model.Head.Pooling == Pooling.Mean) json["classifier_pooling"] = "mean";
        else if (model.Config.ModelType != "modernbert") json.Remove("classifier_pooling");
        if (labels is not null)
        {
            json["id2label"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(i.ToString(CultureInfo.InvariantCulture), (JsonNode?)l)));
            json["label2id"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(l, (JsonNode?)i)));
        }
        foreach (var (key, value) in extra ?? new Dictionary<string, JsonNode?>()) json[key] = value?.DeepClone();
        return json;
    }
}
