using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookKit.Models;

/// <summary>
/// A model's <c>config.json</c>, read field by field. A field that is absent or null takes the default given, which is the architecture's own;
/// a field of the wrong kind is an error that names the file and the field.
/// </summary>
public sealed class ConfigJson
{
    /// <summary>Wraps a configuration.</summary>
    /// <param name="source">Where it came from, for error messages.</param>
    /// <param name="json">The fields.</param>
    public ConfigJson(string source, JsonObject json) => (Source, Json) = (source, json);

    /// <summary>The file the fields came from.</summary>
    public string Source { get; }

    /// <summary>The fields as they are.</summary>
    public JsonObject Json { get; }

    /// <summary>The architecture's name, <c>model_type</c>.</summary>
    public string ModelType => Text("model_type", "");

    /// <summary>Name of the reference's class that wrote the weights, such as <c>BertForMaskedLM</c>; empty where the file names none.</summary>
    public string ClassName => (Json["architectures"] as JsonArray)?.FirstOrDefault()?.GetValue<string>() ?? "";

    /// <summary>Number of classes: the entries of <c>id2label</c>, or <c>num_labels</c>, or the reference's default of 2.</summary>
    public int LabelCount => Json["id2label"] is JsonObject { Count: > 0 } names ? names.Count : Int("num_labels", 2);

    /// <summary>Reads <c>config.json</c> of a model folder.</summary>
    /// <exception cref="FileNotFoundException">The folder has none.</exception>
    /// <exception cref="InvalidDataException">It is not a JSON object.</exception>
    public static ConfigJson Load(string folder, string file = "config.json")
    {
        var path = Path.Combine(folder, file);
        if (!File.Exists(path)) throw new FileNotFoundException($"No {file} in '{folder}'. A model folder holds config.json, tokenizer.json and model.safetensors.", path);
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) is JsonObject json ? new ConfigJson(path, json)
                : throw new InvalidDataException($"'{path}' is not a usable {file}: it holds no JSON object.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"'{path}' is not a usable {file}: {e.Message}", e);
        }
    }

    /// <summary>Whether the field stands there with a value other than null.</summary>
    public bool Has(string name) => Json[name] is not null;

    /// <summary>A whole number; without a fallback it must be there.</summary>
    public int Int(string name, int? fallback = null) => Read(name, "a whole number", fallback, n => n.GetValue<int>());

    /// <summary>A number; without a fallback it must be there.</summary>
    public double Real(string name, double? fallback = null) => Read(name, "a number", fallback, n => n.GetValue<double>());

    /// <summary>A switch.</summary>
    public bool Flag(string name, bool fallback) => Read(name, "true or false", (bool?)fallback, n => n.GetValue<bool>());

    /// <summary>A text.</summary>
    public string Text(string name, string fallback)
    {
        try { return Json[name]?.GetValue<string>() ?? fallback; }
        catch (Exception e) when (e is InvalidOperationException or FormatException) { throw Wrong(name, "a text"); }
    }

    /// <summary>A list of texts, such as <c>layer_types</c>; <c>null</c> where it is absent.</summary>
    public IReadOnlyList<string>? Texts(string name) => List(name, n => n.GetValue<string>());

    /// <summary>A list of numbers; <c>null</c> where it is absent.</summary>
    public IReadOnlyList<double>? Reals(string name) => List(name, n => n.GetValue<double>());

    /// <summary>A group of fields inside this one; <c>null</c> where it is absent.</summary>
    public ConfigJson? Group(string name) => Json[name] switch
    {
        null => null,
        JsonObject group => new ConfigJson($"{Source}: {name}", group),
        _ => throw Wrong(name, "an object"),
    };

    /// <summary>One of several names for the same number, in the order of preference.</summary>
    public int Int(string[] names, int fallback) => names.FirstOrDefault(Has) is { } name ? Int(name) : fallback;

    /// <summary>An error that names file, field and value.</summary>
    public InvalidDataException Wrong(string field, string wanted) =>
        new($"'{Source}': {field} should be {wanted}; found {Json[field]?.ToJsonString() ?? "nothing"}.");

    /// <summary>Refuses a head count that does not divide the width.</summary>
    internal void CheckHeads(string width, int widthValue, string heads, int headsValue)
    {
        if (headsValue < 1 || widthValue % headsValue != 0)
            throw new InvalidDataException($"'{Source}': {width} {widthValue} is not a multiple of {heads} {headsValue}.");
    }

    private IReadOnlyList<T>? List<T>(string name, Func<JsonNode, T> read)
    {
        if (Json[name] is null) return null;
        try { return Json[name] is JsonArray array ? [.. array.Select(n => read(n!))] : throw Wrong(name, "a list"); }
        catch (Exception e) when (e is InvalidOperationException or FormatException or NullReferenceException) { throw Wrong(name, $"a list of {typeof(T).Name} values"); }
    }

    private T Read<T>(string name, string wanted, T? fallback, Func<JsonNode, T> read) where T : struct
    {
        if (Json[name] is not { } node) return fallback ?? throw Wrong(name, wanted);
        try { return read(node); }
        catch (Exception e) when (e is InvalidOperationException or FormatException or OverflowException) { throw Wrong(name, wanted); }
    }
}
