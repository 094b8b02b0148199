using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NotebookKit.Chat.Jinja;

/// <summary>JSON, dates and <c>%</c> as the reference writes them.</summary>
internal static partial class Formatting
{
    /// <summary>Python's <c>json.dumps</c> as transformers calls it: characters beyond ASCII stay, HTML is not escaped.</summary>
    public static string Json(object? value, int? indent = null, (string Item, string Key)? separators = null, bool sortKeys = false, bool ascii = false)
    {
        var json = new StringBuilder();
        var (item, key) = separators ?? (indent is null ? ", " : ",", ": ");
        void Line(int depth)
        {
            if (indent is { } width) json.Append('\n').Append(' ', width * depth);
        }
        void Write(object? v, int depth)
        {
            if (depth > 100) throw new JinjaException("RecursionError", "maximum recursion depth exceeded");
            switch (v)
            {
                case null: json.Append("null"); break;
                case bool b: json.Append(b ? "true" : "false"); break;
                case double d: json.Append(double.IsNaN(d) ? "NaN" : double.IsInfinity(d) ? d > 0 ? "Infinity" : "-Infinity" : Python.Float(d)); break;
                case long n: json.Append(CultureInfo.InvariantCulture, $"{n}"); break;
                case string s: Quote(json, s, ascii); break;
                case Sequence { Count: 0 }: json.Append("[]"); break;
                case Sequence l:
                    json.Append('[');
                    for (var i = 0; i < l.Count; i++)
                    {
                        if (i > 0) json.Append(item);
                        Line(depth + 1);
                        Write(l.Items[i], depth + 1);
                    }
                    Line(depth);
                    json.Append(']');
                    break;
                case Mapping { Items.Count: 0 }: json.Append("{}"); break;
                case Mapping m:
                    json.Append('{');
                    var first = true;
                    foreach (var (k, value) in sortKeys ? m.Items.OrderBy(i => i.Key, Comparer<object?>.Create((a, b) => Python.Order(a, b, "<"))).ToArray() : m.Items)
                    {
                        if (!first) json.Append(item);
                        first = false;
                        Line(depth + 1);
                        Quote(json, k switch { string s => s, null => "null", bool b => b ? "true" : "false", _ => Python.Text(k) }, ascii);
                        json.Append(key);
                        Write(value, depth + 1);
                    }
                    Line(depth);
                    json.Append('}');
                    break;
                default: throw JinjaException.Type($"Object of type {Python.TypeName(v)} is not JSON serializable");
            }
        }
        Write(value, 0);
        return json.ToString();
    }

    private static void Quote(StringBuilder json, string text, bool ascii)
    {
        json.Append('"');
        foreach (var c in text)
        {
            switch (c)
            {
                case '"': json.Append("\\\""); break;
                case '\\': json.Append("\\\\"); break;
                case '\n': json.Append("\\n"); break;
                case '\r': json.Append("\\r"); break;
                case '\t': json.Append("\\t"); break;
                case '\b': json.Append("\\b"); break;
                case '\f': json.Append("\\f"); break;
                default:
                    if (c < 0x20 || ascii && c > 0x7E) json.Append($"\\u{(int)c:x4}");
                    else json.Append(c);
                    break;
            }
        }
        json.Append('"');
    }

    /// <summary>Python's <c>strftime</c> in the C locale.</summary>
    public static string Date(DateTimeOffset now, string format)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 >= format.Length)
            {
                text.Append(format[i]);
                continue;
            }
            var bare = format[i + 1] == '-' && i + 2 < format.Length;
            if (bare) i++;
            var c = format[++i];
            string Number(int value, int width) => bare ? value.ToString(CultureInfo.InvariantCulture) : value.ToString("D" + width, CultureInfo.InvariantCulture);
            string Own(string pattern) => now.ToString(pattern, CultureInfo.InvariantCulture);
            var hour = now.Hour % 12 == 0 ? 12 : now.Hour % 12;
            text.Append(c switch
            {
                'Y' => Number(now.Year, 4), 'm' => Number(now.Month, 2), 'd' => Number(now.Day, 2), 'H' => Number(now.Hour, 2), 'I' => Number(hour, 2), 'M' => Number(now.Minute, 2), 'S' => Number(now.Second, 2),
                'y' => Number(now.Year % 100, 2), 'j' => Number(now.DayOfYear, 3), 'f' => now.ToString("ffffff", CultureInfo.InvariantCulture), 'e' => now.Day.ToString(CultureInfo.InvariantCulture).PadLeft(bare ? 0 : 2),
                'A' => Own("dddd"), 'a' => Own("ddd"), 'B' => Own("MMMM"), 'b' or 'h' => Own("MMM"), 'p' => now.Hour < 12 ? "AM" : "PM",
                'F' => Own("yyyy-MM-dd"), 'T' or 'X' => Own("HH:mm:ss"), 'R' => Own("HH:mm"), 'D' or 'x' => Own("MM/dd/yy").Replace(CultureInfo.InvariantCulture.DateTimeFormat.DateSeparator, "/", StringComparison.Ordinal),
                'c' => $"{Own("ddd MMM")} {now.Day,2} {Own("HH:mm:ss yyyy")}", 'u' => now.DayOfWeek == DayOfWeek.Sunday ? "7" : ((int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture), 'w' => ((int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture),
                'U' => Number((now.DayOfYear + 6 - (int)now.DayOfWeek) / 7, 2), 'W' => Number((now.DayOfYear + 6 - ((int)now.DayOfWeek + 6) % 7) / 7, 2),
                'V' => Number(ISOWeek.GetWeekOfYear(now.DateTime), 2), 'G' => Number(ISOWeek.GetYear(now.DateTime), 4), 's' => now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
                'n' => "\n", 't' => "\t", '%' => "%", 'z' or 'Z' => "", _ => "%" + c,
            });
        }
        return text.ToString();
    }

    /// <summary>Python's <c>%</c> on a text.</summary>
    public static string Percent(string format, IReadOnlyList<object?> values, Mapping? named)
    {
        var used = 0;
        var text = PercentPattern().Replace(format, match =>
        {
            var kind = match.Groups["kind"].Value;
            if (kind == "%") return "%";
            var value = match.Groups["name"].Success
                ? named is not null && named.TryGet(match.Groups["name"].Value, out var found) ? found : throw new JinjaException("KeyError", Python.Repr(match.Groups["name"].Value))
                : used < values.Count ? values[used++] : throw JinjaException.Type("not enough arguments for format string");
            var flags = match.Groups["flags"].Value;
            int? precision = match.Groups["precision"].Success ? int.Parse("0" + match.Groups["precision"].Value, CultureInfo.InvariantCulture) : null;
            var width = match.Groups["width"].Value is { Length: > 0 } w ? Math.Min(int.Parse(w, CultureInfo.InvariantCulture), 10_000) : 0;
            var shown = kind switch
            {
                "s" => Python.Text(value), "r" or "a" => Python.Repr(value), "c" => value is string one ? one : char.ConvertFromUtf32((int)Python.Whole(value)),
                "d" or "i" or "u" => ((long)Math.Truncate(Numeric(value, kind))).ToString(CultureInfo.InvariantCulture),
                "x" => Python.Whole(value).ToString("x", CultureInfo.InvariantCulture), "X" => Python.Whole(value).ToString("X", CultureInfo.InvariantCulture), "o" => Convert.ToString(Python.Whole(value), 8),
                "f" or "F" => Numeric(value, kind).ToString("F" + (precision ?? 6), CultureInfo.InvariantCulture),
                "e" or "E" => Exponent(Numeric(value, kind), precision ?? 6, kind == "E"),
                _ => General(Numeric(value, kind), precision ?? 6),
            };
            if (kind is "s" or "r" && precision is { } most && shown.Length > most) shown = shown[..most];
            if (kind is not ("s" or "r" or "c") && !shown.StartsWith('-')) shown = (flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "") + shown;
            return flags.Contains('-') ? shown.PadRight(width) : flags.Contains('0') && kind is not ("s" or "r" or "c")
                ? (shown.StartsWith('-') || shown.StartsWith('+') ? shown[..1] + shown[1..].PadLeft(width - 1, '0') : shown.PadLeft(width, '0')) : shown.PadLeft(width);
        });
        return named is null && used < values.Count ? throw JinjaException.Type("not all arguments converted during string formatting") : text;
    }

    private static double Numeric(object? value, string kind) => Python.IsNumber(value) ? Python.Number(value)
        : throw JinjaException.Type(kind is "d" or "i" or "u" ? $"%{kind} format: a real number is required, not {Python.TypeName(value)}" : $"must be real number, not {Python.TypeName(value)}");

    private static string Exponent(double value, int precision, bool upper)
    {
        var text = value.ToString((upper ? "E" : "e") + precision, CultureInfo.InvariantCulture);
        return Regex.Replace(text, @"([eE][+-])0(\d\d)$", "$1$2");
    }

    private static string General(double value, int precision)
    {
        if (value == 0) return "0";
        var exponent = (int)Math.Floor(Math.Log10(Math.Abs(value)));
        if (exponent >= -4 && exponent < Math.Max(1, precision))
        {
            var plain = value.ToString("F" + Math.Max(0, precision - 1 - exponent), CultureInfo.InvariantCulture);
            return plain.Contains('.', StringComparison.Ordinal) ? plain.TrimEnd('0').TrimEnd('.') : plain;
        }
        return Regex.Replace(Exponent(value, Math.Max(0, precision - 1), false), @"\.?0*(e)", "$1");
    }

    [GeneratedRegex(@"%(?:\((?<name>[^)]*)\))?(?<flags>[-+ 0#]*)(?<width>\d*)(?:\.(?<precision>\d*))?(?<kind>[sradiuxXofFeEgGc%])")]
    private static partial Regex PercentPattern();
}
