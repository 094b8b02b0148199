using NotebookKit.Text.Learning;
using NotebookKit.Text.Normalizing;

namespace NotebookKit.Text;

/// <summary>
/// Learns a byte-level BPE vocabulary (Sennrich et al. 2016; Radford et al. 2019) with GPT-2's way of splitting words: 256 bytes, then the most frequent pair of
/// neighbours again and again. Every text can be spelled. The result depends on nothing but the texts.
/// </summary>
public sealed class BytePairTrainer
{
    /// <summary>Size of the vocabulary, special tokens and the 256 bytes included. Default 8,192.</summary>
    public int VocabularySize { get; init; } = 8192;

    /// <summary>Pairs rarer than this are not merged. Default 2.</summary>
    public int MinimumCount { get; init; } = 2;

    /// <summary>First tokens of the vocabulary. Default <c>&lt;|endoftext|&gt;</c>.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = ["<|endoftext|>"];

    /// <summary>Trains on texts and makes the tokenizer.</summary>
    /// <exception cref="ArgumentException">The bytes alone fill the vocabulary, or there is no text.</exception>
    public Tokenizer Train(IEnumerable<string> texts)
    {
        var words = WordCounts.Frequent(WordCounts.Of(texts, WordSplitter.ByteLevel()), 1);
        var merging = new PairMerging([.. SpecialTokens, .. ByteAlphabet.Characters.Order().Select(c => c.ToString())], [.. words.Select(w => ((IReadOnlyList<string>)WordCounts.Letters(w.Word), w.Count))]);
        WordCounts.CheckFits(merging.Pieces.Count, VocabularySize, nameof(SpecialTokens));
        var merges = new List<(string, string)>();
        while (merging.Pieces.Count < VocabularySize && merging.TryMerge(string.Concat, MinimumCount, out var merged)) merges.Add(merged);
        return TokenizerFiles.Parse(TokenizerJson.Gpt2(merging.Pieces.Select((p, i) => (p, i)).ToDictionary(p => p.p, p => p.i, StringComparer.Ordinal), merges, SpecialTokens), "the new vocabulary");
    }
}
