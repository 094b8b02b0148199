using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookKit.Tool.Documents;

/// <summary>A notebook in nbformat 4.5. Fields this program does not know are kept as they are.</summary>
public sealed class NotebookDocument
{
    private static readonly JsonSerializerOptions Writing = new()
    {
        WriteIndented = true, IndentSize = 1, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly JsonObject _root;

    private NotebookDocument(JsonObject root, List<NotebookCell> cells) => (_root, Cells) = (root, cells);

    /// <summary>The cells in order.</summary>
    public IReadOnlyList<NotebookCell> Cells { get; }

    /// <summary>The first heading of the notebook, or <c>null</c>.</summary>
    public string? Title => Cells.Where(c => c.Kind == CellKind.Markdown).SelectMany(c => c.Source.Split('\n'))
        .FirstOrDefault(l => l.StartsWith("# ", StringComparison.Ordinal))?[2..].Trim();

    /// <summary>Reads a notebook of nbformat 4.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not JSON, not a notebook, or of another format version.</exception>
    public static NotebookDocument Load(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No notebook at '{path}'.", path);
        return Parse(File.ReadAllText(path), path);
    }

    /// <summary>Reads a notebook from its text; <paramref name="source"/> is named in errors.</summary>
    public static NotebookDocument Parse(string text, string source)
    {
        JsonNode? node;
        try { node = JsonNode.Parse(text); }
        catch (JsonException e) { throw new InvalidDataException($"'{source}' is not valid JSON (line {e.LineNumber + 1}): {e.Message.Split(" LineNumber")[0]}"); }
        if (node is not JsonObject root || root["nbformat"] is not JsonValue version || root["cells"] is not JsonArray array)
            throw new InvalidDataException($"'{source}' is not a notebook: a JSON object with 'nbformat' and 'cells' is needed.");
        if (version.GetValueKind() != JsonValueKind.Number || version.GetValue<int>() != 4)
            throw new InvalidDataException($"'{source}' is nbformat {version}; this program reads nbformat 4. Open and save it in Jupyter to convert it.");

        var cells = new List<NotebookCell>();
        foreach (var item in array)
        {
            if (item is not JsonObject cell || cell["cell_type"] is null)
                throw new InvalidDataException($"'{source}': cell {cells.Count + 1} is not an object with a 'cell_type'.");
            cells.Add(new NotebookCell(cell, source, cells.Count + 1));
        }
        root["nbformat"] = 4;
        root["nbformat_minor"] = 5;
        root["metadata"] ??= new JsonObject();
        var document = new NotebookDocument(root, cells);
        document.GiveIds();
        return document;
    }

    /// <summary>Adds a code cell, with the given tag, after another.</summary>
    public NotebookCell InsertAfter(NotebookCell cell, string id, string code, string tag)
    {
        var json = new JsonObject
        {
            ["cell_type"] = "code", ["execution_count"] = null, ["id"] = id, ["metadata"] = new JsonObject { ["tags"] = new JsonArray(tag) }, ["outputs"] = new JsonArray(), ["source"] = "",
        };
        var added = new NotebookCell(json, "", 0) { Source = code };
        var list = (List<NotebookCell>)Cells;
        var at = list.IndexOf(cell) + 1;
        list.Insert(at, added);
        ((JsonArray)_root["cells"]!).Insert(at, json);
        return added;
    }

    /// <summary>The notebook's text: one space of indentation as Jupyter writes, a newline at the end.</summary>
    public string ToText() => _root.ToJsonString(Writing) + "\n";

    /// <summary>Writes the notebook, whole.</summary>
    public void Save(string path) => Runtime.WholeFile.Write(path, ToText());

    /// <summary>Gives cells without an id one that depends on their place and text alone; a second cell with the same id gets a new one.</summary>
    private void GiveIds()
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < Cells.Count; i++)
        {
            var id = Cells[i].Id;
            for (var salt = 0; id.Length == 0 || !taken.Add(id); salt++)
                id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{i}|{salt}|{Cells[i].Source}")))[..8];
            Cells[i].Id = id;
        }
    }
}
