using System.Text.RegularExpressions;

namespace NotebookKit.Baselines;

/// <summary>
/// Turns texts into TF-IDF weights of words and word pairs: lower case, tokens of two or more word characters, 1 + ln tf, smoothed idf
/// ln((1 + N)/(1 + df)) + 1, rows of unit length — scikit-learn's <c>TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)</c>. Immutable; thread-safe.
/// </summary>
public sealed partial class TfidfVectorizer
{
    private readonly Dictionary<string, int> _terms;
    private readonly double[] _idf;

    private TfidfVectorizer(Dictionary<string, int> terms, double[] idf) => (_terms, _idf) = (terms, idf);

    /// <summary>Terms in the order of their feature numbers.</summary>
    public IReadOnlyList<string> Terms => [.. _terms.OrderBy(t => t.Value).Select(t => t.Key)];

    /// <summary>Learns terms and their idf from training texts.</summary>
    public static TfidfVectorizer Fit(IReadOnlyList<string> texts)
    {
        var documents = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var text in texts)
            foreach (var term in TermsOf(text).Distinct())
                documents[term] = documents.GetValueOrDefault(term) + 1;
        var ordered = documents.OrderBy(d => d.Key, StringComparer.Ordinal).ToArray();
        return new TfidfVectorizer(
            ordered.Select((d, i) => (d.Key, i)).ToDictionary(d => d.Key, d => d.i, StringComparer.Ordinal),
            Array.ConvertAll(ordered, d => Math.Log((1.0 + texts.Count) / (1 + d.Value)) + 1));
    }

    /// <summary>Weights of texts; terms that were not learnt are left out.</summary>
    public SparseRows Transform(IReadOnlyList<string> texts)
    {
        var starts = new int[texts.Count + 1];
        var (columns, values) = (new List<int>(), new List<double>());
        for (var row = 0; row < texts.Count; row++)
        {
            var weights = TermsOf(texts[row]).Where(_terms.ContainsKey).GroupBy(t => _terms[t])
                .Select(g => (Feature: g.Key, Weight: (1 + Math.Log(g.Count())) * _idf[g.Key])).OrderBy(w => w.Feature).ToArray();
            var norm = Math.Sqrt(weights.Sum(w => w.Weight * w.Weight));
            foreach (var (feature, weight) in weights)
            {
                columns.Add(feature);
                values.Add(weight / norm);
            }
            starts[row + 1] = columns.Count;
        }
        return new SparseRows(starts, [.. columns], [.. values], _terms.Count);
    }

    private static IEnumerable<string> TermsOf(string text)
    {
        string? before = null;
        foreach (Match match in Token().Matches(text.ToLowerInvariant()))
        {
            var word = match.Value;
            yield return word;
            if (before is not null) yield return before + " " + word;
            before = word;
        }
    }

    [GeneratedRegex(@"\b\w\w+\b")] private static partial Regex Token();
}
