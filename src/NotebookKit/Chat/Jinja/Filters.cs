using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NotebookKit.Chat.Jinja;

/// <summary>Jinja's filters, after <c>|</c> (https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters); <c>tojson</c> is transformers' own.</summary>
internal static class Filters
{
    private delegate object? Body(object? value, Given given);

    /// <summary>Arguments by place or name.</summary>
    private sealed class Given(object?[] positional, IReadOnlyDictionary<string, object?> named)
    {
        public object?[] Positional => positional;

        public IReadOnlyDictionary<string, object?> Named => named;

        public bool Has(int place, string name) => place < positional.Length || named.ContainsKey(name);

        public object? Get(int place, string name, object? fallback = null) => place < positional.Length ? positional[place] : named.TryGetValue(name, out var value) ? value : fallback;

        public long Int(int place, string name, long fallback) => Has(place, name) ? Python.Whole(Get(place, name)) : fallback;

        public bool Flag(int place, string name, bool fallback = false) => Has(place, name) ? Python.Truth(Get(place, name)) : fallback;

        public string Text(int place, string name, string fallback) => Has(place, name) ? Python.Text(Get(place, name)) : fallback;
    }

    public static bool IsKnown(string name) => All.ContainsKey(name);

    public static object? Run(string name, object? value, object?[] positional, IReadOnlyDictionary<string, object?> named) =>
        All.TryGetValue(name, out var body) ? body(value, new Given(positional, named)) : throw new JinjaException("TemplateAssertionError", $"No filter named {Python.Repr(name)}.");

    private static readonly Dictionary<string, Body> All = new(StringComparer.Ordinal)
    {
        ["default"] = Default, ["d"] = Default,
        ["trim"] = (v, g) => Methods.Strip(Python.Text(v), g.Get(0, "chars") as string, true, true),
        ["upper"] = (v, _) => Methods.Upper(Python.Text(v)), ["lower"] = (v, _) => Python.Text(v).ToLowerInvariant(), ["capitalize"] = (v, _) => Methods.Capitalize(Python.Text(v)),
        ["title"] = (v, _) => Regex.Replace(Python.Text(v), @"[^-\s({\[<]+", m => Methods.Capitalize(m.Value)),
        ["replace"] = (v, g) => Methods.Replace(Python.Text(v), g.Text(0, "old", ""), g.Text(1, "new", ""), g.Get(2, "count") is { } c ? Python.Whole(c) : -1),
        ["length"] = (v, _) => Python.Length(v), ["count"] = (v, _) => Python.Length(v),
        ["string"] = (v, _) => Python.Text(v), ["safe"] = (v, _) => Python.Text(v),
        ["escape"] = (v, _) => Escape(Python.Text(v)), ["e"] = (v, _) => Escape(Python.Text(v)), ["forceescape"] = (v, _) => Escape(Python.Text(v)),
        ["list"] = (v, _) => new Sequence(Python.Iterate(v)),
        ["items"] = (v, _) => v is Undefined ? new Sequence([]) : v is Mapping m ? new Sequence([.. m.Items.Select(i => (object?)new Sequence([i.Key, i.Value], true))]) : throw JinjaException.Type("Can only get item pairs from a mapping."),
        ["first"] = (v, _) => Python.Iterate(v) is { Count: > 0 } i ? i[0] : new Undefined("No first item, sequence was empty."),
        ["last"] = (v, _) => Python.Iterate(v) is { Count: > 0 } i ? i[^1] : new Undefined("No last item, sequence was empty."),
        ["random"] = (_, _) => throw JinjaException.Security("random has no place in a chat template: the same messages must give the same text"),
        ["reverse"] = (v, _) => v is string s ? string.Concat(s.EnumerateRunes().Reverse().Select(r => r.ToString())) : new Sequence([.. Python.Iterate(v).Reverse()]),
        ["join"] = (v, g) => string.Join(g.Text(0, "d", ""), Python.Iterate(v).Select(i => Python.Text(g.Has(1, "attribute") ? Path(i, g.Get(1, "attribute")) : i))),
        ["map"] = Map,
        ["select"] = (v, g) => Selected(v, g, null, true), ["reject"] = (v, g) => Selected(v, g, null, false),
        ["selectattr"] = (v, g) => Selected(v, g, g.Get(0, "attribute"), true), ["rejectattr"] = (v, g) => Selected(v, g, g.Get(0, "attribute"), false),
        ["unique"] = (v, g) => Unique(v, g.Flag(0, "case_sensitive"), g.Get(1, "attribute")),
        ["sort"] = (v, g) => Sorted(Python.Iterate(v), i => g.Get(2, "attribute") is { } a ? Path(i, a) : i, g.Flag(0, "reverse"), g.Flag(1, "case_sensitive")),
        ["dictsort"] = DictSort, ["groupby"] = GroupBy,
        ["min"] = (v, g) => Extreme(v, g, -1), ["max"] = (v, g) => Extreme(v, g, 1),
        ["sum"] = (v, g) => Python.Iterate(v).Select(i => g.Get(0, "attribute") is { } a ? Path(i, a) : i).Aggregate(g.Get(1, "start", 0L), (sum, i) => Python.Arithmetic("+", sum, i)),
        ["abs"] = (v, _) => v is double d ? (object)Math.Abs(d) : v is Undefined u ? throw u.Error : Python.IsNumber(v) ? Math.Abs(Python.Whole(v)) : throw JinjaException.Type($"bad operand type for abs(): '{Python.TypeName(v)}'"),
        ["round"] = Round, ["int"] = Int, ["float"] = (v, g) => Float(v, g.Get(0, "default", 0.0)),
        ["batch"] = (v, g) => Batch(v, g), ["slice"] = (v, g) => Slices(v, g),
        ["wordcount"] = (v, _) => (long)Regex.Count(Python.Text(v), @"\w+"),
        ["indent"] = Indent,
        ["tojson"] = ToJson,
        ["format"] = (v, g) => g.Named.Count > 0 ? Formatting.Percent(Python.Text(v), [], new Mapping(g.Named.Select(n => KeyValuePair.Create((object?)n.Key, n.Value)))) : Formatting.Percent(Python.Text(v), g.Positional, null),
        ["truncate"] = Truncate, ["center"] = (v, g) => Center(Python.Text(v), (int)Math.Min(100_000, g.Int(0, "width", 80)), ' '),
        ["striptags"] = (v, _) => System.Net.WebUtility.HtmlDecode(Regex.Replace(Regex.Replace(Python.Text(v), "<!--.*?-->|<[^>]*>", "", RegexOptions.Singleline), @"\s+", " ").Trim()),
        ["urlencode"] = (v, _) => v is Mapping m ? string.Join('&', m.Items.Select(i => Query(Python.Text(i.Key)) + "=" + Query(Python.Text(i.Value)))) : Url(Python.Text(v)),
        ["attr"] = (v, g) => Python.Attribute(v, g.Text(0, "name", ""), orItem: false),
        ["pprint"] = (v, _) => Python.Repr(v), ["filesizeformat"] = (v, _) => throw JinjaException.Security("filesizeformat is not available in chat templates"),
        ["wordwrap"] = WordWrap, ["xmlattr"] = (v, g) => XmlAttributes(v, g.Flag(0, "autospace", true)),
    };

    private static object? Default(object? value, Given g) => value is Undefined || g.Flag(1, "boolean") && !Python.Truth(value) ? g.Get(0, "default_value", "") : value;

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
        .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);

    private static string Url(string text) => string.Concat(Encoding.UTF8.GetBytes(text).Select(b => char.IsAsciiLetterOrDigit((char)b) || b is (byte)'-' or (byte)'_' or (byte)'.' or (byte)'~' or (byte)'/' ? ((char)b).ToString() : $"%{b:X2}"));

    private static string Query(string text) => Url(text).Replace("%20", "+", StringComparison.Ordinal).Replace("/", "%2F", StringComparison.Ordinal);

    /// <summary>An attribute, or several with dots between; whole numbers are indices.</summary>
    private static object? Path(object? value, object? attribute, object? fallback = null)
    {
        foreach (var part in attribute is string path ? path.Split('.').Cast<object?>() : [attribute])
        {
            value = Python.Item(value, part is string s && long.TryParse(s, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : part);
            if (fallback is not null && value is Undefined) return fallback;
        }
        return value;
    }

    private static object? Map(object? value, Given g)
    {
        if (g.Positional.Length == 0 && g.Named.TryGetValue("attribute", out var attribute)) return new Sequence([.. Python.Iterate(value).Select(i => Path(i, attribute, g.Get(9, "default")))]);
        if (g.Positional.Length == 0) throw new JinjaException("FilterArgumentError", "map requires a filter argument");
        return new Sequence([.. Python.Iterate(value).Select(i => Run(Python.Text(g.Positional[0]), i, g.Positional[1..], g.Named))]);
    }

    private static Sequence Selected(object? value, Given g, object? attribute, bool keep)
    {
        var first = attribute is null ? 0 : 1;
        var test = first < g.Positional.Length ? Python.Text(g.Positional[first]) : null;
        var rest = first + 1 <= g.Positional.Length ? g.Positional[Math.Min(first + 1, g.Positional.Length)..] : [];
        return new Sequence([.. Python.Iterate(value).Where(item =>
        {
            var of = attribute is null ? item : Path(item, attribute);
            return (test is null ? Python.Truth(of) : Tests.Run(test, of, rest)) == keep;
        })]);
    }

    private static object? Folded(object? value, bool caseSensitive) => !caseSensitive && value is string s ? s.ToLowerInvariant() : value;

    private static Sequence Unique(object? value, bool caseSensitive, object? attribute)
    {
        var seen = new List<object?>();
        return new Sequence([.. Python.Iterate(value).Where(item =>
        {
            var key = Folded(attribute is null ? item : Path(item, attribute), caseSensitive);
            if (seen.Any(s => Python.AreEqual(s, key))) return false;
            seen.Add(key);
            return true;
        })]);
    }

    private static Sequence Sorted(IEnumerable<object?> items, Func<object?, object?> key, bool reverse, bool caseSensitive)
    {
        var order = Comparer<object?>.Create((a, b) => -Python.Order(b, a, "<"));
        object? Key(object? item) => Folded(key(item), caseSensitive);
        try { return new Sequence([.. reverse ? items.Reverse().OrderBy(Key, order).Reverse() : items.OrderBy(Key, order)]); }
        catch (InvalidOperationException e) when (e.InnerException is JinjaException inner) { throw inner; }
    }

    private static object? DictSort(object? value, Given g)
    {
        var place = g.Text(1, "by", "key") == "value" ? 1 : 0;
        var pairs = Python.Iterate(((Sequence)Run("items", value, [], new Dictionary<string, object?>())!));
        return Sorted(pairs, p => ((Sequence)p!).Items[place], g.Flag(2, "reverse"), g.Flag(0, "case_sensitive"));
    }

    private static Sequence GroupBy(object? value, Given g)
    {
        var sorted = Sorted(Python.Iterate(value), i => Path(i, g.Get(0, "attribute"), g.Get(1, "default")), false, g.Flag(2, "case_sensitive"));
        var groups = new List<(object? Key, List<object?> Items)>();
        foreach (var item in sorted.Items)
        {
            var key = Path(item, g.Get(0, "attribute"), g.Get(1, "default"));
            if (groups.Count > 0 && Python.AreEqual(Folded(groups[^1].Key, g.Flag(2, "case_sensitive")), Folded(key, g.Flag(2, "case_sensitive")))) groups[^1].Items.Add(item);
            else groups.Add((key, [item]));
        }
        return new Sequence([.. groups.Select(x => (object?)new Group(x.Key, new Sequence(x.Items)))]);
    }

    private sealed class Group(object? grouper, Sequence list) : Special
    {
        public override string TypeName => "_GroupTuple";

        public override object? Get(string name) => name switch { "grouper" => grouper, "list" => list, _ => Undefined.Of(this, name) };
    }

    private static object? Extreme(object? value, Given g, int sign)
    {
        var items = Python.Iterate(value);
        if (items.Count == 0) return new Undefined("No aggregated item, sequence was empty.");
        object? Key(object? item) => Folded(g.Get(1, "attribute") is { } a ? Path(item, a) : item, g.Flag(0, "case_sensitive"));
        return items.Aggregate((best, item) => sign * Python.Order(Key(item), Key(best), sign > 0 ? ">" : "<") > 0 ? item : best);
    }

    private static object? Round(object? value, Given g)
    {
        var (digits, scale) = (g.Int(0, "precision", 0), Math.Pow(10, g.Int(0, "precision", 0)));
        var number = value is Undefined u ? throw u.Error : Python.Number(value);
        return g.Text(1, "method", "common") switch
        {
            "common" when value is long or bool => digits >= 0 ? Python.Whole(value) : (object)(long)(Math.Round(number * scale, MidpointRounding.ToEven) / scale),
            "common" => digits is >= 0 and <= 15 ? Rounded(number, (int)digits) : Math.Round(number * scale) / scale,
            "ceil" => Math.Ceiling(number * scale) / scale, "floor" => Math.Floor(number * scale) / scale,
            _ => throw new JinjaException("FilterArgumentError", "method must be common, ceil or floor"),
        };
    }

    /// <summary>Rounds the number as it is, not as it is written; halves to even.</summary>
    private static double Rounded(double number, int digits)
    {
        if (!double.IsFinite(number) || Math.Abs(number) > 1e15) return number;
        var exact = Math.Abs(number).ToString("F" + (digits + 70), CultureInfo.InvariantCulture);
        var cut = exact.IndexOf('.') + 1 + digits;
        var tie = exact[cut] == '5' && exact.AsSpan(cut + 1).TrimEnd('0').IsEmpty;
        if (!tie) return double.Parse(number.ToString("F" + digits, CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        var below = decimal.Parse(exact.AsSpan(0, cut).TrimEnd('.'), CultureInfo.InvariantCulture);
        var unit = decimal.Parse("1E-" + digits, NumberStyles.Float, CultureInfo.InvariantCulture);
        return Math.Sign(number) * (double)((exact.AsSpan(0, cut).TrimEnd('.')[^1] - '0') % 2 == 0 ? below : below + unit);
    }

    private static object? Int(object? value, Given g)
    {
        var (fallback, radix) = (g.Get(0, "default", 0L), (int)g.Int(1, "base", 10));
        switch (value)
        {
            case bool or long: return Python.Whole(value);
            case double d: return double.IsFinite(d) ? (long)d : fallback;
            case string s:
                var text = s.Trim().Replace("_", "", StringComparison.Ordinal);
                if (radix == 10 && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var n)) return n;
                if (radix is 2 or 8 or 16)
                    try { return Convert.ToInt64(Regex.Replace(text, "^0[xXbBoO]", ""), radix); }
                    catch (Exception e) when (e is FormatException or OverflowException or ArgumentException) { return fallback; }
                return Float(text, null) is double f && double.IsFinite(f) ? (long)f : fallback;
            default: return fallback;
        }
    }

    private static object? Float(object? value, object? fallback) => value switch
    {
        bool or long or double => Python.Number(value),
        string s => double.TryParse(s.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var d) ? d : fallback,
        _ => fallback,
    };

    private static Sequence Batch(object? value, Given g)
    {
        var rows = Python.Iterate(value).Chunk((int)Math.Max(1, g.Int(0, "linecount", 1))).Select(r => r.ToList()).ToList();
        if (g.Get(1, "fill_with") is { } fill && rows.Count > 0)
            while (rows[^1].Count < g.Int(0, "linecount", 1)) rows[^1].Add(fill);
        return new Sequence([.. rows.Select(r => (object?)new Sequence(r))]);
    }

    private static Sequence Slices(object? value, Given g)
    {
        var (items, count) = (Python.Iterate(value), (int)Math.Clamp(g.Int(0, "slices", 1), 1, 100_000));
        var (each, more, at) = (items.Count / count, items.Count % count, 0);
        var slices = new List<object?>();
        for (var i = 0; i < count; i++)
        {
            var slice = items.Skip(at).Take(each + (i < more ? 1 : 0)).ToList();
            at += slice.Count;
            if (g.Get(1, "fill_with") is { } fill && i >= more && more > 0) slice.Add(fill);
            slices.Add(new Sequence(slice));
        }
        return new Sequence(slices);
    }

    private static object? Indent(object? value, Given g)
    {
        var width = g.Get(0, "width", 4L) is string own ? own : new string(' ', (int)Math.Clamp(g.Int(0, "width", 4), 0, 1000));
        var lines = (Python.Text(value) + "\n").Split('\n')[..^1];
        var blank = g.Flag(2, "blank");
        return string.Join('\n', lines.Select((line, i) => (i == 0 ? g.Flag(1, "first") : true) && (line.Length > 0 || blank) ? width + line : line));
    }

    private static object? ToJson(object? value, Given g)
    {
        if (value is Undefined) throw JinjaException.Type("Object of type Undefined is not JSON serializable");
        var separators = g.Get(2, "separators") is Sequence { Count: 2 } s ? (Python.Text(s.Items[0]), Python.Text(s.Items[1])) : ((string, string)?)null;
        return Formatting.Json(value, g.Get(1, "indent") is { } indent ? (int)Math.Clamp(Python.Whole(indent), 0, 100) : null, separators, g.Flag(3, "sort_keys"), g.Flag(0, "ensure_ascii"));
    }

    private static object? Truncate(object? value, Given g)
    {
        var (text, length, end, leeway) = (Python.Text(value), (int)g.Int(0, "length", 255), g.Text(2, "end", "..."), (int)g.Int(3, "leeway", 5));
        if (text.Length <= length + leeway) return text;
        var cut = text[..Math.Max(0, length - end.Length)];
        return g.Flag(1, "killwords") ? cut + end : (cut.Contains(' ') ? cut[..cut.LastIndexOf(' ')] : cut) + end;
    }

    public static string Center(string text, int width, char fill)
    {
        var free = width - Python.Characters(text);
        if (free <= 0) return text;
        var left = free / 2 + (free & width & 1);
        return new string(fill, left) + text + new string(fill, free - left);
    }

    private static object? WordWrap(object? value, Given g)
    {
        var (width, lines) = ((int)Math.Max(1, g.Int(0, "width", 79)), new List<string>());
        foreach (var line in Python.Text(value).Split('\n'))
        {
            var current = "";
            foreach (var word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                var rest = word;
                if (current.Length > 0 && current.Length + 1 + rest.Length <= width)
                {
                    current += " " + rest;
                    continue;
                }
                if (current.Length > 0) lines.Add(current);
                for (; g.Flag(1, "break_long_words", true) && rest.Length > width; rest = rest[width..]) lines.Add(rest[..width]);
                current = rest;
            }
            lines.Add(current);
        }
        return string.Join(g.Text(2, "wrapstring", "\n"), lines);
    }

    private static string XmlAttributes(object? value, bool space)
    {
        var text = value is Mapping m ? string.Join(' ', m.Items.Where(i => i.Value is not (null or Undefined)).Select(i => $"{Escape(Python.Text(i.Key))}=\"{Escape(Python.Text(i.Value))}\"")) : throw JinjaException.Type("xmlattr needs a mapping");
        return space && text.Length > 0 ? " " + text : text;
    }
}
