using System.Globalization;
using System.Text;

namespace NotebookKit.Text.Normalizing;

/// <summary>Classes of code points as the tokenizers library has them.</summary>
internal static class UnicodeClass
{
    public static UnicodeCategory Category(int c) => CharUnicodeInfo.GetUnicodeCategory(c);

    public static bool IsWhiteSpace(int c) => c < 128 ? c is ' ' or >= 9 and <= 13 : Rune.IsValid(c) && Rune.IsWhiteSpace(new Rune(c));

    /// <summary>Control, format and private-use code points, but tab and line ends.</summary>
    public static bool IsControl(int c) => c is not ('\t' or '\n' or '\r') && Category(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse;

    public static bool IsPunctuation(int c) => c < 128
        ? c is >= '!' and <= '/' or >= ':' and <= '@' or >= '[' and <= '`' or >= '{' and <= '~'
        : Category(c) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation;

    public static bool IsNumeric(int c) => Category(c) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    public static bool IsMark(int c) => Category(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;

    /// <summary>What <c>\w</c> stands for: letters, marks, decimal digits, connectors, circled letters and the two joiners.</summary>
    public static bool IsWord(int c) => c < 128 ? char.IsAsciiLetterOrDigit((char)c) || c == '_' : Category(c) is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
        or UnicodeCategory.LetterNumber or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.ConnectorPunctuation
        || c is 0x200C or 0x200D or >= 0x24B6 and <= 0x24E9 or >= 0x1F130 and <= 0x1F149 or >= 0x1F150 and <= 0x1F169 or >= 0x1F170 and <= 0x1F189;

    public static bool IsChinese(int c) => c is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x2A6DF or >= 0x2A700 and <= 0x2B73F
        or >= 0x2B740 and <= 0x2B81F or >= 0x2B920 and <= 0x2CEAF or >= 0xF900 and <= 0xFAFF or >= 0x2F800 and <= 0x2FA1F;

    /// <summary>The small letters of a code point; one has two.</summary>
    public static (int First, int Second) ToLower(int c) => c switch
    {
        < 128 => (c is >= 'A' and <= 'Z' ? c + 32 : c, 0),
        0x130 => ('i', 0x307),
        _ => (Rune.ToLowerInvariant(new Rune(c)).Value, 0),
    };

    /// <summary>A character of the basic plane with the category of one beyond it, rare enough to stand in no pattern by name.</summary>
    public static char Proxy(int c) => c is >= 0x20000 and <= 0x3FFFF && Category(c) == UnicodeCategory.OtherLetter ? '\u3400' : Proxies[(int)Category(c)];

    private static readonly char[] Proxies = MakeProxies();

    /// <summary>For each category its last character below the private-use area, which is rare in all of them.</summary>
    private static char[] MakeProxies()
    {
        var proxies = new char[30];
        for (var c = 0x80; c < 0xFFFE; c++)
            if (!char.IsSurrogate((char)c) && c is not (>= 0xAC00 and <= 0xD7FF or >= 0xF900 and <= 0xFAFF or >= 0xFF00 and <= 0xFFEF)) proxies[(int)Category(c)] = (char)c;
        return proxies;
    }
}
