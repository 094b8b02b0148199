using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookKit.Tool.Documents;

/// <summary>Kinds of cells.</summary>
public enum CellKind
{
    /// <summary>Prose.</summary>
    Markdown,
    /// <summary>Code with outputs.</summary>
    Code,
    /// <summary>Text for converters.</summary>
    Raw,
}

/// <summary>A cell over its JSON.</summary>
public sealed class NotebookCell
{
    private readonly JsonObject _json;

    internal NotebookCell(JsonObject json, string source, int number)
    {
        _json = json;
        Kind = json["cell_type"]!.GetValue<string>() switch
        {
            "markdown" => CellKind.Markdown,
            "code" => CellKind.Code,
            "raw" => CellKind.Raw,
            var other => throw new InvalidDataException($"'{source}': cell {number} has the cell_type '{other}'; known are markdown, code and raw."),
        };
        json["metadata"] ??= new JsonObject();
        json["source"] = JsonNode.Parse(Lines(Join(json["source"])).ToJsonString());
        if (Kind != CellKind.Code) return;
        json["outputs"] ??= new JsonArray();
        if (!json.ContainsKey("execution_count")) json["execution_count"] = null;
    }

    /// <summary>What the cell is.</summary>
    public CellKind Kind { get; }

    /// <summary>Id, stable over runs.</summary>
    public string Id
    {
        get => _json["id"]?.GetValue<string>() ?? "";
        internal set { if (Id != value) _json["id"] = value; }
    }

    /// <summary>Text, with line feeds.</summary>
    public string Source
    {
        get => Join(_json["source"]);
        internal set => _json["source"] = Lines(value);
    }

    /// <summary>Language of a code cell, from its metadata; <c>csharp</c> where it says nothing.</summary>
    public string Language => _json["metadata"]?["polyglot_notebook"]?["kernelName"]?.GetValue<string>()
        ?? _json["metadata"]?["dotnet_interactive"]?["language"]?.GetValue<string>() ?? "csharp";

    /// <summary>Tags of the cell.</summary>
    public IReadOnlyList<string> Tags => _json["metadata"]?["tags"] is JsonArray tags ? [.. tags.Select(t => t!.GetValue<string>())] : [];

    /// <summary>Outputs, each an nbformat output object; empty for cells that are not code.</summary>
    public IReadOnlyList<JsonObject> Outputs => _json["outputs"] is JsonArray outputs ? [.. outputs.Select(o => o!.AsObject())] : [];

    /// <summary>Puts the outputs of an execution into the cell.</summary>
    public void SetOutputs(int? executionCount, IEnumerable<JsonObject> outputs)
    {
        _json["execution_count"] = executionCount;
        _json["outputs"] = new JsonArray([.. outputs.Select(o => (JsonNode)o.DeepClone())]);
    }

    /// <summary>A multi-line string of nbformat: text, or an array of lines.</summary>
    internal static string Join(JsonNode? node) => node switch
    {
        null => "",
        JsonArray lines => string.Concat(lines.Select(l => l!.GetValue<string>())),
        _ when node.GetValueKind() == JsonValueKind.String => node.GetValue<string>(),
        _ => node.ToJsonString(),
    };

    /// <summary>Text as nbformat keeps it: lines that hold on to their line feeds.</summary>
    internal static JsonArray Lines(string text)
    {
        var lines = new JsonArray();
        for (var from = 0; from < text.Length;)
        {
            var end = text.IndexOf('\n', from);
            end = end < 0 ? text.Length : end + 1;
            lines.Add((JsonNode)text[from..end]);
            from = end;
        }
        return lines;
    }
}
