using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Display;

namespace NotebookKit.Models;

/// <summary>What a person wants to know of a pretrained encoder before using it; read from its folder without loading weights.</summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class ModelSummary : IShown
{
    private ModelSummary(Table table) => Table = table;

    /// <summary>The summary as rows.</summary>
    public Table Table { get; }

    /// <summary>Reads configuration, the header of the weights, and the front matter of the model card (README.md) where there is one.</summary>
    public static ModelSummary Of(PretrainedEncoder encoder)
    {
        using var file = Checkpoint.Open(encoder.Folder);
        var card = FrontMatter(Path.Combine(encoder.Folder, "README.md"));
        var config = encoder.Config;
        var parameters = file.Tensors.Sum(t => t.Count);
        var embeddings = file.Tensors.Where(t => t.Name.Contains("embeddings", StringComparison.Ordinal)).Sum(t => t.Count);
        static string Number(double v) => v.ToString("N0", CultureInfo.InvariantCulture);
        var rows = new List<IReadOnlyList<string>>
        {
            new[] { "name", Path.GetFileName(Path.TrimEndingDirectorySeparator(encoder.Folder)) },
            new[] { "architecture", $"{config.ModelType}, {config.Int("num_hidden_layers", 0)} layers × {config.Int("hidden_size", 0)}, {config.Int("num_attention_heads", 0)} heads" },
            new[] { "parameters", $"{Number(parameters)}, of which embeddings {Number(embeddings)}" },
            new[] { "stored as", string.Join(", ", file.Tensors.Select(t => t.DataType).Distinct()) + $", {file.Bytes / 1e6:F1} MB" },
            new[] { "vocabulary", $"{Number(encoder.Tokenizer.VocabularySize)} WordPiece tokens" },
            new[] { "longest text", $"{Number(config.Int("max_position_embeddings", 512))} tokens" },
        };
        foreach (var (key, name) in new[] { ("language", "language"), ("license", "licence"), ("training_data", "training data"), ("teacher", "teacher") })
            if (card.TryGetValue(key, out var value)) rows.Add([name, value]);
        return new ModelSummary(new Table(["", "pretrained encoder"], rows));
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private static Dictionary<string, string> FrontMatter(string path)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!File.Exists(path)) return values;
        var lines = File.ReadLines(path).GetEnumerator();
        using (lines)
        {
            if (!lines.MoveNext() || lines.Current != "---") return values;
            while (lines.MoveNext() && lines.Current != "---")
                if (lines.Current.IndexOf(": ", StringComparison.Ordinal) is > 0 and var colon) values[lines.Current[..colon]] = lines.Current[(colon + 2)..];
        }
        return values;
    }
}
