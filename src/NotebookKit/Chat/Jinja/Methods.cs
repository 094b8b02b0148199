using System.Globalization;
using System.Text;

namespace NotebookKit.Chat.Jinja;

/// <summary>Methods of Python's texts, lists and dictionaries that a template may call. What changes a list or dictionary is kept from it.</summary>
internal static class Methods
{
    private const string Space = " \t\n\r\v\f\u001c\u001d\u001e\u001f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

    /// <summary>The method of a value; <c>null</c> where it has none of that name.</summary>
    public static object? Find(object? of, string name)
    {
        Func<object?[], IReadOnlyDictionary<string, object?>, object?>? body = of switch { string s => Text(s, name), Sequence l => List(l, name), Mapping m => Dictionary(m, name), double d when name == "is_integer" => (_, _) => d == Math.Floor(d), _ => null };
        if (body is not null) return new Function(name, body);
        var changes = of is Sequence { IsTuple: false } ? name is "append" or "extend" or "insert" or "pop" or "remove" or "reverse" or "sort" or "clear" : of is Mapping && name is "update" or "pop" or "popitem" or "setdefault" or "clear";
        return changes && of is Sequence or Mapping && changes ? new Unsafe($"access to attribute '{name}' of '{Python.TypeName(of)}' object is unsafe.") : null;
    }

    private static Func<object?[], IReadOnlyDictionary<string, object?>, object?>? List(Sequence list, string name) => name switch
    {
        "index" => (p, _) =>
        {
            for (var i = 0; i < list.Count; i++)
                if (Python.AreEqual(list.Items[i], p[0])) return (long)i;
            throw new JinjaException("ValueError", $"{Python.Repr(p[0])} is not in list");
        },
        "count" => (p, _) => (long)list.Items.Count(i => Python.AreEqual(i, p[0])),
        "copy" when !list.IsTuple => (_, _) => list,
        _ => null,
    };

    private static Func<object?[], IReadOnlyDictionary<string, object?>, object?>? Dictionary(Mapping map, string name) => name switch
    {
        "items" => (_, _) => new Sequence([.. map.Items.Select(i => (object?)new Sequence([i.Key, i.Value], true))]),
        "keys" => (_, _) => new Sequence([.. map.Items.Select(i => i.Key)]),
        "values" => (_, _) => new Sequence([.. map.Items.Select(i => i.Value)]),
        "get" => (p, n) => map.TryGet(p[0], out var value) ? value : p.Length > 1 ? p[1] : n.GetValueOrDefault("default"),
        "copy" => (_, _) => map,
        _ => null,
    };

    private static Func<object?[], IReadOnlyDictionary<string, object?>, object?>? Text(string s, string name)
    {
        static string Argument(object?[] p, int i) => i < p.Length ? p[i] as string ?? throw JinjaException.Type($"must be str, not {Python.TypeName(p[i])}") : throw JinjaException.Type("an argument is missing");
        static string? Optional(object?[] p, IReadOnlyDictionary<string, object?> n, string key) => (p.Length > 0 ? p[0] : n.GetValueOrDefault(key)) switch { null => null, string t => t, var other => throw JinjaException.Type($"must be str or None, not {Python.TypeName(other)}") };
        static long Most(object?[] p, IReadOnlyDictionary<string, object?> n) => p.Length > 1 ? Python.Whole(p[1]) : n.TryGetValue("maxsplit", out var most) ? Python.Whole(most) : -1;
        bool All(Func<Rune, bool> test) => s.Length > 0 && s.EnumerateRunes().All(test);
        string[] Any(object? given) => given is Sequence many ? [.. many.Items.Select(i => (string)i!)] : [given as string ?? throw JinjaException.Type($"{name} first arg must be str or a tuple of str, not {Python.TypeName(given)}")];
        string Padded(object?[] p, bool left)
        {
            var (width, fill) = ((int)Math.Min(Python.Whole(p[0]), 100_000), p.Length > 1 ? Argument(p, 1)[0] : ' ');
            return left ? s.PadLeft(width, fill) : s.PadRight(width, fill);
        }
        string Part(object?[] p) => p.Length < 2 ? s : (string)Python.Slice(s, p[1], p.Length > 2 ? p[2] : null, null);
        long Place(int at) => at < 0 ? -1 : Python.Characters(s[..at]);
        return name switch
        {
            "strip" => (p, n) => Strip(s, Optional(p, n, "chars"), true, true), "lstrip" => (p, n) => Strip(s, Optional(p, n, "chars"), true, false), "rstrip" => (p, n) => Strip(s, Optional(p, n, "chars"), false, true),
            "split" => (p, n) => Split(s, Optional(p, n, "sep"), Most(p, n)), "rsplit" => (p, n) => RightSplit(s, Optional(p, n, "sep"), Most(p, n)),
            "splitlines" => (p, n) => Lines(s, Python.Truth(p.FirstOrDefault() ?? n.GetValueOrDefault("keepends"))),
            "startswith" => (p, _) => Any(p.FirstOrDefault()).Any(x => Part(p).StartsWith(x, StringComparison.Ordinal)), "endswith" => (p, _) => Any(p.FirstOrDefault()).Any(x => Part(p).EndsWith(x, StringComparison.Ordinal)),
            "replace" => (p, n) => Replace(s, Argument(p, 0), Argument(p, 1), p.Length > 2 ? Python.Whole(p[2]) : n.TryGetValue("count", out var c) ? Python.Whole(c) : -1),
            "find" => (p, _) => Place(s.IndexOf(Argument(p, 0), StringComparison.Ordinal)), "rfind" => (p, _) => Place(s.LastIndexOf(Argument(p, 0), StringComparison.Ordinal)),
            "index" => (p, _) => s.IndexOf(Argument(p, 0), StringComparison.Ordinal) is >= 0 and var at ? Place(at) : throw new JinjaException("ValueError", "substring not found"),
            "rindex" => (p, _) => s.LastIndexOf(Argument(p, 0), StringComparison.Ordinal) is >= 0 and var at ? Place(at) : throw new JinjaException("ValueError", "substring not found"),
            "count" => (p, _) => Argument(p, 0) is { Length: > 0 } part ? (long)(s.Length - s.Replace(part, "", StringComparison.Ordinal).Length) / part.Length : Python.Characters(s) + 1L,
            "upper" => (_, _) => Upper(s), "lower" or "casefold" => (_, _) => s.ToLowerInvariant(), "title" => (_, _) => Title(s), "capitalize" => (_, _) => Capitalize(s),
            "swapcase" => (_, _) => string.Concat(s.Select(c => char.IsUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c))),
            "join" => (p, _) => string.Join(s, Python.Iterate(p.FirstOrDefault()).Select((i, at) => i as string ?? throw JinjaException.Type($"sequence item {at}: expected str instance, {Python.TypeName(i)} found"))),
            "isdigit" => (_, _) => All(Rune.IsDigit), "isnumeric" or "isdecimal" => (_, _) => All(Rune.IsNumber), "isalpha" => (_, _) => All(Rune.IsLetter), "isalnum" => (_, _) => All(Rune.IsLetterOrDigit), "isspace" => (_, _) => All(Rune.IsWhiteSpace),
            "isupper" => (_, _) => Tests.Run("upper", s, []), "islower" => (_, _) => Tests.Run("lower", s, []), "isascii" => (_, _) => s.All(char.IsAscii),
            "zfill" => (p, _) => s.Length > 0 && s[0] is '-' or '+' ? s[0] + s[1..].PadLeft((int)Python.Whole(p[0]) - 1, '0') : s.PadLeft((int)Math.Min(Python.Whole(p[0]), 100_000), '0'),
            "ljust" => (p, _) => Padded(p, left: false), "rjust" => (p, _) => Padded(p, left: true), "center" => (p, _) => Filters.Center(s, (int)Math.Min(Python.Whole(p[0]), 100_000), p.Length > 1 ? Argument(p, 1)[0] : ' '),
            "removeprefix" => (p, _) => s.StartsWith(Argument(p, 0), StringComparison.Ordinal) ? s[Argument(p, 0).Length..] : s,
            "removesuffix" => (p, _) => Argument(p, 0).Length > 0 && s.EndsWith(Argument(p, 0), StringComparison.Ordinal) ? s[..^Argument(p, 0).Length] : s,
            "partition" => (p, _) => s.IndexOf(Argument(p, 0), StringComparison.Ordinal) is >= 0 and var at ? new Sequence([s[..at], p[0], s[(at + Argument(p, 0).Length)..]], true) : new Sequence([s, "", ""], true),
            "rpartition" => (p, _) => s.LastIndexOf(Argument(p, 0), StringComparison.Ordinal) is >= 0 and var at ? new Sequence([s[..at], p[0], s[(at + Argument(p, 0).Length)..]], true) : new Sequence(["", "", s], true),
            "format" => (p, n) => Format(s, p, n), "expandtabs" => (p, _) => s.Replace("\t", new string(' ', p.Length > 0 ? (int)Math.Clamp(Python.Whole(p[0]), 0, 100) : 8), StringComparison.Ordinal),
            "encode" => (_, _) => s,
            _ => null,
        };
    }

    public static string Upper(string s) => s.Replace("ß", "SS", StringComparison.Ordinal).ToUpperInvariant();

    public static string Capitalize(string s) => s.Length == 0 ? s : Upper(s[..1]) + s[1..].ToLowerInvariant();

    public static string Title(string s)
    {
        var title = new StringBuilder(s.Length);
        var inWord = false;
        foreach (var c in s)
        {
            title.Append(char.IsLetter(c) ? inWord ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c) : c);
            inWord = char.IsLetter(c);
        }
        return title.ToString();
    }

    public static string Strip(string s, string? characters, bool left, bool right)
    {
        var runes = s.EnumerateRunes().ToArray();
        var drop = (characters ?? Space).EnumerateRunes().ToHashSet();
        var (start, end) = (0, runes.Length);
        while (left && start < end && drop.Contains(runes[start])) start++;
        while (right && end > start && drop.Contains(runes[end - 1])) end--;
        return start == 0 && end == runes.Length ? s : string.Concat(runes[start..end].Select(r => r.ToString()));
    }

    public static string Replace(string s, string old, string with, long count)
    {
        if (count < 0 && old.Length > 0) return s.Replace(old, with, StringComparison.Ordinal);
        if (old.Length == 0)
        {
            var parts = s.EnumerateRunes().Select(r => r.ToString()).ToList();
            var joined = new StringBuilder();
            for (var i = 0; i <= parts.Count; i++) joined.Append(count < 0 || i < count ? with : "").Append(i < parts.Count ? parts[i] : "");
            return joined.ToString();
        }
        var (result, at) = (new StringBuilder(), 0);
        for (; count > 0 && s.IndexOf(old, at, StringComparison.Ordinal) is >= 0 and var found; count--)
        {
            result.Append(s, at, found - at).Append(with);
            at = found + old.Length;
        }
        return result.Append(s, at, s.Length - at).ToString();
    }

    private static Sequence Split(string s, string? separator, long most)
    {
        var parts = new List<object?>();
        if (separator is null)
        {
            var at = 0;
            while (true)
            {
                while (at < s.Length && Space.Contains(s[at])) at++;
                if (at >= s.Length) break;
                if (most >= 0 && parts.Count >= most)
                {
                    parts.Add(Strip(s[at..], null, false, true));
                    break;
                }
                var end = at;
                while (end < s.Length && !Space.Contains(s[end])) end++;
                parts.Add(s[at..end]);
                at = end;
            }
            return new Sequence(parts);
        }
        if (separator.Length == 0) throw new JinjaException("ValueError", "empty separator");
        parts.AddRange(most < 0 ? s.Split(separator) : s.Split(separator, (int)Math.Min(most, int.MaxValue - 1) + 1));
        return new Sequence(parts);
    }

    private static Sequence RightSplit(string s, string? separator, long most)
    {
        if (most < 0) return Split(s, separator, -1);
        string Turned(string t) => string.Concat(t.EnumerateRunes().Reverse().Select(r => r.ToString()));
        var parts = Split(Turned(s), separator is null ? null : Turned(separator), most);
        return new Sequence([.. parts.Items.Reverse().Select(p => (object?)Turned((string)p!))]);
    }

    private static Sequence Lines(string s, bool keepEnds)
    {
        var lines = new List<object?>();
        for (var at = 0; at < s.Length;)
        {
            var end = at;
            while (end < s.Length && s[end] is not ('\n' or '\r' or '\v' or '\f' or '\u001c' or '\u001d' or '\u001e' or '\u0085' or '\u2028' or '\u2029')) end++;
            var next = end >= s.Length ? end : s[end] == '\r' && end + 1 < s.Length && s[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(s[at..(keepEnds ? next : end)]);
            at = next;
        }
        return new Sequence(lines);
    }

    /// <summary><c>str.format</c> with fields by place or name, without format specifications beyond precision.</summary>
    private static string Format(string s, object?[] positional, IReadOnlyDictionary<string, object?> named)
    {
        var (result, auto) = (new StringBuilder(), 0);
        for (var i = 0; i < s.Length; i++)
        {
            if (s[i] is '{' or '}' && i + 1 < s.Length && s[i + 1] == s[i]) result.Append(s[i++]);
            else if (s[i] == '{' && s.IndexOf('}', i) is > 0 and var end)
            {
                var (field, specification) = s[(i + 1)..end].Split(':', 2) is [var f, var spec] ? (f, spec) : (s[(i + 1)..end], "");
                if (field.Contains('.') || field.Contains('[')) throw JinjaException.Security("format() may not reach into its arguments in a template");
                var value = field.Length == 0 ? At(auto++) : int.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out var place) ? At(place) : named.TryGetValue(field, out var one) ? one : throw new JinjaException("KeyError", Python.Repr(field));
                result.Append(specification.Length == 0 ? Python.Text(value) : Formatting.Percent("%" + specification, [value], null));
                i = end;
            }
            else result.Append(s[i]);
        }
        return result.ToString();
        object? At(int place) => place < positional.Length ? positional[place] : throw new JinjaException("IndexError", $"Replacement index {place} out of range for positional args tuple");
    }
}
