using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NotebookKit.Chat.Jinja;

internal enum TokenKind { Data, VariableBegin, VariableEnd, BlockBegin, BlockEnd, Name, Integer, Float, Text, Operator, End }

internal readonly record struct Token(TokenKind Kind, string Text, int Line)
{
    public bool Is(string op) => Kind == TokenKind.Operator && Text == op;

    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;
}

/// <summary>Cuts a template into tokens, with <c>trim_blocks</c> and <c>lstrip_blocks</c> as chat templates are read (https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control).</summary>
internal static partial class Lexer
{
    private static readonly string[] Operators = ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    public static List<Token> Read(string source)
    {
        var text = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        if (text.EndsWith('\n')) text = text[..^1];
        var tokens = new List<Token>();
        var (at, line, lineStart) = (0, 1, true);
        void Advance(int to)
        {
            line += text.AsSpan(at, to - at).Count('\n');
            if (to > at) lineStart = text[to - 1] == '\n';
            at = to;
        }
        while (at < text.Length)
        {
            var begin = NextBegin(text, at);
            if (begin < 0)
            {
                tokens.Add(new Token(TokenKind.Data, text[at..], line));
                break;
            }
            var kind = text[begin + 1];
            var sign = begin + 2 < text.Length && text[begin + 2] is '-' or '+' ? text[begin + 2] : '\0';
            if (kind == '{' && sign == '+') sign = '\0';                      // {{+ is a plus of the expression
            var data = text[at..begin];
            if (sign == '-') data = data.TrimEnd();
            else if (sign != '+' && kind != '{')
            {
                var start = data.LastIndexOf('\n') + 1;
                if ((start > 0 || lineStart) && start < data.Length && string.IsNullOrWhiteSpace(data[start..])) data = data[..start];
            }
            if (data.Length > 0) tokens.Add(new Token(TokenKind.Data, data, line));
            Advance(begin);
            var inside = begin + 2 + (sign == '\0' ? 0 : 1);
            if (kind == '#')
            {
                var end = CommentEnd().Match(text, inside);
                if (!end.Success) throw JinjaException.Syntax("Missing end of comment tag", line);
                Advance(end.Index + end.Length);
            }
            else if (kind == '%' && RawBegin().Match(text, begin) is { Success: true } raw && raw.Index == begin)
            {
                var end = RawEnd().Match(text, raw.Index + raw.Length);
                if (!end.Success) throw JinjaException.Syntax("Missing end of raw directive", line);
                var body = text[(raw.Index + raw.Length)..end.Index];
                if (end.Groups[1].Value == "-") body = body.TrimEnd();
                if (body.Length > 0) tokens.Add(new Token(TokenKind.Data, body, line));
                Advance(end.Index + end.Length);
            }
            else
            {
                tokens.Add(new Token(kind == '{' ? TokenKind.VariableBegin : TokenKind.BlockBegin, "", line));
                Advance(inside);
                Expression(text, kind == '{', tokens, ref at, Advance, () => line);
            }
        }
        tokens.Add(new Token(TokenKind.End, "", line));
        return tokens;
    }

    private static int NextBegin(string text, int from)
    {
        for (var at = from; (at = text.IndexOf('{', at)) >= 0; at++)
            if (at + 1 < text.Length && text[at + 1] is '{' or '%' or '#') return at;
        return -1;
    }

    private static void Expression(string text, bool variable, List<Token> tokens, ref int at, Action<int> advance, Func<int> line)
    {
        var depth = 0;
        while (true)
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) advance(at + 1);
            if (at >= text.Length) throw JinjaException.Syntax($"unexpected end of template, expected 'end of {(variable ? "print statement" : "statement block")}'.", line());
            var rest = text.AsSpan(at);
            var close = variable ? "}}" : "%}";
            if (depth == 0 || !variable)
            {
                var sign = rest[0] is '-' or '+' && rest[1..].StartsWith(close) && !(variable && rest[0] == '+') ? rest[0] : '\0';
                if (sign != '\0' || rest.StartsWith(close))
                {
                    tokens.Add(new Token(variable ? TokenKind.VariableEnd : TokenKind.BlockEnd, "", line()));
                    var end = at + 2 + (sign == '\0' ? 0 : 1);
                    if (sign == '-') while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
                    else if (sign == '\0' && !variable && end < text.Length && text[end] == '\n') end++;
                    advance(end);
                    return;
                }
            }
            if (rest[0] is '\'' or '"')
            {
                var end = at + 1;
                while (end < text.Length && text[end] != rest[0]) end += text[end] == '\\' ? 2 : 1;
                if (end >= text.Length) throw JinjaException.Syntax("unexpected char " + Python.Repr(rest[0].ToString()) + $" at {at}", line());
                tokens.Add(new Token(TokenKind.Text, Unescape(text[(at + 1)..end]), line()));
                advance(end + 1);
            }
            else if (NumberPattern().Match(text, at) is { Success: true } number)
            {
                var digits = number.Value.Replace("_", "", StringComparison.Ordinal);
                var isFloat = !digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase) && digits.AsSpan().ContainsAny('.', 'e', 'E');
                tokens.Add(new Token(isFloat ? TokenKind.Float : TokenKind.Integer, digits, line()));
                advance(at + number.Length);
            }
            else if (char.IsLetter(rest[0]) || rest[0] == '_')
            {
                var end = at;
                while (end < text.Length && (char.IsLetterOrDigit(text[end]) || text[end] == '_')) end++;
                tokens.Add(new Token(TokenKind.Name, text[at..end], line()));
                advance(end);
            }
            else
            {
                var op = "";
                foreach (var o in Operators)
                    if (rest.StartsWith(o))
                    {
                        op = o;
                        break;
                    }
                if (op.Length == 0) throw JinjaException.Syntax($"unexpected char {Python.Repr(rest[0].ToString())} at {at}", line());
                depth += op is "(" or "[" or "{" ? 1 : op is ")" or "]" or "}" ? -1 : 0;
                if (depth < 0) throw JinjaException.Syntax($"unexpected '{op}'", line());
                tokens.Add(new Token(TokenKind.Operator, op, line()));
                advance(at + op.Length);
            }
        }
    }

    /// <summary>Python's escapes; unknown ones stay as they are.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal)) return text;
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 >= text.Length)
            {
                result.Append(text[i]);
                continue;
            }
            var c = text[++i];
            int Hex(int length)
            {
                if (i + length > text.Length - 1 || !int.TryParse(text.AsSpan(i + 1, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
                    throw JinjaException.Syntax($"truncated \\{c} escape", 0);
                i += length;
                return code;
            }
            switch (c)
            {
                case 'n': result.Append('\n'); break;
                case 't': result.Append('\t'); break;
                case 'r': result.Append('\r'); break;
                case 'a': result.Append('\a'); break;
                case 'b': result.Append('\b'); break;
                case 'f': result.Append('\f'); break;
                case 'v': result.Append('\v'); break;
                case '\\' or '\'' or '"': result.Append(c); break;
                case '\n': break;
                case 'x': result.Append((char)Hex(2)); break;
                case 'u': result.Append((char)Hex(4)); break;
                case 'U': result.Append(char.ConvertFromUtf32(Hex(8))); break;
                case >= '0' and <= '7':
                    var (value, digits) = (c - '0', 1);
                    for (; digits < 3 && i + 1 < text.Length && text[i + 1] is >= '0' and <= '7'; digits++) value = value * 8 + text[++i] - '0';
                    result.Append((char)value);
                    break;
                default: result.Append('\\').Append(c); break;
            }
        }
        return result.ToString();
    }

    [GeneratedRegex(@"(?:\+#\}|-#\}\s*|#\}\n?)")]
    private static partial Regex CommentEnd();

    [GeneratedRegex(@"\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})")]
    private static partial Regex RawBegin();

    [GeneratedRegex(@"\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)")]
    private static partial Regex RawEnd();

    [GeneratedRegex(@"\G(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)")]
    private static partial Regex NumberPattern();
}
