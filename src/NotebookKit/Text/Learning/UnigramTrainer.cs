using NotebookKit.Text.Learning;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Text;

/// <summary>
/// Learns a Unigram vocabulary (Kudo 2018, https://arxiv.org/abs/1804.10959): begins with all frequent parts of words, estimates their probabilities by
/// expectation maximisation over every way to spell each word, and drops the parts whose loss costs the corpus least until the vocabulary has its size. Characters always stay.
/// </summary>
public sealed class UnigramTrainer
{
    /// <summary>Size of the vocabulary, special tokens included. Default 8,000.</summary>
    public int VocabularySize { get; init; } = 8000;

    /// <summary>Characters kept, by frequency; the others are unknown. Default 500.</summary>
    public int AlphabetSize { get; init; } = 500;

    /// <summary>Longest piece in characters. Default 16.</summary>
    public int MaximumPieceLength { get; init; } = 16;

    /// <summary>Parts of words to begin with. Default 200,000.</summary>
    public int SeedSize { get; init; } = 200_000;

    /// <summary>Share of the pieces that stay when some are dropped, in (0, 1). Default 0.75.</summary>
    public double ShrinkingFactor { get; init; } = 0.75;

    /// <summary>Rounds of expectation maximisation between two droppings. Default 2.</summary>
    public int Rounds { get; init; } = 2;

    private static readonly string[] Specials = ["<pad>", "</s>", "<unk>"];

    /// <summary>Trains on texts, split at white space and marked with ▁, and makes the tokenizer.</summary>
    /// <exception cref="ArgumentException">The alphabet alone fills the vocabulary, there is no text, or a setting cannot be.</exception>
    public Tokenizer Train(IEnumerable<string> texts)
    {
        if (ShrinkingFactor is <= 0 or >= 1) throw new ArgumentException($"ShrinkingFactor must be in (0, 1); got {ShrinkingFactor}.");
        var words = WordCounts.Frequent(WordCounts.Of(texts, WordSplitter.Metaspace()), 1);
        var alphabet = WordCounts.Alphabet(words, AlphabetSize).ToHashSet(StringComparer.Ordinal);
        WordCounts.CheckFits(Specials.Length + alphabet.Count, VocabularySize, nameof(AlphabetSize));
        var kept = words.Where(w => WordCounts.Letters(w.Word).All(alphabet.Contains)).ToArray();
        var pieces = Seed(kept, alphabet);
        var target = VocabularySize - Specials.Length;
        while (true)
        {
            for (var round = 0; round < Rounds; round++) pieces = Maximise(pieces, kept, alphabet);
            if (pieces.Count <= target) break;
            pieces = Drop(pieces, kept, alphabet, Math.Max(target, (int)(ShrinkingFactor * pieces.Count)));
        }
        var ordered = pieces.OrderByDescending(p => p.Value).ThenBy(p => p.Key, StringComparer.Ordinal).Select(p => (p.Key, p.Value));
        return TokenizerFiles.Parse(TokenizerJson.Unigram([.. Specials.Select(s => (s, 0.0)), .. ordered], Specials, unknownId: 2), "the new vocabulary");
    }

    /// <summary>All parts of words that stand at least twice, weighed by count and length, and all characters; logarithms of shares.</summary>
    private Dictionary<string, double> Seed((string Word, long Count)[] words, HashSet<string> alphabet)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var (word, count) in words)
            for (var start = 0; start < word.Length; start++)
            {
                if (char.IsLowSurrogate(word[start])) continue;
                for (var end = start + 1; end <= Math.Min(word.Length, start + MaximumPieceLength); end++)
                    if (end == word.Length || !char.IsLowSurrogate(word[end])) counts[word[start..end]] = counts.GetValueOrDefault(word[start..end]) + count;
            }
        foreach (var c in alphabet) counts.TryAdd(c, 1);
        var seed = counts.Where(c => alphabet.Contains(c.Key)).Concat(counts.Where(c => c.Value >= 2 && !alphabet.Contains(c.Key)).OrderByDescending(c => c.Value * c.Key.Length).ThenBy(c => c.Key, StringComparer.Ordinal).Take(SeedSize)).ToArray();
        var total = Math.Log(seed.Sum(c => (double)c.Value * c.Key.Length));
        return seed.ToDictionary(c => c.Key, c => Math.Log((double)c.Value * c.Key.Length) - total, StringComparer.Ordinal);
    }

    /// <summary>One round: how often each piece is expected, then new probabilities; pieces that are hardly used go. exp(digamma) makes rare ones rarer (Liang &amp; Klein 2007), as SentencePiece does.</summary>
    private static Dictionary<string, double> Maximise(Dictionary<string, double> pieces, (string Word, long Count)[] words, HashSet<string> alphabet)
    {
        var lattice = new Lattice(pieces);
        foreach (var (word, count) in words) lattice.Expect(word, count);
        var expected = lattice.Expected();
        var kept = expected.Where(e => e.Value >= 0.5 || alphabet.Contains(e.Key)).Select(e => (e.Key, Value: Math.Max(e.Value, 1e-2))).ToArray();
        var total = Digamma(kept.Sum(k => k.Value));
        return kept.ToDictionary(k => k.Key, k => Digamma(Math.Max(k.Value, 0.1)) - total, StringComparer.Ordinal);
    }

    /// <summary>Keeps the pieces that the corpus would miss most: how much less probable it were if each were spelled by others.</summary>
    private static Dictionary<string, double> Drop(Dictionary<string, double> pieces, (string Word, long Count)[] words, HashSet<string> alphabet, int size)
    {
        var lattice = new Lattice(pieces);
        var used = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var (word, count) in words)
            foreach (var piece in lattice.Best(word, null))
                used[piece] = used.GetValueOrDefault(piece) + count;
        var total = used.Values.Sum();
        var losses = pieces.Keys.Where(p => !alphabet.Contains(p)).Select(piece =>
        {
            if (!used.TryGetValue(piece, out var frequency)) return (piece, Loss: double.NegativeInfinity);
            var others = lattice.Best(piece, piece);
            var without = total + frequency * (others.Count - 1);
            var alternative = others.Sum(o => Math.Log(used.GetValueOrDefault(o) + frequency) - Math.Log(without));
            return (piece, Loss: frequency / total * (Math.Log(frequency) - Math.Log(total) - alternative));
        });
        var stay = losses.OrderByDescending(l => l.Loss).ThenBy(l => l.piece, StringComparer.Ordinal).Take(size - alphabet.Count).Select(l => l.piece).Concat(alphabet);
        return stay.ToDictionary(p => p, p => pieces[p], StringComparer.Ordinal);
    }

    /// <summary>Derivative of the logarithm of the gamma function (asymptotic series after shifting above 7).</summary>
    private static double Digamma(double x)
    {
        var result = 0.0;
        for (; x < 7; x++) result -= 1 / x;
        x -= 0.5;
        var z = 1 / (x * x);
        return result + Math.Log(x) + z / 24 - 7 * z * z / 960 + 31 * z * z * z / 8064 - 127 * z * z * z * z / 30720;
    }

    /// <summary>All ways to spell a word with the pieces.</summary>
    private sealed class Lattice
    {
        private readonly string[] _pieces;
        private readonly double[] _scores, _expected;
        private readonly PrefixIndex _index;

        public Lattice(Dictionary<string, double> pieces)
        {
            _pieces = [.. pieces.Keys];
            _scores = [.. pieces.Values];
            _expected = new double[_pieces.Length];
            _index = new PrefixIndex(_pieces.Select((p, i) => KeyValuePair.Create(p, i)));
        }

        public IEnumerable<KeyValuePair<string, double>> Expected() => _pieces.Zip(_expected, KeyValuePair.Create);

        /// <summary>Adds how often each piece is expected in a word (the forward-backward algorithm).</summary>
        public void Expect(string word, double count)
        {
            var n = word.Length;
            var (forward, backward) = (Enumerable.Repeat(double.NegativeInfinity, n + 1).ToArray(), Enumerable.Repeat(double.NegativeInfinity, n + 1).ToArray());
            (forward[0], backward[n]) = (0, 0);
            var edges = new List<(int Start, int End, int Id)>();
            var found = new List<(int Length, int Id)>();
            for (var start = 0; start < n; start++)
            {
                if (char.IsLowSurrogate(word[start])) continue;
                _index.Find(word.AsSpan(start), found);
                foreach (var (length, id) in found)
                {
                    edges.Add((start, start + length, id));
                    forward[start + length] = Add(forward[start + length], forward[start] + _scores[id]);
                }
            }
            for (var e = edges.Count - 1; e >= 0; e--) backward[edges[e].Start] = Add(backward[edges[e].Start], backward[edges[e].End] + _scores[edges[e].Id]);
            foreach (var (start, end, id) in edges)
                if (Math.Exp(forward[start] + _scores[id] + backward[end] - forward[n]) is > 0 and var share) _expected[id] += count * share;
        }

        /// <summary>The most probable way, without one piece.</summary>
        public List<string> Best(string word, string? without)
        {
            var (best, from) = (Enumerable.Repeat(double.NegativeInfinity, word.Length + 1).ToArray(), new int[word.Length + 1]);
            best[0] = 0;
            var found = new List<(int Length, int Id)>();
            for (var start = 0; start < word.Length; start++)
            {
                if (double.IsNegativeInfinity(best[start])) continue;
                _index.Find(word.AsSpan(start), found);
                foreach (var (length, id) in found)
                    if (_pieces[id] != without && best[start] + _scores[id] > best[start + length]) (best[start + length], from[start + length]) = (best[start] + _scores[id], start);
            }
            var path = new List<string>();
            for (var end = word.Length; end > 0 && !double.IsNegativeInfinity(best[end]); end = from[end]) path.Add(word[from[end]..end]);
            path.Reverse();
            return path;
        }

        private static double Add(double a, double b) => a > b ? a + Math.Log(1 + Math.Exp(b - a)) : double.IsNegativeInfinity(b) ? a : b + Math.Log(1 + Math.Exp(a - b));
    }
}
