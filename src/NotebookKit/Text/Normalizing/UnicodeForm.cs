using System.Collections.Concurrent;
using System.Text;

namespace NotebookKit.Text.Normalizing;

/// <summary>
/// The four normal forms of Unicode (UAX 15) with alignments, as the library the tokenizers use for it keeps them: a decomposition's first code point has the
/// place of what it came from, the others follow it; composing adds the changes up. Tables are those of .NET, asked through <see cref="string.Normalize()"/>.
/// </summary>
internal static class UnicodeForm
{
    private static readonly ConcurrentDictionary<(int, NormalizationForm), int[]> Decompositions = new();
    private static readonly ConcurrentDictionary<(int, int), int> Orders = new(), Compositions = new();
    private static readonly ConcurrentDictionary<int, bool> Marks = new();

    public static void Apply(NormalizedText text, NormalizationForm form)
    {
        if (IsAscii(text) || IsNormalized(text.ToString(), form)) return;
        var decomposed = Decompose(text, form is NormalizationForm.FormC or NormalizationForm.FormD ? NormalizationForm.FormD : NormalizationForm.FormKD);
        text.Transform(form is NormalizationForm.FormC or NormalizationForm.FormKC ? Compose(decomposed) : decomposed);
    }

    private static bool IsAscii(NormalizedText text)
    {
        foreach (var c in text.Runes)
            if (c >= 128) return false;
        return true;
    }

    private static List<(int, int)> Decompose(NormalizedText text, NormalizationForm form)
    {
        var all = new List<(int Rune, int Change)>(text.Count + 8);
        var marks = 0;                                                       // at the end of what is done, in the order they came
        void Settle()
        {
            if (marks > 1)
            {
                var from = all.Count - marks;
                var sorted = all.Skip(from).OrderBy(m => m.Rune, Comparer<int>.Create(Order)).ToArray();   // stable
                for (var i = 0; i < sorted.Length; i++) all[from + i] = sorted[i];
            }
            marks = 0;
        }
        foreach (var c in text.Runes)
        {
            var parts = c < 128 ? [c] : Decompositions.GetOrAdd((c, form), static key => Runes(char.ConvertFromUtf32(key.Item1), key.Item2));
            for (var i = 0; i < parts.Length; i++)
            {
                var mark = IsMark(parts[i]);
                if (!mark) Settle();
                all.Add((parts[i], i == 0 ? 0 : 1));
                if (mark) marks++;
            }
        }
        Settle();
        return all;
    }

    private static List<(int, int)> Compose(List<(int Rune, int Change)> text)
    {
        var composed = new List<(int, int)>(text.Count);
        (int Rune, int Change)? head = null;
        var waiting = new List<(int Rune, int Change)>();
        foreach (var next in text)
        {
            var mark = IsMark(next.Rune);
            if (head is not { } h)
            {
                if (mark) composed.Add(next);
                else head = next;
                continue;
            }
            var blocked = waiting.Count > 0 && (!mark || Order(waiting[^1].Rune, next.Rune) >= 0);
            if (!blocked && Composition(h.Rune, next.Rune) is > 0 and var whole)
            {
                head = (whole, h.Change + next.Change - 1);
                continue;
            }
            if (mark)
            {
                waiting.Add(next);
                continue;
            }
            composed.Add(h);
            composed.AddRange(waiting);
            waiting.Clear();
            head = next;
        }
        if (head is { } last) composed.Add(last);
        composed.AddRange(waiting);
        return composed;
    }

    /// <summary>Whether a code point has a combining class other than 0: it changes places with one of another class.</summary>
    private static bool IsMark(int c) => c >= 0x300 && Marks.GetOrAdd(c, static c => c == 0x345 || Swaps(0x345, c));

    /// <summary>Sign of the difference of the combining classes of two marks.</summary>
    private static int Order(int a, int b) => Orders.GetOrAdd((a, b), static p => Swaps(p.Item1, p.Item2) ? 1 : Swaps(p.Item2, p.Item1) ? -1 : 0);

    private static bool Swaps(int a, int b) => a != b && Runes(char.ConvertFromUtf32(a) + char.ConvertFromUtf32(b), NormalizationForm.FormD) is { Length: 2 } r && r[0] == b && r[1] == a;

    /// <summary>What two code points compose to; 0 for nothing.</summary>
    private static int Composition(int a, int b) => b < 0x300 ? 0 : Compositions.GetOrAdd((a, b), static p =>
        Runes(char.ConvertFromUtf32(p.Item1) + char.ConvertFromUtf32(p.Item2), NormalizationForm.FormC) is { Length: 1 } one ? one[0] : 0);

    private static int[] Runes(string text, NormalizationForm form)
    {
        try { return [.. text.Normalize(form).EnumerateRunes().Select(r => r.Value)]; }
        catch (ArgumentException) { return [.. text.EnumerateRunes().Select(r => r.Value)]; }   // a noncharacter, which some platforms refuse
    }

    /// <summary>Whether a text surely is in a form. The platform's check takes time with the square of a run of marks, so long runs are not given to it.</summary>
    public static bool IsNormalized(string text, NormalizationForm form)
    {
        var marks = 0;
        foreach (var c in text)
        {
            marks = c >= 0x300 && UnicodeClass.Category(c) is System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.SpacingCombiningMark ? marks + 1 : 0;
            if (marks > 100) return false;
        }
        try { return text.IsNormalized(form); }
        catch (ArgumentException) { return false; }
    }
}
