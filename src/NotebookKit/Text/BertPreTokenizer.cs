using System.Globalization;
using System.Text;

namespace NotebookKit.Text;

/// <summary>
/// BERT's basic tokenisation (Devlin et al. 2019), as the tokenizers library's BertNormalizer and BertPreTokenizer do it: clean, set Chinese characters
/// apart, strip accents, lower-case, split at white space and around punctuation. Immutable; thread-safe.
/// </summary>
/// <param name="Lowercase">Whether capitals become small letters.</param>
/// <param name="StripAccents">Whether combining marks are dropped after decomposition.</param>
/// <param name="SplitChinese">Whether every CJK ideograph is a word.</param>
/// <param name="Clean">Whether control characters are dropped and white space becomes spaces.</param>
public sealed record BertPreTokenizer(bool Lowercase = true, bool StripAccents = true, bool SplitChinese = true, bool Clean = true)
{
    /// <summary>The words and punctuation marks of a text, in order.</summary>
    public IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        foreach (var rune in Normalize(text).EnumerateRunes())
        {
            var mark = IsPunctuation(rune);
            if (!mark && !IsWhiteSpace(rune))
            {
                word.Append(rune.ToString());
                continue;
            }
            if (word.Length > 0) yield return word.ToString();
            word.Clear();
            if (mark) yield return rune.ToString();
        }
        if (word.Length > 0) yield return word.ToString();
    }

    private string Normalize(string text)
    {
        var cleaned = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (!Rune.TryGetRuneAt(text, i, out var rune)) continue; // a lone surrogate is no character
            i += rune.Utf16SequenceLength - 1;
            if (Clean && (rune.Value is 0 or 0xFFFD || IsControl(rune))) continue;
            if (Clean && IsWhiteSpace(rune)) cleaned.Append(' ');
            else if (SplitChinese && IsChinese(rune.Value)) cleaned.Append(' ').Append(rune.ToString()).Append(' ');
            else cleaned.Append(rune.ToString());
        }
        var normal = cleaned.ToString();
        if (StripAccents)
        {
            var stripped = new StringBuilder(normal.Length);
            foreach (var rune in normal.Normalize(NormalizationForm.FormD).EnumerateRunes())
                if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark) stripped.Append(rune.ToString());
            normal = stripped.ToString();
        }
        return Lowercase ? normal.ToLowerInvariant() : normal;
    }

    private static bool IsWhiteSpace(Rune rune) => Rune.IsWhiteSpace(rune);

    private static bool IsControl(Rune rune) => rune.Value is not ('\t' or '\n' or '\r') && Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format;

    private static bool IsPunctuation(Rune rune) => rune.Value is >= '!' and <= '/' or >= ':' and <= '@' or >= '[' and <= '`' or >= '{' and <= '~' || Rune.IsPunctuation(rune);

    private static bool IsChinese(int c) => c is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x2A6DF or >= 0x2A700 and <= 0x2B73F
        or >= 0x2B740 and <= 0x2B81F or >= 0x2B920 and <= 0x2CEAF or >= 0xF900 and <= 0xFAFF or >= 0x2F800 and <= 0x2FA1F;
}
