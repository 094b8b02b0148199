namespace NotebookKit.Data;

/// <summary>Two texts that say nearly the same.</summary>
/// <param name="First">One text.</param>
/// <param name="Second">The other.</param>
/// <param name="Similarity">Jaccard similarity of their character shingles, in [0, 1].</param>
public sealed record NearDuplicate(string First, string Second, double Similarity);

/// <summary>
/// Finds texts that nearly repeat each other by the Jaccard similarity of their character 4-grams (Broder 1997), exactly: only pairs that share a rare
/// shingle are compared, and none above the threshold can be missed (prefix filter, Chaudhuri et al. 2006).
/// </summary>
public static class NearDuplicates
{
    private const int ShingleLength = 4;

    /// <summary>Pairs of one text from each list whose similarity reaches the threshold.</summary>
    /// <param name="first">Texts, such as those trained on.</param>
    /// <param name="second">Texts, such as those tested on.</param>
    /// <param name="threshold">In (0, 1]. Default 0.7.</param>
    public static IReadOnlyList<NearDuplicate> Across(IReadOnlyList<string> first, IReadOnlyList<string> second, double threshold = 0.7)
    {
        if (threshold is <= 0 or > 1) throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "The threshold is in (0, 1].");
        var sets = first.Concat(second).Select(Shingles).ToArray();
        var frequency = sets.SelectMany(s => s).GroupBy(s => s).ToDictionary(g => g.Key, g => g.Count());
        // Two sets of similarity t share one of the rarest |s| - ceil(t·|s|) + 1 shingles of either.
        string[] Prefix(HashSet<string> set) => [.. set.OrderBy(s => frequency[s]).ThenBy(s => s, StringComparer.Ordinal).Take(set.Count - (int)Math.Ceiling(threshold * set.Count) + 1)];
        var index = new Dictionary<string, List<int>>();
        for (var i = 0; i < first.Count; i++)
            foreach (var shingle in Prefix(sets[i]))
                (index.TryGetValue(shingle, out var list) ? list : index[shingle] = []).Add(i);

        var found = new List<NearDuplicate>();
        for (var j = 0; j < second.Count; j++)
            foreach (var i in Prefix(sets[first.Count + j]).SelectMany(s => index.GetValueOrDefault(s) ?? []).Distinct())
            {
                var shared = sets[i].Count(sets[first.Count + j].Contains);
                var similarity = (double)shared / (sets[i].Count + sets[first.Count + j].Count - shared);
                if (similarity >= threshold) found.Add(new NearDuplicate(first[i], second[j], similarity));
            }
        return [.. found.OrderByDescending(d => d.Similarity)];
    }

    /// <summary>Lower-cased letters and digits, one space between words, cut into runs of four.</summary>
    private static HashSet<string> Shingles(string text)
    {
        var plain = $" {string.Join(' ', new string([.. text.ToLowerInvariant().Select(c => char.IsLetterOrDigit(c) ? c : ' ')]).Split(' ', StringSplitOptions.RemoveEmptyEntries))} ";
        return plain.Length <= ShingleLength ? [plain] : [.. Enumerable.Range(0, plain.Length - ShingleLength + 1).Select(i => plain.Substring(i, ShingleLength))];
    }
}
