using System.Text;

namespace NotebookKit.Text.Normalizing;

/// <summary>GPT-2's alphabet of 256 visible characters, one for each byte (Radford et al. 2019): printable Latin-1 stands for itself, the rest follows from U+0100.</summary>
internal static class ByteAlphabet
{
    /// <summary>The character of each byte.</summary>
    public static readonly char[] Characters = Make();

    private static readonly short[] Bytes = Invert();

    /// <summary>The byte of a character, or −1.</summary>
    public static int ByteOf(int rune) => rune < Bytes.Length ? Bytes[rune] : -1;

    /// <summary>Every code point as the characters of its UTF-8 bytes.</summary>
    public static void Apply(NormalizedText text)
    {
        var changes = new List<(int, int)>(text.Count + 8);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var c in text.Runes)
        {
            var size = new Rune(c).EncodeToUtf8(bytes);
            for (var i = 0; i < size; i++) changes.Add((Characters[bytes[i]], i > 0 ? 1 : 0));
        }
        text.Transform(changes);
    }

    private static char[] Make()
    {
        var characters = new char[256];
        var next = 256;
        for (var b = 0; b < 256; b++) characters[b] = b is >= 33 and <= 126 or >= 161 and <= 172 or >= 174 ? (char)b : (char)next++;
        return characters;
    }

    private static short[] Invert()
    {
        var bytes = new short[400];
        Array.Fill(bytes, (short)-1);
        for (var b = 0; b < 256; b++) bytes[Characters[b]] = (short)b;
        return bytes;
    }
}
