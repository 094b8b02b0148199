using System.Globalization;
using System.Net;
using System.Text;
using NotebookKit.Display;

namespace NotebookKit.Text;

/// <summary>A text with its tokens as colours over it; pointing at one shows its id, its spelling and its place.</summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class TokenView : IShown
{
    private static readonly string[] Colours = ["#cfe3f3", "#fde2c0", "#d5ecd4", "#f3d3dc", "#e2d9f3"];
    private readonly int[] _runes;
    private readonly TokenEncoding _encoding;
    private readonly int _unknownId;

    private TokenView(string text, TokenEncoding encoding, int unknownId) => (_runes, _encoding, _unknownId) = ([.. text.EnumerateRunes().Select(r => r.Value)], encoding, unknownId);

    /// <summary>The view of a text.</summary>
    public static TokenView Of(Tokenizer tokenizer, string text) => new(text, tokenizer.EncodeWithOffsets(text), tokenizer.UnknownId);

    /// <inheritdoc/>
    public string ToHtml()
    {
        var html = new StringBuilder("<div style=\"line-height:2;font-family:monospace;white-space:pre-wrap\">");
        var (at, colour) = (0, 0);
        for (var i = 0; i < _encoding.Length; i++)
        {
            var (start, end) = _encoding.Offsets[i];
            var title = WebUtility.HtmlEncode($"{_encoding.Tokens[i]} · id {_encoding.Ids[i]} · {start}–{end}");
            if (_encoding.SpecialTokensMask[i] == 1)
            {
                html.Append(CultureInfo.InvariantCulture, $"<span title=\"{title}\" style=\"color:#6b7686;border:1px solid #c8d0da;border-radius:3px;padding:0 3px;margin:0 2px\">{WebUtility.HtmlEncode(_encoding.Tokens[i])}</span>");
                continue;
            }
            if (start > at) html.Append(Text(at, start));
            // Tokens of one character, such as its bytes, show it once.
            var shown = Text(Math.Max(start, at), Math.Max(end, at));
            var mark = _encoding.Ids[i] == _unknownId ? ";outline:2px solid #c0392b" : "";
            html.Append(CultureInfo.InvariantCulture, $"<span title=\"{title}\" style=\"background:{Colours[colour++ % Colours.Length]};border-radius:3px{mark}\">{(shown.Length > 0 ? shown : "&#8203;")}</span>");
            at = Math.Max(at, end);
        }
        return html.Append(Text(at, Math.Max(at, _runes.Length))).Append("</div>").ToString();
    }

    /// <inheritdoc/>
    public string ToText() => string.Join(" | ", _encoding.Tokens.Zip(_encoding.Ids, (t, i) => $"{t} {i}"));

    private string Text(int start, int end) => WebUtility.HtmlEncode(string.Concat(_runes[Math.Min(start, _runes.Length)..Math.Min(end, _runes.Length)].Select(r => new Rune(r).ToString())));
}

/// <summary>How well a vocabulary spells texts.</summary>
/// <param name="Texts">Texts counted.</param>
/// <param name="Words">Words, split at white space.</param>
/// <param name="Tokens">Tokens that stand for text.</param>
/// <param name="UnknownTokens">Of these, tokens the vocabulary cannot spell.</param>
/// <param name="BrokenWords">Words of more than one token, punctuation not counted.</param>
/// <param name="LongestTokens">Tokens of the longest text, with those that stand around it.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record VocabularyFit(int Texts, long Words, long Tokens, long UnknownTokens, long BrokenWords, int LongestTokens) : IShown
{
    /// <summary>Tokens for each word; near 1 for text like the vocabulary's own, above 2 for text unlike it.</summary>
    public double Fragmentation => Words == 0 ? 0 : (double)Tokens / Words;

    /// <summary>Share of tokens that cannot be spelled, in [0, 1].</summary>
    public double UnknownRate => Tokens == 0 ? 0 : (double)UnknownTokens / Tokens;

    /// <summary>Share of words of more than one token, in [0, 1].</summary>
    public double BrokenRate => Words == 0 ? 0 : (double)BrokenWords / Words;

    /// <summary>Counts over texts.</summary>
    public static VocabularyFit Of(Tokenizer tokenizer, IEnumerable<string> texts)
    {
        var fit = new VocabularyFit(0, 0, 0, 0, 0, 0);
        foreach (var text in texts)
        {
            var encoding = tokenizer.EncodeWithOffsets(text);
            var runes = text.EnumerateRunes().ToArray();
            var starts = new List<int>();
            for (var i = 0; i < runes.Length; i++)
                if (!Rune.IsWhiteSpace(runes[i]) && (i == 0 || Rune.IsWhiteSpace(runes[i - 1]))) starts.Add(i);
            var inWord = new int[starts.Count];
            var (tokens, unknown) = (0, 0);
            for (var i = 0; i < encoding.Length; i++)
            {
                if (encoding.SpecialTokensMask[i] == 1) continue;
                tokens++;
                if (encoding.Ids[i] == tokenizer.UnknownId) unknown++;
                var (start, end) = encoding.Offsets[i];
                if (end <= start || Enumerable.Range(start, end - start).All(r => r >= runes.Length || !Rune.IsLetterOrDigit(runes[r]))) continue;
                var place = starts.BinarySearch(end - 1);
                if ((place < 0 ? ~place - 1 : place) is >= 0 and var word) inWord[word]++;
            }
            fit = new VocabularyFit(fit.Texts + 1, fit.Words + starts.Count, fit.Tokens + tokens, fit.UnknownTokens + unknown, fit.BrokenWords + inWord.Count(n => n > 1), Math.Max(fit.LongestTokens, encoding.Length));
        }
        return fit;
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["", "value"],
    [
        ["texts", Texts.ToString("N0", CultureInfo.InvariantCulture)], ["tokens per word", Fragmentation.ToString("F2", CultureInfo.InvariantCulture)],
        ["words of more than one token", BrokenRate.ToString("P1", CultureInfo.InvariantCulture)], ["unknown tokens", UnknownRate.ToString("P2", CultureInfo.InvariantCulture)],
        ["tokens of the longest text", LongestTokens.ToString("N0", CultureInfo.InvariantCulture)],
    ]);
}
