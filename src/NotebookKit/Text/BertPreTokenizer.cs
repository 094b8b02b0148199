using System.Globalization;
using System.Text;

namespace NotebookKit.Text;

/// <summary>BERT's basic tokenisation, lower-cased: clean, strip accents, split at white space and around punctuation (Devlin et al. 2019).
/// Used to count words when a vocabulary is learnt; encoding itself is done by <see cref="Tokenizer"/>.</summary>
public static class BertPreTokenizer
{
    /// <summary>The words and punctuation marks of a text, in order.</summary>
    public static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        foreach (var c in text.ToLowerInvariant().Normalize(NormalizationForm.FormD))
        {
            if (c is '\0' or '\uFFFD' || char.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark) continue;
            var isSpace = char.IsWhiteSpace(c);
            var isMark = IsPunctuation(c);
            if (!isSpace && !isMark && char.IsControl(c)) continue;
            if (isSpace || isMark)
            {
                if (word.Length > 0) yield return word.ToString();
                word.Clear();
                if (isMark) yield return c.ToString();
            }
            else word.Append(c);
        }
        if (word.Length > 0) yield return word.ToString();
    }

    private static bool IsPunctuation(char c) => c is >= '!' and <= '/' or >= ':' and <= '@' or >= '[' and <= '`' or >= '{' and <= '~' || char.IsPunctuation(c);
}
