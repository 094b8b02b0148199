using System.Globalization;
using System.Text;
using System.Text.Json;
using CsvHelper;
using CsvHelper.Configuration;

namespace NotebookKit.Data;

/// <summary>Names of the columns (or JSON properties) that a file keeps its examples in.</summary>
/// <param name="Text">Default <c>text</c>.</param>
/// <param name="Label">Default <c>label</c>.</param>
/// <param name="Kind">An optional tag; read where the file has it. Default <c>kind</c>.</param>
public sealed record ColumnNames(string Text = "text", string Label = "label", string Kind = "kind");

/// <summary>Reads labelled texts from CSV, TSV and JSON Lines files. Every error names the file, the row and what was wanted.</summary>
public static class DatasetReader
{
    /// <summary>Reads a file by its extension: <c>.csv</c>, <c>.tsv</c>, <c>.jsonl</c> or <c>.ndjson</c>.</summary>
    /// <param name="path">The file, in UTF-8 with or without a byte order mark.</param>
    /// <param name="columns">Where text and label stand.</param>
    /// <param name="labels">Classes of the task; a label outside them is an error. <c>null</c> takes those of the file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is malformed; the message names file and row.</exception>
    public static TextDataset Read(string path, ColumnNames? columns = null, LabelSet? labels = null)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No data file at '{Path.GetFullPath(path)}'.", path);
        columns ??= new ColumnNames();
        var rows = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".csv" => ReadDelimited(path, ",", columns),
            ".tsv" => ReadDelimited(path, "\t", columns),
            ".jsonl" or ".ndjson" => ReadJsonLines(path, columns),
            var other => throw new ArgumentException($"'{path}' ends in '{other}'; this reader takes .csv, .tsv, .jsonl and .ndjson."),
        };
        var examples = new List<Example>();
        foreach (var (row, example) in rows)
        {
            if (string.IsNullOrWhiteSpace(example.Text)) throw Bad(path, row, $"the text (column '{columns.Text}') is empty");
            if (string.IsNullOrWhiteSpace(example.Label)) throw Bad(path, row, $"the label (column '{columns.Label}') is empty");
            if (labels is not null && !labels.Contains(example.Label))
                try { labels.IndexOf(example.Label); }
                catch (KeyNotFoundException e) { throw Bad(path, row, e.Message.TrimEnd('.')); }
            examples.Add(example);
        }
        if (examples.Count == 0) throw new InvalidDataException($"'{path}' has no examples.");
        return new TextDataset(Path.GetFileNameWithoutExtension(path), examples, labels);
    }

    private static IEnumerable<(int Row, Example Example)> ReadDelimited(string path, string delimiter, ColumnNames columns)
    {
        string? damaged = null;
        using var csv = new CsvReader(new StreamReader(path, Encoding.UTF8), new CsvConfiguration(CultureInfo.InvariantCulture)
        {
            Delimiter = delimiter,
            BadDataFound = args => damaged = args.RawRecord.Trim(),
            Mode = CsvMode.RFC4180,
        });
        if (!csv.Read() || !csv.ReadHeader()) throw new InvalidDataException($"'{path}' is empty; a header with the columns '{columns.Text}' and '{columns.Label}' is needed.");
        var header = csv.HeaderRecord!;
        foreach (var wanted in new[] { columns.Text, columns.Label })
        {
            var times = header.Count(h => h == wanted);
            if (times != 1)
                throw new InvalidDataException($"'{path}' has {(times == 0 ? "no column" : $"{times} columns")} '{wanted}'. Its columns are {string.Join(", ", header.Select(h => $"'{h}'"))}.");
        }
        var (text, label, kind) = (Array.IndexOf(header, columns.Text), Array.IndexOf(header, columns.Label), Array.IndexOf(header, columns.Kind));
        while (csv.Read())
        {
            var row = csv.Parser.RawRow;
            var example = csv.Parser.Count != header.Length ? null : new Example(csv[text] ?? "", csv[label] ?? "") { Kind = kind < 0 ? null : csv[kind] };
            if (damaged is not null) throw Bad(path, row, $"a quote stands where none may, in «{(damaged.Length > 80 ? damaged[..80] + "…" : damaged)}». Put the field in quotes and double the quotes inside it");
            if (example is null) throw Bad(path, row, $"{csv.Parser.Count} fields, the header has {header.Length}. A field with '{(delimiter == "\t" ? "tab" : delimiter)}' in it needs quotes");
            yield return (row, example);
        }
    }

    private static IEnumerable<(int Row, Example Example)> ReadJsonLines(string path, ColumnNames columns)
    {
        var row = 0;
        foreach (var line in File.ReadLines(path, Encoding.UTF8))
        {
            row++;
            if (string.IsNullOrWhiteSpace(line)) continue;
            JsonDocument json;
            try { json = JsonDocument.Parse(line); }
            catch (JsonException e) { throw Bad(path, row, $"not a JSON object ({e.Message.Split(" LineNumber")[0]})"); }
            using (json)
            {
                if (json.RootElement.ValueKind != JsonValueKind.Object) throw Bad(path, row, "not a JSON object");
                string? Value(string name) => json.RootElement.TryGetProperty(name, out var v) ? v.ValueKind == JsonValueKind.String ? v.GetString() : v.ToString() : null;
                yield return (row, new Example(
                    Value(columns.Text) ?? throw Bad(path, row, $"no property '{columns.Text}'; it has {string.Join(", ", json.RootElement.EnumerateObject().Select(p => $"'{p.Name}'"))}"),
                    Value(columns.Label) ?? throw Bad(path, row, $"no property '{columns.Label}'; it has {string.Join(", ", json.RootElement.EnumerateObject().Select(p => $"'{p.Name}'"))}"))
                { Kind = Value(columns.Kind) });
            }
        }
    }

    private static InvalidDataException Bad(string path, int row, string what) => new($"'{path}', row {row}: {what}.");
}
