using System.Globalization;
using System.Numerics;
using System.Text;

namespace NotebookKit.Chat.Jinja;

/// <summary>What Python does with values: text, truth, order, arithmetic. Strings count in code points.</summary>
internal static class Python
{
    public const int MostCharacters = 20_000_000, MostItems = 2_000_000;

    public static string TypeName(object? value) => value switch
    {
        null => "NoneType", bool => "bool", long => "int", double => "float", string => "str", Sequence { IsTuple: true } => "tuple", Sequence => "list", Mapping => "dict",
        Namespace => "Namespace", Function => "function", Special s => s.TypeName, _ => "Undefined",
    };

    /// <summary>How an error message names a value's kind.</summary>
    public static string KindOf(object? value) => value switch
    {
        null => "None", Namespace => "jinja2.utils.Namespace object", Special { TypeName: "LoopContext" } => "jinja2.runtime.LoopContext object", _ => TypeName(value) + " object",
    };

    public static bool Truth(object? value) => value switch
    {
        null or Undefined or Unsafe => false, bool b => b, long n => n != 0, double d => d != 0, string s => s.Length > 0, Sequence l => l.Count > 0, Mapping m => m.Items.Count > 0, _ => true,
    };

    public static string Text(object? value) => value switch
    {
        string s => s, Undefined or Unsafe => "", _ => Repr(value),
    };

    public static string Repr(object? value, int depth = 0)
    {
        if (depth > 100) throw new JinjaException("RecursionError", "maximum recursion depth exceeded");
        switch (value)
        {
            case null: return "None";
            case bool b: return b ? "True" : "False";
            case long n: return n.ToString(CultureInfo.InvariantCulture);
            case double d: return Float(d);
            case string s: return Quoted(s);
            case Undefined: return "Undefined";
            case Sequence l:
                var items = string.Join(", ", l.Items.Select(i => Repr(i, depth + 1)));
                return l.IsTuple ? l.Count == 1 ? $"({items},)" : $"({items})" : $"[{items}]";
            case Mapping m: return "{" + string.Join(", ", m.Items.Select(i => $"{Repr(i.Key, depth + 1)}: {Repr(i.Value, depth + 1)}")) + "}";
            case Namespace ns: return "<Namespace {" + string.Join(", ", ns.Values.Select(v => $"{Quoted(v.Key)}: {Repr(v.Value, depth + 1)}")) + "}>";
            case Function f: return $"<function {f.Name}>";
            default: return $"<{TypeName(value)}>";
        }
    }

    /// <summary>The shortest text that reads back as the number, in Python's form.</summary>
    public static string Float(double d)
    {
        if (double.IsNaN(d)) return "nan";
        if (double.IsInfinity(d)) return d > 0 ? "inf" : "-inf";
        var shortest = d.ToString("E16", CultureInfo.InvariantCulture);
        var text = d.ToString("R", CultureInfo.InvariantCulture);
        var exponent = d == 0 ? 0 : int.Parse(shortest.AsSpan(shortest.IndexOf('E') + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent is >= -4 and < 16)
        {
            var plain = text.Contains('E', StringComparison.Ordinal) ? decimal.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture) : text;
            return plain.Contains('.', StringComparison.Ordinal) ? plain : plain + ".0";
        }
        var digits = text.Contains('E', StringComparison.Ordinal) ? text[..text.IndexOf('E')] : text.TrimStart('-').Replace(".", "", StringComparison.Ordinal).Trim('0') is var significant
            ? (d < 0 ? "-" : "") + significant[0] + (significant.Length > 1 ? "." + significant[1..] : "") : text;
        return $"{digits}e{(exponent < 0 ? "-" : "+")}{Math.Abs(exponent):00}";
    }

    private static string Quoted(string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var quoted = new StringBuilder().Append(quote);
        foreach (var rune in text.EnumerateRunes())
        {
            var c = rune.Value;
            if (c == quote || c == '\\') quoted.Append('\\').Append((char)c);
            else if (c == '\n') quoted.Append("\\n");
            else if (c == '\r') quoted.Append("\\r");
            else if (c == '\t') quoted.Append("\\t");
            else if (c == ' ' || Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
                or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator)) quoted.Append(rune.ToString());
            else quoted.Append(c < 0x100 ? $"\\x{c:x2}" : c < 0x10000 ? $"\\u{c:x4}" : $"\\U{c:x8}");
        }
        return quoted.Append(quote).ToString();
    }

    public static bool AreEqual(object? a, object? b) => (a, b) switch
    {
        (null, null) or (Undefined, Undefined) => true,
        (string x, string y) => x == y,
        (Sequence x, Sequence y) => x.IsTuple == y.IsTuple && x.Count == y.Count && x.Items.Zip(y.Items).All(p => AreEqual(p.First, p.Second)),
        (Mapping x, Mapping y) => x.Items.Count == y.Items.Count && x.Items.All(i => y.TryGet(i.Key, out var other) && AreEqual(i.Value, other)),
        _ => IsNumber(a) && IsNumber(b) ? a is double || b is double ? Number(a) == Number(b) : Whole(a) == Whole(b) : ReferenceEquals(a, b),
    };

    /// <summary>Order of two values; Python refuses most mixtures.</summary>
    public static int Order(object? a, object? b, string op)
    {
        switch (a, b)
        {
            case (Undefined u, _): throw u.Error;
            case (_, Undefined u): throw u.Error;
            case (string x, string y): return OrderOfTexts(x, y);
            case (Sequence x, Sequence y) when x.IsTuple == y.IsTuple:
                foreach (var (first, second) in x.Items.Zip(y.Items))
                    if (!AreEqual(first, second)) return Order(first, second, op);
                return x.Count.CompareTo(y.Count);
        }
        return IsNumber(a) && IsNumber(b) ? Number(a).CompareTo(Number(b)) : throw JinjaException.Type($"'{op}' not supported between instances of '{TypeName(a)}' and '{TypeName(b)}'");
    }

    /// <summary>By code points, which UTF-16 does not sort by.</summary>
    private static int OrderOfTexts(string x, string y)
    {
        for (var i = 0; i < Math.Min(x.Length, y.Length); i++)
            if (x[i] != y[i]) return char.IsSurrogate(x[i]) == char.IsSurrogate(y[i]) ? x[i].CompareTo(y[i]) : char.IsSurrogate(x[i]) ? 1 : -1;
        return x.Length.CompareTo(y.Length);
    }

    public static bool IsNumber(object? value) => value is bool or long or double;

    public static double Number(object? value) => value switch { bool b => b ? 1 : 0, long n => n, double d => d, _ => throw JinjaException.Type($"must be real number, not {TypeName(value)}") };

    public static long Whole(object? value) => value switch
    {
        bool b => b ? 1 : 0, long n => n, Undefined u => throw u.Error, _ => throw JinjaException.Type($"'{TypeName(value)}' object cannot be interpreted as an integer"),
    };

    public static bool Contains(object? container, object? item)
    {
        switch (container)
        {
            case string s: return item is string part ? s.Contains(part, StringComparison.Ordinal) : throw JinjaException.Type($"'in <string>' requires string as left operand, not {TypeName(item)}");
            case Mapping m: return m.TryGet(item, out _);
            case Undefined: return false;
            default: return container is Sequence l ? l.Items.Any(i => AreEqual(i, item)) : throw JinjaException.Type($"argument of type '{TypeName(container)}' is not iterable");
        }
    }

    public static IReadOnlyList<object?> Iterate(object? value) => value switch
    {
        Sequence l => l.Items, string s => [.. s.EnumerateRunes().Select(r => (object?)r.ToString())], Mapping m => [.. m.Items.Select(i => i.Key)], Undefined => [],
        _ => throw JinjaException.Type($"'{TypeName(value)}' object is not iterable"),
    };

    public static long Length(object? value) => value switch
    {
        string s => Characters(s), Sequence l => l.Count, Mapping m => m.Items.Count, Undefined => 0, _ => throw JinjaException.Type($"object of type '{TypeName(value)}' has no len()"),
    };

    public static int Characters(string s)
    {
        var count = s.Length;
        foreach (var c in s)
            if (char.IsLowSurrogate(c)) count--;
        return count;
    }

    public static object? Arithmetic(string op, object? a, object? b)
    {
        if (a is Undefined u) throw u.Error;
        if (b is Undefined v) throw v.Error;
        switch (op, a, b)
        {
            case ("+", string x, string y): return Checked(x.Length + (long)y.Length, () => x + y);
            case ("+", string, _): throw JinjaException.Type($"can only concatenate str (not \"{TypeName(b)}\") to str");
            case ("+", Sequence x, Sequence y) when x.IsTuple == y.IsTuple: return new Sequence([.. x.Items, .. y.Items], x.IsTuple);
            case ("+", Sequence x, _): throw JinjaException.Type($"can only concatenate {TypeName(x)} (not \"{TypeName(b)}\") to {TypeName(x)}");
            case ("*", string x, long or bool): return Repeat(x, Whole(b));
            case ("*", long or bool, string y): return Repeat(y, Whole(a));
            case ("*", Sequence x, long or bool): return Checked(x.Count * Math.Max(0, Whole(b)) * 8, () => new Sequence([.. Enumerable.Repeat(x.Items, (int)Math.Max(0, Whole(b))).SelectMany(i => i)], x.IsTuple));
            case ("%", string x, _): return Formatting.Percent(x, b is Sequence { IsTuple: true } t ? t.Items : [b], b as Mapping);
        }
        if (!IsNumber(a) || !IsNumber(b)) throw JinjaException.Type($"unsupported operand type(s) for {(op == "**" ? "** or pow()" : op)}: '{TypeName(a)}' and '{TypeName(b)}'");
        if (op == "/" && a is not double && b is not double && Python.Number(b) == 0) throw new JinjaException("ZeroDivisionError", "division by zero");
        try { return a is double || b is double || op == "/" ? Floating(op, Number(a), Number(b)) : Integral(op, Whole(a), Whole(b)); }
        catch (OverflowException) { throw new JinjaException("OverflowError", $"the result of {Repr(a)} {op} {Repr(b)} is too large"); }
    }

    private static object Integral(string op, long x, long y)
    {
        if (op is "//" or "%" && y == 0) throw new JinjaException("ZeroDivisionError", op == "//" ? "integer division or modulo by zero" : "integer modulo by zero");
        var remainder = op is "//" or "%" ? x % y : 0;
        if (remainder != 0 && remainder < 0 != y < 0) remainder += y;
        return op switch
        {
            "+" => (object)checked(x + y), "-" => checked(x - y), "*" => checked(x * y), "//" => (x - remainder) / y, "%" => remainder,
            _ => y < 0 ? (object)Math.Pow(x, y) : y > 4096 ? throw new OverflowException() : (long)BigInteger.Pow(x, (int)y),
        };
    }

    private static object Floating(string op, double x, double y) => op switch
    {
        "+" => x + y, "-" => x - y, "*" => x * y, "**" => Math.Pow(x, y),
        _ when y == 0 => throw new JinjaException("ZeroDivisionError", op switch { "/" => "float division by zero", "//" => "float floor division by zero", _ => "float modulo" }),
        "/" => x / y, "//" => Math.Floor(x / y), _ => x - y * Math.Floor(x / y),
    };

    private static object Repeat(string text, long times) => Checked(text.Length * Math.Max(0, times), () => string.Concat(Enumerable.Repeat(text, (int)Math.Max(0, times))));

    private static T Checked<T>(long characters, Func<T> make) =>
        characters > MostCharacters ? throw new JinjaException("OverflowError", $"a text of {characters} characters is more than a template may make ({MostCharacters})") : make();

    /// <summary>An item by index, slice or key; undefined where there is none.</summary>
    public static object? Item(object? of, object? key)
    {
        switch (of, key)
        {
            case (Undefined u, _): throw u.Error;
            case (Mapping m, _): return m.TryGet(key, out var value) ? value : key is string name ? Methods.Find(of, name) ?? Undefined.Of(of, key) : Undefined.Of(of, key);
            case (string s, long or bool):
                var runes = s.EnumerateRunes().ToArray();
                return Index(Whole(key), runes.Length) is { } at ? runes[at].ToString() : Undefined.Of(of, key);
            case (Sequence l, long or bool): return Index(Whole(key), l.Count) is { } place ? l.Items[place] : Undefined.Of(of, key);
            default: return key is string attribute ? Attribute(of, attribute, orItem: false) : Undefined.Of(of, key);
        }
    }

    /// <summary>An attribute, or the item of that name.</summary>
    public static object? Attribute(object? of, string name, bool orItem = true)
    {
        if (of is Undefined u) throw u.Error;
        if (of is Unsafe blocked) throw JinjaException.Security(blocked.Message);
        if (name.StartsWith('_') && of is not Mapping) return new Unsafe($"access to attribute '{name}' of '{TypeName(of)}' object is unsafe.");
        return of switch
        {
            Namespace ns => ns.Values.TryGetValue(name, out var value) ? value : Undefined.Of(of, name),
            Special s => s.Get(name),
            _ => Methods.Find(of, name) ?? (orItem && of is Mapping m && m.TryGet(name, out var item) ? item : Undefined.Of(of, name)),
        };
    }

    public static object Slice(object? of, object? start, object? stop, object? step)
    {
        if (of is Undefined u) throw u.Error;
        if (of is not (string or Sequence)) throw JinjaException.Type($"'{TypeName(of)}' object is not subscriptable");
        var items = Iterate(of);
        var stride = step is null ? 1 : Whole(step);
        if (stride == 0) throw new JinjaException("ValueError", "slice step cannot be zero");
        long Bound(object? value, long fallback)
        {
            if (value is null) return fallback;
            var n = Whole(value);
            if (n < 0) n += items.Count;
            return Math.Clamp(n, stride < 0 ? -1 : 0, stride < 0 ? items.Count - 1 : items.Count);
        }
        var (from, to) = (Bound(start, stride < 0 ? items.Count - 1 : 0), Bound(stop, stride < 0 ? -1 : items.Count));
        var part = new List<object?>();
        for (var i = from; stride < 0 ? i > to : i < to; i += stride) part.Add(items[(int)i]);
        return of is string ? string.Concat(part) : new Sequence(part, ((Sequence)of).IsTuple);
    }

    private static int? Index(long index, int count) => (index < 0 ? index + count : index) is var i && i >= 0 && i < count ? (int)i : null;
}
