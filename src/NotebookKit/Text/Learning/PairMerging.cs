using System.Runtime.InteropServices;

namespace NotebookKit.Text.Learning;

/// <summary>
/// Byte-pair merging (Sennrich et al. 2016) over words with counts: the most frequent pair of neighbours becomes one piece, again and again. Ties go to the
/// pair that sorts first, so the result depends on nothing but the counts.
/// </summary>
internal sealed class PairMerging
{
    private readonly List<string> _pieces;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly List<int>[] _words;
    private readonly long[] _counts;
    private readonly Dictionary<(int, int), long> _pairCounts = [];
    private readonly Dictionary<(int, int), HashSet<int>> _pairWords = [];
    private readonly PriorityQueue<(int Left, int Right), (long NegativeCount, string Left, string Right)> _queue = new(Comparer<(long, string, string)>.Create(static (a, b) =>
        a.Item1 != b.Item1 ? a.Item1.CompareTo(b.Item1) : string.CompareOrdinal(a.Item2, b.Item2) is var left and not 0 ? left : string.CompareOrdinal(a.Item3, b.Item3)));

    /// <param name="alphabet">The pieces to begin with, in id order.</param>
    /// <param name="words">Words as pieces of the alphabet, and how often each stands in the corpus.</param>
    public PairMerging(IEnumerable<string> alphabet, IReadOnlyList<(IReadOnlyList<string> Pieces, long Count)> words)
    {
        _pieces = [.. alphabet];
        for (var i = 0; i < _pieces.Count; i++) _ids.TryAdd(_pieces[i], i);
        _words = [.. words.Select(w => w.Pieces.Select(p => _ids[p]).ToList())];
        _counts = [.. words.Select(w => w.Count)];
        var all = new HashSet<(int, int)>();
        for (var w = 0; w < _words.Length; w++) Count(w, +1, all);
        Enqueue(all);
    }

    /// <summary>The pieces so far, in id order.</summary>
    public IReadOnlyList<string> Pieces => _pieces;

    /// <summary>Merges the next pair; false when no two pieces stand together <paramref name="atLeast"/> times.</summary>
    /// <param name="join">The piece that two make.</param>
    /// <param name="atLeast">Rarer pairs are left alone.</param>
    /// <param name="merged">The two pieces.</param>
    public bool TryMerge(Func<string, string, string> join, long atLeast, out (string Left, string Right) merged)
    {
        while (_queue.TryDequeue(out var best, out var priority))
        {
            if (_pairCounts.GetValueOrDefault(best) != -priority.NegativeCount) continue;   // stale: its count has changed since
            merged = (_pieces[best.Left], _pieces[best.Right]);
            if (-priority.NegativeCount < atLeast) return false;
            var whole = IdOf(join(merged.Left, merged.Right));
            var changed = new HashSet<(int, int)>();
            foreach (var word in _pairWords[best].Order().ToArray())
            {
                Count(word, -1, changed);
                Replace(_words[word], best, whole);
                Count(word, +1, changed);
            }
            changed.Remove(best);
            _pairCounts.Remove(best);
            _pairWords.Remove(best);
            Enqueue(changed);
            return true;
        }
        merged = default;
        return false;
    }

    private int IdOf(string piece)
    {
        ref var id = ref CollectionsMarshal.GetValueRefOrAddDefault(_ids, piece, out var known);
        if (!known)
        {
            id = _pieces.Count;
            _pieces.Add(piece);
        }
        return id;
    }

    private void Count(int word, long sign, HashSet<(int, int)> changed)
    {
        var s = _words[word];
        for (var i = 0; i + 1 < s.Count; i++)
        {
            var pair = (s[i], s[i + 1]);
            CollectionsMarshal.GetValueRefOrAddDefault(_pairCounts, pair, out _) += sign * _counts[word];
            if (sign > 0) (CollectionsMarshal.GetValueRefOrAddDefault(_pairWords, pair, out _) ??= []).Add(word);
            changed.Add(pair);
        }
    }

    private void Enqueue(IEnumerable<(int Left, int Right)> pairs)
    {
        foreach (var pair in pairs)
            if (_pairCounts[pair] > 0) _queue.Enqueue(pair, (-_pairCounts[pair], _pieces[pair.Left], _pieces[pair.Right]));
    }

    private static void Replace(List<int> symbols, (int Left, int Right) pair, int merged)
    {
        var to = 0;
        for (var from = 0; from < symbols.Count; from++)
        {
            if (from + 1 < symbols.Count && symbols[from] == pair.Left && symbols[from + 1] == pair.Right)
            {
                symbols[to++] = merged;
                from++;
            }
            else symbols[to++] = symbols[from];
        }
        symbols.RemoveRange(to, symbols.Count - to);
    }
}
