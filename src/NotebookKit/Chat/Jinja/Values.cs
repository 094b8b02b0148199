namespace NotebookKit.Chat.Jinja;

/// <summary>A value that is not there: prints as nothing, counts as false, and is an error in anything else.</summary>
internal sealed record Undefined(string Message)
{
    public JinjaException Error => JinjaException.Undefined(Message);

    public static Undefined Variable(string name) => new($"'{name}' is undefined");

    public static Undefined Of(object? owner, object? key) => new(key is string name ? $"{Python.Repr(Python.KindOf(owner))} has no attribute {Python.Repr(name)}" : $"{Python.KindOf(owner)} has no element {Python.Repr(key)}");
}

/// <summary>A name the sandbox keeps from templates.</summary>
internal sealed record Unsafe(string Message);

/// <summary>A list or tuple. Templates cannot change it.</summary>
internal sealed class Sequence(IReadOnlyList<object?> items, bool isTuple = false)
{
    public IReadOnlyList<object?> Items => items;

    public bool IsTuple => isTuple;

    public int Count => items.Count;
}

/// <summary>A dictionary in the order it was written.</summary>
internal sealed class Mapping
{
    private readonly List<KeyValuePair<object?, object?>> _items = [];
    private readonly Dictionary<object, int> _places = new(PythonKeys.Instance);

    public Mapping(IEnumerable<KeyValuePair<object?, object?>> items)
    {
        foreach (var (key, value) in items)
        {
            if (key is Sequence { IsTuple: false } or Mapping) throw JinjaException.Type($"unhashable type: '{Python.TypeName(key)}'");
            if (_places.TryGetValue(key ?? PythonKeys.None, out var place)) _items[place] = new(_items[place].Key, value);
            else
            {
                _places[key ?? PythonKeys.None] = _items.Count;
                _items.Add(new(key, value));
            }
        }
    }

    public IReadOnlyList<KeyValuePair<object?, object?>> Items => _items;

    public bool TryGet(object? key, out object? value)
    {
        var found = _places.TryGetValue(key ?? PythonKeys.None, out var place);
        value = found ? _items[place].Value : null;
        return found;
    }
}

/// <summary>What <c>namespace()</c> makes: attributes that <c>set</c> may change.</summary>
internal sealed class Namespace
{
    public Dictionary<string, object?> Values { get; } = new(StringComparer.Ordinal);
}

/// <summary>Something a template can call.</summary>
internal sealed class Function(string name, Func<object?[], IReadOnlyDictionary<string, object?>, object?> body)
{
    public string Name => name;

    public object? Call(object?[] positional, IReadOnlyDictionary<string, object?> named) => body(positional, named);
}

/// <summary>An object with fixed attributes, such as <c>loop</c>; some can be called.</summary>
internal abstract class Special
{
    public abstract string TypeName { get; }

    public abstract object? Get(string name);

    public virtual object? Call(object?[] positional) => throw JinjaException.Type($"'{TypeName}' object is not callable");
}

/// <summary>Equality of keys as Python has it: 1, 1.0 and true are one.</summary>
internal sealed class PythonKeys : IEqualityComparer<object>
{
    public static readonly PythonKeys Instance = new();
    public static readonly object None = new();

    public new bool Equals(object? x, object? y) => ReferenceEquals(x, y) || !ReferenceEquals(x, None) && !ReferenceEquals(y, None) && Python.AreEqual(x, y);

    public int GetHashCode(object obj) => obj switch
    {
        bool b => (b ? 1.0 : 0.0).GetHashCode(), long n => ((double)n).GetHashCode(), double d => d.GetHashCode(), string s => s.GetHashCode(StringComparison.Ordinal),
        Sequence t => t.Items.Aggregate(17, (h, i) => unchecked(h * 31 + GetHashCode(i ?? None))), _ => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(obj),
    };
}
