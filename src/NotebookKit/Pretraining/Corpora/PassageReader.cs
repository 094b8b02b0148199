using NotebookKit.Pretraining;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace NotebookKit.Pretraining.Corpora;

/// <summary>Reads passages of prose out of the files that packages ship.</summary>
internal static partial class PassageReader
{
    /// <summary>The passages of one file's content, white space folded, in file order.</summary>
    public static IEnumerable<string> Read(string content, TextFormat format) => (format switch
    {
        TextFormat.Markup => Markup(content),
        TextFormat.Plain => Paragraphs(content),
        TextFormat.Dictionary => Dictionary(content),
        TextFormat.WordNet => WordNet(content),
        TextFormat.PackageDescriptions => Descriptions(content),
        TextFormat.Pod => Paragraphs(content).Where(p => !p.StartsWith('=')).Select(p => PodCode().Replace(p, "$1")),
        TextFormat.JsonStrings => JsonSerializer.Deserialize<string[]>(content)!,
        TextFormat.Mail => Mail(content),
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    }).Select(Fold);

    /// <summary>Whether a passage reads as English prose: long enough, mostly letters, words of usual length.</summary>
    public static bool IsProse(string passage)
    {
        if (passage.Length is < 12 or > 20_000) return false;
        int letters = 0, spaces = 0, ascii = 0;
        foreach (var c in passage)
        {
            if (char.IsAsciiLetter(c)) letters++;
            if (c == ' ') spaces++;
            if (char.IsAscii(c)) ascii++;
        }
        return spaces >= 2 && letters + spaces >= 0.85 * passage.Length && ascii >= 0.97 * passage.Length && passage.Length < 11 * (spaces + 1);
    }

    private static string Fold(string text) => WhiteSpace().Replace(text, " ").Trim();

    private static IEnumerable<string> Paragraphs(string text) =>
        ParagraphBreak().Split(text.Replace("\r\n", "\n")).Where(p => p.Length > 0 && !(p[0] is ' ' or '\t' && p.Contains("  ", StringComparison.Ordinal) && p.Contains(';')));

    private static IEnumerable<string> Markup(string text)
    {
        text = NotProse().Replace(text, " ");
        text = BlockTag().Replace(text, "\n\n");
        return ParagraphBreak().Split(AnyTag().Replace(text, " ")).Select(p => WebUtility.HtmlDecode(p));
    }

    private static IEnumerable<string> Dictionary(string text)
    {
        foreach (var entry in ParagraphBreak().Split(text))
        {
            var plain = Bracketed().Replace(entry.Replace("{", "").Replace("}", ""), " ");
            foreach (var sense in SenseNumber().Split(plain))
                yield return sense;
        }
    }

    private static IEnumerable<string> WordNet(string text)
    {
        foreach (var line in text.Split('\n'))
        {
            var bar = line.IndexOf(" | ", StringComparison.Ordinal);
            if (bar < 0 || line.StartsWith("  ", StringComparison.Ordinal)) continue;
            foreach (var part in line[(bar + 3)..].Split(';', StringSplitOptions.TrimEntries))
                yield return part.Trim('"', ' ');
        }
    }

    private static IEnumerable<string> Descriptions(string text)
    {
        var passage = new StringBuilder();
        foreach (var line in text.Split('\n'))
        {
            if (line.StartsWith("Description-en: ", StringComparison.Ordinal)) { yield return line[16..]; continue; }
            var ends = !line.StartsWith(' ') || line == " ." || line.StartsWith("  ", StringComparison.Ordinal);
            if (ends)
            {
                if (passage.Length > 0) yield return passage.ToString();
                passage.Clear();
            }
            else passage.Append(line);
        }
        if (passage.Length > 0) yield return passage.ToString();
    }

    private static IEnumerable<string> Mail(string text)
    {
        var body = text.IndexOf("\n\n", StringComparison.Ordinal);
        if (body < 0) return [];
        var kept = text[body..].Split('\n').Where(l => !l.StartsWith('>') && !l.StartsWith('|')).TakeWhile(l => l != "-- ");
        var rest = string.Join('\n', kept).Replace("=\n", "").Replace("=20", " ");
        return rest.Contains('<') && rest.Contains("</", StringComparison.Ordinal) ? Markup(rest) : Paragraphs(rest);
    }

    [GeneratedRegex(@"\s+")] private static partial Regex WhiteSpace();
    [GeneratedRegex(@"\n\s*\n|\n%\n")] private static partial Regex ParagraphBreak();
    [GeneratedRegex(@"<(script|style|pre|code|screen|head|table)\b.*?</\1>|<!--.*?-->", RegexOptions.Singleline | RegexOptions.IgnoreCase)] private static partial Regex NotProse();
    [GeneratedRegex(@"</?(p|div|li|ul|ol|h[1-6]|dt|dd|td|tr|br|title|section|note|item|blockquote)\b[^>]*>", RegexOptions.IgnoreCase)] private static partial Regex BlockTag();
    [GeneratedRegex(@"<[^>]*>")] private static partial Regex AnyTag();
    [GeneratedRegex(@"\[[^\]]*\]|\\[^\\\n]*\\")] private static partial Regex Bracketed();
    [GeneratedRegex(@"\n\s*(?:\d+\.|\([a-z]\))\s")] private static partial Regex SenseNumber();
    [GeneratedRegex("[A-Z]<+ ?(.*?) ?>+")] private static partial Regex PodCode();
}
