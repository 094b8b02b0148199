namespace NotebookKit.Data;

/// <summary>The classes of a task in id order. Immutable and thread-safe.</summary>
public sealed class LabelSet
{
    private readonly Dictionary<string, int> _ids;

    /// <summary>Classes in the order given.</summary>
    /// <exception cref="ArgumentException">Fewer than two classes, or one twice.</exception>
    public LabelSet(IEnumerable<string> names)
    {
        Names = [.. names];
        if (Names.Count < 2) throw new ArgumentException($"A classification task needs at least two labels; got {Names.Count}.", nameof(names));
        _ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var name in Names)
            if (!_ids.TryAdd(name, _ids.Count)) throw new ArgumentException($"Label '{name}' is given twice.", nameof(names));
    }

    /// <summary>The classes that stand in examples, in ordinal order.</summary>
    public static LabelSet From(IEnumerable<Example> examples) =>
        new(examples.Select(e => e.Label).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));

    /// <summary>Names in id order.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Number of classes C.</summary>
    public int Count => Names.Count;

    /// <summary>Name of a class.</summary>
    public string this[int id] => Names[id];

    /// <summary>Id of a class, in [0, C).</summary>
    /// <exception cref="KeyNotFoundException">There is no such class; the message names the nearest.</exception>
    public int IndexOf(string name)
    {
        if (_ids.TryGetValue(name, out var id)) return id;
        var nearest = Names.MinBy(n => Distance(n, name));
        throw new KeyNotFoundException($"Label '{name}' is not one of the {Count} known labels. Did you mean '{nearest}'?");
    }

    /// <summary>Whether a class is known.</summary>
    public bool Contains(string name) => _ids.ContainsKey(name);

    /// <summary>Levenshtein distance in characters.</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
