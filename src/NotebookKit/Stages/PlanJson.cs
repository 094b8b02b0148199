using System.Text.Json;
using System.Text.Json.Serialization;
using NotebookKit.Adapters;
using NotebookKit.Optimizers;

namespace NotebookKit.Stages;

/// <summary>Plans and their outcomes in JSON, by code made at compile time, so that it works in trimmed programs and file-based apps.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, NewLine = "\n", UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, Converters = [typeof(ModulePatternJson)])]
[JsonSerializable(typeof(StagePlan))]
[JsonSerializable(typeof(StageOutcome))]
[JsonSerializable(typeof(AdamWSettings))]
internal sealed partial class PlanJson : JsonSerializerContext;

/// <summary>A pattern as its names or its regular expression, with what narrows it.</summary>
internal sealed class ModulePatternJson : JsonConverter<ModulePattern>
{
    public override ModulePattern Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
    {
        using var json = JsonDocument.ParseValue(ref reader);
        return Of(json.RootElement);
    }

    public override void Write(Utf8JsonWriter writer, ModulePattern value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        if (value.Expression is not null) writer.WriteString("regex", value.Expression);
        if (value.Names is not null) Texts("names", value.Names);
        if (value.Layers is { } layers)
        {
            writer.WriteStartArray("layers");
            foreach (var layer in layers) writer.WriteNumberValue(layer);
            writer.WriteEndArray();
        }
        if (value.LayerParts is { } parts) Texts("layerParts", parts);
        if (value.Except is { } except)
        {
            writer.WritePropertyName("except");
            Write(writer, except, options);
        }
        writer.WriteEndObject();

        void Texts(string name, IReadOnlyList<string> texts)
        {
            writer.WriteStartArray(name);
            foreach (var text in texts) writer.WriteStringValue(text);
            writer.WriteEndArray();
        }
    }

    private static ModulePattern Of(JsonElement json)
    {
        string[]? Texts(string name) => json.TryGetProperty(name, out var list) ? [.. list.EnumerateArray().Select(e => e.GetString()!)] : null;
        var pattern = Texts("names") is { } names ? ModulePattern.Named(names) : json.TryGetProperty("regex", out var regex) ? ModulePattern.Regex(regex.GetString()!) : ModulePattern.AllLinear;
        return pattern with { Layers = json.TryGetProperty("layers", out var layers) ? [.. layers.EnumerateArray().Select(e => e.GetInt32())] : null, LayerParts = Texts("layerParts"), Except = json.TryGetProperty("except", out var except) ? Of(except) : null };
    }
}
