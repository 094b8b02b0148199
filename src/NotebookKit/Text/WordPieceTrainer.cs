using System.Runtime.InteropServices;

namespace NotebookKit.Text;

/// <summary>
/// Learns a WordPiece vocabulary from word counts: starts from single characters (continuations marked <c>##</c>) and merges the
/// most frequent adjacent pair until the vocabulary is full. Ties go to the pair that sorts first, so the result depends on nothing but
/// the counts. Method: byte-pair merging (Sennrich et al. 2016) with BERT's marking of continuations, as the tokenizers library trains WordPiece.
/// </summary>
public sealed class WordPieceTrainer
{
    /// <summary>Size of the vocabulary, special tokens included. Default 8,192.</summary>
    public int VocabularySize { get; init; } = 8192;

    /// <summary>Characters kept, by frequency. Default 150: Latin letters, digits, punctuation and the commonest others.</summary>
    public int AlphabetSize { get; init; } = 150;

    /// <summary>Words rarer than this are left out. Default 3.</summary>
    public int MinimumCount { get; init; } = 3;

    /// <summary>First tokens of the vocabulary, in BERT's usual order; the trainer needs no others.</summary>
    public static IReadOnlyList<string> SpecialTokens { get; } = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>Trains on words and how often each stands in the corpus; returns the vocabulary in id order.</summary>
    /// <exception cref="ArgumentException">The alphabet alone fills the vocabulary, or no word is frequent enough.</exception>
    public string[] Train(IReadOnlyDictionary<string, long> wordCounts)
    {
        var words = wordCounts.Where(w => w.Value >= MinimumCount).OrderBy(w => w.Key, StringComparer.Ordinal).ToArray();
        if (words.Length == 0) throw new ArgumentException($"No word stands {MinimumCount} times or more; the corpus is too small to learn a vocabulary from.");

        var kept = words.SelectMany(w => w.Key.Select(c => (Character: c, w.Value))).GroupBy(c => c.Character)
            .Select(g => (g.Key, Count: g.Sum(c => c.Value))).OrderByDescending(c => c.Count).ThenBy(c => c.Key).Take(AlphabetSize).Select(c => c.Key).ToHashSet();
        var pieces = new List<string>(SpecialTokens);
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        int IdOf(string piece)
        {
            ref var id = ref CollectionsMarshal.GetValueRefOrAddDefault(ids, piece, out var known);
            if (!known) { id = pieces.Count; pieces.Add(piece); }
            return id;
        }
        foreach (var c in kept.Order()) IdOf(c.ToString());
        foreach (var c in kept.Order()) IdOf("##" + c);
        if (pieces.Count > VocabularySize)
            throw new ArgumentException($"The alphabet gives {pieces.Count} tokens, the vocabulary may have {VocabularySize}. Lower AlphabetSize.");

        var spelled = words.Where(w => w.Key.All(kept.Contains)).ToArray();
        var symbols = spelled.Select(w => w.Key.Select((c, i) => ids[i == 0 ? c.ToString() : "##" + c]).ToList()).ToArray();
        var counts = Array.ConvertAll(spelled, w => w.Value);
        var pairCounts = new Dictionary<(int, int), long>();
        var pairWords = new Dictionary<(int, int), HashSet<int>>();
        var queue = new PriorityQueue<(int Left, int Right), (long NegativeCount, string Left, string Right)>(Comparer<(long, string, string)>.Create(static (a, b) =>
            a.Item1 != b.Item1 ? a.Item1.CompareTo(b.Item1)
            : string.CompareOrdinal(a.Item2, b.Item2) is var left and not 0 ? left : string.CompareOrdinal(a.Item3, b.Item3)));

        void Count(int word, long sign, HashSet<(int, int)> changed)
        {
            var s = symbols[word];
            for (var i = 0; i + 1 < s.Count; i++)
            {
                var pair = (s[i], s[i + 1]);
                CollectionsMarshal.GetValueRefOrAddDefault(pairCounts, pair, out _) += sign * counts[word];
                if (sign > 0) (CollectionsMarshal.GetValueRefOrAddDefault(pairWords, pair, out _) ??= []).Add(word);
                changed.Add(pair);
            }
        }
        void Enqueue(IEnumerable<(int, int)> pairs)
        {
            foreach (var (left, right) in pairs)
                if (pairCounts[(left, right)] > 0) queue.Enqueue((left, right), (-pairCounts[(left, right)], pieces[left], pieces[right]));
        }

        var all = new HashSet<(int, int)>();
        for (var w = 0; w < symbols.Length; w++) Count(w, +1, all);
        Enqueue(all);
        while (pieces.Count < VocabularySize && queue.TryDequeue(out var best, out var priority))
        {
            if (pairCounts.GetValueOrDefault(best) != -priority.NegativeCount) continue; // stale: its count has changed since
            var merged = IdOf(pieces[best.Left] + pieces[best.Right][2..]);
            var changed = new HashSet<(int, int)>();
            foreach (var word in pairWords[best].Order().ToArray())
            {
                Count(word, -1, changed);
                Merge(symbols[word], best, merged);
                Count(word, +1, changed);
            }
            changed.Remove(best);
            pairCounts.Remove(best);
            pairWords.Remove(best);
            Enqueue(changed);
        }
        return [.. pieces];
    }

    private static void Merge(List<int> symbols, (int Left, int Right) pair, int merged)
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
