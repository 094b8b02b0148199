using System.Text;
using System.Text.RegularExpressions;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Splitting;

/// <summary>
/// A text or a regular expression to look for. Expressions are those of Oniguruma, which the tokenizers library uses, translated to .NET's: possessive
/// quantifiers become atomic groups, <c>\h</c>, scripts and POSIX classes become sets, <c>^</c> and <c>$</c> match at lines. What has no translation is refused.
/// </summary>
internal sealed class Pattern
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    /// <summary>Compiling an expression costs more than splitting a megabyte, and many tokenizers share a few.</summary>
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<string, Regex> Compiled = new(StringComparer.Ordinal);
    private readonly Regex _regex;

    private Pattern(string regex) => _regex = Compiled.GetOrAdd(regex, static r => new Regex(r, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience));

    /// <summary>The translated expression.</summary>
    public Regex Regex => _regex;

    public static Pattern Read(JsonField json)
    {
        if (json.OptionalText("String") is { } text) return OfText(text);
        var regex = json.Text("Regex");
        try { return new Pattern(Translate(regex)); }
        catch (Exception e) when (e is ArgumentException or NotSupportedException) { throw new InvalidDataException($"{json.Where}: the expression {regex} cannot be used: {e.Message}", e); }
    }

    public static Pattern OfText(string text) => new(Regex.Escape(Flat(text)));

    public static Pattern OfRegex(string regex) => new(Translate(regex));

    /// <summary>Places of all matches, in order; empty matches are none.</summary>
    public IEnumerable<(int Start, int End)> Matches(NormalizedText text)
    {
        for (var match = _regex.Match(text.Flat); match.Success; match = match.NextMatch())
            if (match.Length > 0) yield return (match.Index, match.Index + match.Length);
    }

    /// <summary>Text with every occurrence replaced.</summary>
    public string Replace(string text, string content) => _regex.Replace(text, content.Replace("$", "$$", StringComparison.Ordinal));

    private static string Flat(string text) => NormalizedText.Of(text).Flat;

    /// <summary>Oniguruma to .NET.</summary>
    internal static string Translate(string source)
    {
        var output = new StringBuilder(source.Length + 16);
        var atom = -1;                                                       // where the last atom begins in the output
        var groups = new Stack<int>();
        for (var i = 0; i < source.Length;)
        {
            var c = source[i];
            switch (c)
            {
                case '\\':
                    atom = output.Length;
                    output.Append(Escape(source, ref i, inSet: false));
                    break;
                case '[':
                    atom = output.Length;
                    output.Append(Set(source, ref i));
                    break;
                case '(':
                    groups.Push(output.Length);
                    output.Append(c);
                    i++;
                    break;
                case ')':
                    atom = groups.Count > 0 ? groups.Pop() : throw new ArgumentException("a ) without its (");
                    output.Append(c);
                    i++;
                    break;
                case '^' or '$':
                    atom = output.Length;
                    output.Append(c == '^' ? "(?m:^)" : "(?m:$)");
                    i++;
                    break;
                case '*' or '+' or '?' when atom >= 0:
                case '{' when atom >= 0 && Regex.IsMatch(source.AsSpan(i), @"^\{\d*,?\d*\}"):
                    var end = c == '{' ? source.IndexOf('}', i) + 1 : i + 1;
                    output.Append(source.AsSpan(i, end - i).ToString().Replace("{,", "{0,", StringComparison.Ordinal));
                    i = end;
                    if (i < source.Length && source[i] == '+')
                    {
                        // After {n,m} a + repeats the whole; after the others it takes back what it gave.
                        output.Insert(atom, c == '{' ? "(?:" : "(?>").Append(c == '{' ? ")+" : ")");
                        i++;
                    }
                    else if (i < source.Length && source[i] == '?')
                    {
                        output.Append('?');
                        i++;
                    }
                    break;
                default:
                    atom = output.Length;
                    if (char.IsHighSurrogate(c) && i + 1 < source.Length) output.Append(UnicodeClass.Proxy(char.ConvertToUtf32(c, source[++i])));
                    else output.Append(c);
                    i++;
                    if (c == '|') atom = -1;
                    break;
            }
        }
        return output.ToString();
    }

    private static string Set(string source, ref int i)
    {
        var set = new StringBuilder("[");
        i++;
        if (i < source.Length && source[i] == '^')
        {
            set.Append('^');
            i++;
        }
        for (var first = true; ; first = false)
        {
            if (i >= source.Length) throw new ArgumentException("a [ without its ]");
            if (source[i] == ']' && !first)
            {
                i++;
                return set.Append(']').ToString();
            }
            if (source.AsSpan(i).StartsWith("[:"))
            {
                var end = source.IndexOf(":]", i, StringComparison.Ordinal);
                if (end < 0) throw new ArgumentException("a [: without its :]");
                set.Append(Posix(source[(i + 2)..end]));
                i = end + 2;
            }
            else if (source[i] == '[') throw new NotSupportedException("sets inside sets are not supported");
            else if (source.AsSpan(i).StartsWith("&&")) throw new NotSupportedException("intersections of sets (&&) are not supported");
            else if (source[i] == '\\') set.Append(Escape(source, ref i, inSet: true));
            else
            {
                set.Append(source[i] == ']' ? "\\]" : source[i].ToString());
                i++;
            }
        }
    }

    private static string Escape(string source, ref int i, bool inSet)
    {
        if (i + 1 >= source.Length) throw new ArgumentException("a \\ at the end");
        var c = source[i + 1];
        i += 2;
        string Wrapped(string members) => inSet ? members : $"[{members}]";
        switch (c)
        {
            case 'h': return Wrapped("0-9a-fA-F");
            case 'w': return Wrapped(@"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200C\u200D\u24B6-\u24E9");
            case 'W' when !inSet: return @"[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200C\u200D\u24B6-\u24E9]";
            case 'd': return @"\p{Nd}";
            case 'x' when i < source.Length && source[i] == '{':
                var close = source.IndexOf('}', i);
                var code = Convert.ToInt32(source[(i + 1)..close], 16);
                i = close + 1;
                return code < 0x10000 ? $"\\u{code:X4}" : throw new NotSupportedException($"\\x{{{code:X}}} lies beyond the basic plane");
            case 'p' or 'P':
                if (i < source.Length && source[i] != '{') return $"\\{c}{{{source[i++]}}}";
                var end = source.IndexOf('}', i);
                if (end < 0) throw new ArgumentException("a \\p{ without its }");
                var name = source[(i + 1)..end];
                i = end + 1;
                var negated = c == 'P' ^ name.StartsWith('^');
                name = name.TrimStart('^');
                if (Categories.Contains(name)) return $"\\{(negated ? 'P' : 'p')}{{{name}}}";
                if (!Scripts.TryGetValue(name.ToLowerInvariant(), out var ranges)) throw new NotSupportedException($"the class \\p{{{name}}} is not known");
                return negated ? inSet ? throw new NotSupportedException($"\\P{{{name}}} inside a set is not supported") : $"[^{ranges}]" : Wrapped(ranges);
            case '/' or '\'' or '"' or '<' or '>' or '=' or '!' or ':' or '~' or '@' or '%' or '&' or ';' or ',' or '`' or '_': return c == '_' ? "_" : c.ToString();
            case 'R' when !inSet: return @"(?:\r\n|[\n\v\f\r\u0085\u2028\u2029])";
            case 'X' or 'K' or 'y' or 'Y' or 'g' or 'k': throw new NotSupportedException($"\\{c} is not supported");
            case 'z' or 'Z' or 'A' or 'G' or 'b' or 'B' or 's' or 'S' or 'D' or 'W' or 'n' or 'r' or 't' or 'f' or 'v' or 'e' or 'a' or '0': return $"\\{c}";
            case 'x' or 'u':
                var length = c == 'x' ? 2 : 4;
                var hex = source.Substring(i, Math.Min(length, source.Length - i));
                i += hex.Length;
                return $"\\{c}{hex}";
            default: return char.IsAsciiLetterOrDigit(c) ? $"\\{c}" : Regex.Escape(c.ToString()) is var escaped && c is ']' or '[' or '-' or '^' ? $"\\{c}" : escaped;
        }
    }

    private static string Posix(string name) => name switch
    {
        "alpha" => @"\p{L}\p{M}\p{Nl}", "digit" => @"\p{Nd}", "alnum" => @"\p{L}\p{M}\p{Nl}\p{Nd}", "upper" => @"\p{Lu}", "lower" => @"\p{Ll}", "space" => @"\s",
        "punct" => @"\p{P}$+<=>^`|~", "cntrl" => @"\p{Cc}\p{Cf}\p{Co}", "xdigit" => "0-9a-fA-F", "blank" => @"\p{Zs}\t", "ascii" => @"\x00-\x7F",
        _ => throw new NotSupportedException($"the class [:{name}:] is not known"),
    };

    private static readonly HashSet<string> Categories =
    [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Cs", "Co", "Cn",
    ];

    /// <summary>Scripts and long names that published patterns use, on the basic plane (ideographs beyond it count as U+3400).</summary>
    private static readonly Dictionary<string, string> Scripts = new()
    {
        ["han"] = @"\u2E80-\u2E99\u2E9B-\u2EF3\u2F00-\u2FD5\u3005\u3007\u3021-\u3029\u3038-\u303B\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFA6D\uFA70-\uFAD9",
        ["hiragana"] = @"\u3041-\u3096\u309D-\u309F", ["katakana"] = @"\u30A1-\u30FA\u30FD-\u30FF\u31F0-\u31FF\u32D0-\u32FE\u3300-\u3357\uFF66-\uFF6F\uFF71-\uFF9D",
        ["hangul"] = @"\u1100-\u11FF\u302E\u302F\u3131-\u318E\u3200-\u321E\u3260-\u327E\uA960-\uA97C\uAC00-\uD7A3\uD7B0-\uD7C6\uD7CB-\uD7FB\uFFA0-\uFFBE\uFFC2-\uFFC7\uFFCA-\uFFCF\uFFD2-\uFFD7\uFFDA-\uFFDC",
        ["thai"] = @"\u0E01-\u0E3A\u0E40-\u0E5B", ["lao"] = @"\u0E81-\u0EDF", ["khmer"] = @"\u1780-\u17F9\u19E0-\u19FF", ["myanmar"] = @"\u1000-\u109F\uA9E0-\uA9FE\uAA60-\uAA7F",
        ["cyrillic"] = @"\u0400-\u0484\u0487-\u052F\u1C80-\u1C8A\u1D2B\u1D78\u2DE0-\u2DFF\uA640-\uA69F\uFE2E\uFE2F", ["greek"] = @"\u0370-\u0373\u0375-\u0377\u037A-\u037D\u037F\u0384\u0386\u0388-\u03E1\u03F0-\u03FF\u1F00-\u1FFE",
        ["hebrew"] = @"\u0591-\u05F4\uFB1D-\uFB4F", ["arabic"] = @"\u0600-\u0604\u0606-\u060B\u060D-\u061A\u061C-\u061E\u0620-\u063F\u0641-\u064A\u0656-\u066F\u0671-\u06DC\u06DE-\u06FF\u0750-\u077F\u0870-\u08FF\uFB50-\uFDFF\uFE70-\uFEFC",
        ["devanagari"] = @"\u0900-\u0950\u0955-\u0963\u0966-\u097F\uA8E0-\uA8FF",
        ["latin"] = @"A-Za-z\u00AA\u00BA\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u02B8\u02E0-\u02E4\u1D00-\u1D25\u1D2C-\u1D5C\u1D62-\u1D65\u1D6B-\u1D77\u1D79-\u1DBE\u1E00-\u1EFF\u2071\u207F\u2090-\u209C\u212A\u212B\u2132\u214E\u2160-\u2188\u2C60-\u2C7F\uA722-\uA787\uA78B-\uA7DC\uA7F2-\uA7FF\uAB30-\uAB5A\uAB5C-\uAB64\uFB00-\uFB06\uFF21-\uFF3A\uFF41-\uFF5A",
        ["letter"] = @"\p{L}", ["number"] = @"\p{N}", ["punctuation"] = @"\p{P}", ["symbol"] = @"\p{S}", ["mark"] = @"\p{M}", ["separator"] = @"\p{Z}", ["space"] = @"\s",
        ["alpha"] = @"\p{L}\p{M}\p{Nl}", ["alnum"] = @"\p{L}\p{M}\p{Nl}\p{Nd}", ["digit"] = @"\p{Nd}", ["upper"] = @"\p{Lu}", ["lower"] = @"\p{Ll}", ["punct"] = @"\p{P}$+<=>^`|~",
    };
}
