namespace NotebookKit.Text.Learning;

/// <summary>Counting words before a vocabulary is learnt.</summary>
internal static class WordCounts
{
    public static Dictionary<string, long> Of(IEnumerable<string> texts, WordSplitter splitter)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var text in texts)
            foreach (var word in splitter.Words(text))
                counts[word] = counts.GetValueOrDefault(word) + 1;
        return counts;
    }

    /// <summary>Words that stand often enough, in ordinal order.</summary>
    public static (string Word, long Count)[] Frequent(IReadOnlyDictionary<string, long> counts, int atLeast)
    {
        var words = counts.Where(w => w.Value >= atLeast).OrderBy(w => w.Key, StringComparer.Ordinal).Select(w => (w.Key, w.Value)).ToArray();
        return words.Length > 0 ? words : throw new ArgumentException($"No word stands {atLeast} times or more; the corpus is too small to learn a vocabulary from.");
    }

    /// <summary>The commonest characters, most frequent first.</summary>
    public static IEnumerable<string> Alphabet(IEnumerable<(string Word, long Count)> words, int size) =>
        words.SelectMany(w => Letters(w.Word).Select(c => (Character: c, w.Count))).GroupBy(c => c.Character)
            .Select(g => (g.Key, Count: g.Sum(c => c.Count))).OrderByDescending(c => c.Count).ThenBy(c => c.Key, StringComparer.Ordinal).Take(size).Select(c => c.Key);

    /// <summary>Characters of a word, those beyond the basic plane whole.</summary>
    public static string[] Letters(string word) => [.. word.EnumerateRunes().Select(r => r.ToString())];

    public static void CheckFits(int alphabet, int vocabulary, string setting)
    {
        if (alphabet > vocabulary) throw new ArgumentException($"The alphabet gives {alphabet} tokens, the vocabulary may have {vocabulary}. Lower {setting}.");
    }
}
