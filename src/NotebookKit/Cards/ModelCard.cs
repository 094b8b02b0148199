namespace NotebookKit.Cards;

/// <summary>The front matter of a model card (README.md), where the hub's licence, language and training data stand.</summary>
internal static class ModelCard
{
    /// <summary>Top-level fields as text; lists are joined with commas. Empty where there is no card or no front matter.</summary>
    public static IReadOnlyDictionary<string, string> FrontMatter(string path)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!File.Exists(path)) return values;
        using var lines = File.ReadLines(path).GetEnumerator();
        if (!lines.MoveNext() || lines.Current.Trim() != "---") return values;
        string? key = null;
        while (lines.MoveNext() && lines.Current.Trim() != "---")
        {
            var line = lines.Current;
            if (line.TrimStart().StartsWith("- ", StringComparison.Ordinal) && key is not null)
                values[key] = (values[key].Length > 0 ? values[key] + ", " : "") + Unquoted(line.TrimStart()[2..]);
            else if (line.Length > 0 && !char.IsWhiteSpace(line[0]) && line.IndexOf(':') is > 0 and var colon)
                values[key = line[..colon].Trim()] = Unquoted(line[(colon + 1)..]);
        }
        return values.Where(v => v.Value.Length > 0).ToDictionary(v => v.Key, v => v.Value, StringComparer.Ordinal);
    }

    private static string Unquoted(string value) => value.Trim().Trim('"', '\'');
}
