using System.Globalization;
using System.Text.RegularExpressions;

namespace NotebookKit.Adapters;

/// <summary>
/// Which layers of a model are meant, as PEFT reads <c>target_modules</c>: names that a layer's path equals or ends with after a dot, or a regular expression that the whole path matches;
/// of these only some layers, and none that is excluded.
/// </summary>
public sealed record ModulePattern
{
    private ModulePattern(IReadOnlyList<string>? names, string? expression) => (Names, Expression) = (names, expression);

    /// <summary>Every linear layer but the head's last (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, who find that LoRA needs them all).</summary>
    public static ModulePattern AllLinear { get; } = new(null, null);

    /// <summary>Layers by name, such as <c>query</c> or <c>bert.encoder.layer.0.attention.self.query</c>.</summary>
    public static ModulePattern Named(params IReadOnlyList<string> names) => names.Count > 0 && names.All(n => n.Length > 0) ? new([.. names], null) : throw new ArgumentException("ModulePattern.Named needs at least one name, and none of them empty.", nameof(names));

    /// <summary>Layers whose whole path matches a regular expression.</summary>
    public static ModulePattern Regex(string expression)
    {
        try { _ = new Regex(expression); }
        catch (RegexParseException e) { throw new ArgumentException($"ModulePattern.Regex: '{expression}' is no regular expression: {e.Message}", nameof(expression), e); }
        return new(null, expression);
    }

    /// <summary>The names, or <c>null</c>.</summary>
    public IReadOnlyList<string>? Names { get; }

    /// <summary>The regular expression, or <c>null</c>.</summary>
    public string? Expression { get; }

    /// <summary>Numbers of the layers that are meant, from 0 at the bottom; applies to names. Default all.</summary>
    public IReadOnlyList<int>? Layers { get; init; }

    /// <summary>What stands before a layer's number in its path, such as <c>layers</c>, where the path has several numbers. Default: whatever does.</summary>
    public IReadOnlyList<string>? LayerParts { get; init; }

    /// <summary>What is left out. Default nothing.</summary>
    public ModulePattern? Except { get; init; }

    /// <summary>Whether a layer's path is meant. <see cref="AllLinear"/> leaves that to the caller.</summary>
    internal bool Matches(string path)
    {
        if (Except?.Matches(path) == true) return false;
        if (Expression is not null) return System.Text.RegularExpressions.Regex.IsMatch(path, $"^(?:{Expression})$");
        if (Names is null) return true;
        if (Names.Contains(path)) return true;
        return Names.Any(n => IsNamed(path, n)) && (Layers is not { Count: > 0 } || LayerOf(path) is { } layer && Layers.Contains(layer));
    }

    /// <summary>Whether a path equals a name or ends with it after a dot.</summary>
    internal static bool IsNamed(string path, string name) => path == name || path.EndsWith("." + name, StringComparison.Ordinal);

    private int? LayerOf(string path)
    {
        foreach (var part in LayerParts is { Count: > 0 } ? LayerParts : [@"[^.]*"])
            if (System.Text.RegularExpressions.Regex.Match(path, $@"^.*\.{part}\.(\d+)\.") is { Success: true } match) return int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        return null;
    }

    /// <inheritdoc/>
    public override string ToString() => (Expression is not null ? $"regex {Expression}" : Names is null ? "all linear" : string.Join(", ", Names))
        + (Layers is { Count: > 0 } ? $" of layers {string.Join(", ", Layers)}" : "") + (Except is null ? "" : $" except {Except}");
}
