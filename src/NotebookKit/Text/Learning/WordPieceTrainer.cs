using NotebookKit.Text.Learning;

namespace NotebookKit.Text;

/// <summary>
/// Learns a WordPiece vocabulary from word counts: starts from single characters (continuations marked <c>##</c>) and merges the
/// most frequent adjacent pair until the vocabulary is full, as the tokenizers library trains WordPiece. The result depends on nothing but the counts.
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

    /// <summary>Trains on texts, split into words by BERT's rules, and makes the tokenizer.</summary>
    /// <param name="texts">The corpus.</param>
    /// <param name="lowercase">Whether capitals and accents are dropped. Default yes.</param>
    public Tokenizer Train(IEnumerable<string> texts, bool lowercase = true) => Tokenizer.FromVocabulary(Train(WordCounts.Of(texts, WordSplitter.Bert(lowercase))), lowercase);

    /// <summary>Trains on words and how often each stands in the corpus; returns the vocabulary in id order.</summary>
    /// <exception cref="ArgumentException">The alphabet alone fills the vocabulary, or no word is frequent enough.</exception>
    public string[] Train(IReadOnlyDictionary<string, long> wordCounts)
    {
        var words = WordCounts.Frequent(wordCounts, MinimumCount);
        var kept = WordCounts.Alphabet(words, AlphabetSize).ToHashSet(StringComparer.Ordinal);
        var alphabet = kept.Order(StringComparer.Ordinal).ToArray();
        var merging = new PairMerging([.. SpecialTokens, .. alphabet, .. alphabet.Select(c => "##" + c)],
            [.. words.Select(w => (Letters: WordCounts.Letters(w.Word), w.Count)).Where(w => w.Letters.All(kept.Contains)).Select(w => ((IReadOnlyList<string>)[.. w.Letters.Select((c, i) => i == 0 ? c : "##" + c)], w.Count))]);
        WordCounts.CheckFits(merging.Pieces.Count, VocabularySize, nameof(AlphabetSize));
        while (merging.Pieces.Count < VocabularySize && merging.TryMerge(static (left, right) => left + right[2..], 1, out _)) { }
        return [.. merging.Pieces];
    }
}
