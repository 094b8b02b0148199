using System.Text;

namespace NotebookKit.Text.Normalizing;

/// <summary>
/// A text on its way through a tokenizer: code points as they are now, and for each the code points [start, end) of the text as it was given. The
/// alignment follows the tokenizers library's NormalizedString: a replaced character keeps the place of the one it replaces, an inserted one has the
/// place of the one before it.
/// </summary>
internal sealed class NormalizedText
{
    private int[] _runes, _starts, _ends;
    private string? _flat;

    private NormalizedText(int[] runes, int[] starts, int[] ends, int count, int begin) => (_runes, _starts, _ends, Count, Begin) = (runes, starts, ends, count, begin);

    /// <summary>The text as given.</summary>
    /// <exception cref="ArgumentException">It holds half a surrogate pair.</exception>
    public static NormalizedText Of(string text)
    {
        var (runes, count) = (new int[text.Length], 0);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (!char.IsSurrogate(c)) runes[count++] = c;
            else if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) runes[count++] = char.ConvertToUtf32(c, text[++i]);
            else throw new ArgumentException($"The text has half a character (a lone surrogate U+{(int)c:X4}) at index {i} of {text.Length}: it was cut inside an emoji or a rare character. "
                + "Cut it elsewhere, or replace the half, for instance by U+FFFD.", nameof(text));
        }
        var (starts, ends) = (new int[count], new int[count]);
        for (var i = 0; i < count; i++) (starts[i], ends[i]) = (i, i + 1);
        return new NormalizedText(runes, starts, ends, count, 0);
    }

    /// <summary>Code points now.</summary>
    public int Count { get; private set; }

    /// <summary>Where this piece began in the text as given.</summary>
    public int Begin { get; }

    public int this[int i] => _runes[i];

    public ReadOnlySpan<int> Runes => _runes.AsSpan(0, Count);

    /// <summary>The place of code points [start, end) in the text as given.</summary>
    public (int Start, int End) Origin(int start, int end) => start >= end ? (start, end) : (_starts[start], _ends[end - 1]);

    /// <summary>The empty place before a code point.</summary>
    public (int Start, int End) Before(int at) => Count == 0 ? (Begin, Begin) : at < Count ? (_starts[at], _starts[at]) : (_ends[Count - 1], _ends[Count - 1]);

    /// <summary>One UTF-16 unit for each code point, of its category where it needs two: what a pattern is matched against.</summary>
    public string Flat => _flat ??= string.Create(Count, _runes, static (span, runes) =>
    {
        for (var i = 0; i < span.Length; i++) span[i] = runes[i] < 0x10000 ? (char)runes[i] : UnicodeClass.Proxy(runes[i]);
    });

    public NormalizedText Slice(int start, int end) =>
        new(_runes[start..end], _starts[start..end], _ends[start..end], end - start, start < end ? _starts[start] : Begin);

    /// <summary>Every code point by another.</summary>
    public void Map(Func<int, int> map)
    {
        for (var i = 0; i < Count; i++) _runes[i] = map(_runes[i]);
        _flat = null;
    }

    /// <summary>Drops code points.</summary>
    public void Filter(Func<int, bool> keep)
    {
        var kept = 0;
        for (var i = 0; i < Count; i++)
        {
            if (!keep(_runes[i])) continue;
            (_runes[kept], _starts[kept], _ends[kept]) = (_runes[i], _starts[i], _ends[i]);
            kept++;
        }
        Count = kept;
        _flat = null;
    }

    /// <summary>Keeps [start, end).</summary>
    public void Keep(int start, int end)
    {
        (_runes, _starts, _ends, Count) = (_runes[start..end], _starts[start..end], _ends[start..end], end - start);
        _flat = null;
    }

    /// <summary>The library's <c>transform</c>: each new code point with a change of 0 (it takes the next old one's place), 1 (it was inserted after) or −n (it takes the next one's, and n more are dropped).</summary>
    public void Transform(IReadOnlyList<(int Rune, int Change)> changes)
    {
        var (runes, starts, ends) = (new int[changes.Count], new int[changes.Count], new int[changes.Count]);
        var at = 0;
        for (var i = 0; i < changes.Count; i++)
        {
            var (rune, change) = changes[i];
            var from = change > 0 ? at - 1 : at;
            runes[i] = rune;
            (starts[i], ends[i]) = from < 0 ? (Begin, Begin) : from < Count ? (_starts[from], _ends[from]) : Count > 0 ? (_ends[Count - 1], _ends[Count - 1]) : (Begin, Begin);
            if (change <= 0) at += 1 - change;
        }
        (_runes, _starts, _ends, Count, _flat) = (runes, starts, ends, changes.Count, null);
    }

    /// <summary>Puts a text in place of each range, in order; it has the place of the range's last code point.</summary>
    public void Replace(IReadOnlyList<(int Start, int End)> ranges, string content)
    {
        if (ranges.Count == 0) return;
        var inserted = content.EnumerateRunes().Select(r => r.Value).ToArray();
        var count = Count + ranges.Sum(r => inserted.Length - (r.End - r.Start));
        var (runes, starts, ends) = (new int[count], new int[count], new int[count]);
        var (from, to) = (0, 0);
        void Copy(int until)
        {
            for (; from < until; from++, to++) (runes[to], starts[to], ends[to]) = (_runes[from], _starts[from], _ends[from]);
        }
        foreach (var (start, end) in ranges)
        {
            Copy(start);
            foreach (var rune in inserted)
            {
                (runes[to], starts[to], ends[to]) = end > 0 ? (rune, _starts[end - 1], _ends[end - 1]) : (rune, Begin, Begin);
                to++;
            }
            from = end;
        }
        Copy(Count);
        (_runes, _starts, _ends, Count, _flat) = (runes, starts, ends, count, null);
    }

    /// <summary>Puts a text before all; it has the place of the first code point. Nothing where the text is empty.</summary>
    public void Prepend(string content)
    {
        if (Count == 0) return;
        var inserted = content.EnumerateRunes().Select(r => r.Value).ToArray();
        (int, int) place = (_starts[0], _ends[0]);
        _runes = [.. inserted, .. _runes.AsSpan(0, Count)];
        _starts = [.. Enumerable.Repeat(place.Item1, inserted.Length), .. _starts.AsSpan(0, Count)];
        _ends = [.. Enumerable.Repeat(place.Item2, inserted.Length), .. _ends.AsSpan(0, Count)];
        Count += inserted.Length;
        _flat = null;
    }

    /// <summary>New code points with places of their own.</summary>
    public void Set(int[] runes, int[] starts, int[] ends) => (_runes, _starts, _ends, Count, _flat) = (runes, starts, ends, runes.Length, null);

    public string Text(int start, int end)
    {
        var text = new StringBuilder(end - start);
        for (var i = start; i < end; i++)
        {
            if (_runes[i] < 0x10000) text.Append((char)_runes[i]);
            else text.Append(char.ConvertFromUtf32(_runes[i]));
        }
        return text.ToString();
    }

    public override string ToString() => Text(0, Count);
}
