using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace NotebookKit.Text.Normalizing;

/// <summary>SentencePiece's compiled normalisation rules: a double-array trie of byte strings, each with the text to put in its place.</summary>
internal sealed class CharacterMap
{
    private readonly uint[] _trie;
    private readonly byte[] _texts;

    private CharacterMap(uint[] trie, byte[] texts) => (_trie, _texts) = (trie, texts);

    /// <exception cref="InvalidDataException">The bytes are no such map.</exception>
    public static CharacterMap Parse(ReadOnlySpan<byte> bytes, string where)
    {
        if (bytes.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) is var size && (size % 4 != 0 || size == 0 || size > bytes.Length - 4))
            throw new InvalidDataException($"{where} is no compiled character map: {bytes.Length} bytes whose header does not fit them.");
        var trie = new uint[BinaryPrimitives.ReadUInt32LittleEndian(bytes) / 4];
        for (var i = 0; i < trie.Length; i++) trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 + 4 * i)..]);
        return new CharacterMap(trie, bytes[(4 + 4 * trie.Length)..].ToArray());
    }

    /// <summary>The text for the shortest (or longest) rule that the bytes begin with, and the bytes it covers; <c>null</c> where none fits.</summary>
    public string? Match(ReadOnlySpan<byte> key, bool longest, out int length)
    {
        (length, var value) = (0, -1);
        var at = Offset(_trie[0]);
        for (var i = 0; i < key.Length && key[i] != 0; i++)
        {
            at ^= key[i];
            if (at >= _trie.Length) break;
            var unit = _trie[at];
            if ((unit & 0x800000FF) != key[i]) break;
            at ^= Offset(unit);
            if ((unit >> 8 & 1) == 0) continue;
            if (at >= _trie.Length) break;
            (value, length) = ((int)(_trie[at] & 0x7FFFFFFF), i + 1);
            if (!longest) break;
        }
        if (value < 0 || value > _texts.Length) return null;
        var text = _texts.AsSpan(value);
        var end = text.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
    }

    /// <summary>The tokenizers library's way: whole grapheme clusters below six bytes, then single characters.</summary>
    public void Apply(NormalizedText text)
    {
        var changes = new List<(int Rune, int Change)>(text.Count);
        var changed = false;
        Span<byte> bytes = stackalloc byte[8];
        var whole = text.ToString();
        for (var at = 0; at < whole.Length;)
        {
            var length = StringInfo.GetNextTextElementLength(whole, at);
            var cluster = whole.AsSpan(at, length);
            at += length;
            if (length <= 5 && Encoding.UTF8.GetByteCount(cluster) is var count and < 6)
            {
                Encoding.UTF8.GetBytes(cluster, bytes);
                if (Match(bytes[..count], longest: false, out _) is { } replaced)
                {
                    changed = true;
                    Add(changes, cluster, replaced);
                    continue;
                }
            }
            foreach (var rune in cluster.EnumerateRunes())
            {
                var size = rune.EncodeToUtf8(bytes);
                if (Match(bytes[..size], longest: false, out _) is { } one)
                {
                    changed = true;
                    Add(changes, rune.ToString(), one);
                }
                else changes.Add((rune.Value, 0));
            }
        }
        if (changed) text.Transform(changes);
    }

    private static void Add(List<(int Rune, int Change)> changes, ReadOnlySpan<char> old, string replaced)
    {
        var (before, after) = (0, 0);
        foreach (var _ in old.EnumerateRunes()) before++;
        foreach (var rune in replaced.EnumerateRunes()) changes.Add((rune.Value, after++ < before ? 0 : 1));
        if (after < before && changes.Count > 0) changes[^1] = (changes[^1].Rune, changes[^1].Change + after - before);
    }

    private static int Offset(uint unit) => (int)(unit >> 10 << (int)((unit & 1 << 9) >> 6));
}
