using System.Text.RegularExpressions;

namespace NotebookKit.Pretraining;

/// <summary>
/// The texts a student learns a teacher's sentence embeddings on: sentences of the corpus, those that speak to someone (first or second
/// person, questions) in full and the rest thinned, and splices of two sentences, which the teacher judges as well as any other text.
/// </summary>
public static partial class DistillationTexts
{
    /// <summary>Draws texts from a corpus file of one passage a line.</summary>
    /// <param name="path">Corpus file.</param>
    /// <param name="count">Texts wanted; fewer where the corpus has fewer.</param>
    /// <param name="seed">The same seed draws the same texts in the same order.</param>
    /// <param name="splicedShare">Share of splices among them. Default 0.2.</param>
    public static string[] Draw(string path, int count, int seed, double splicedShare = 0.2)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No corpus at '{path}'. Build it with `nbkit corpus`.", path);
        var (spoken, other) = (new List<string>(), new List<string>());
        foreach (var line in File.ReadLines(path))
            foreach (var sentence in SentenceEnd().Split(line))
            {
                var words = sentence.AsSpan().Count(' ') + 1;
                if (words is < 3 or > 40) continue;
                (AddressesSomeone().IsMatch(sentence) ? spoken : other).Add(sentence);
            }

        var random = new Random(seed);
        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(other));
        var whole = (int)(count * (1 - splicedShare));
        var texts = spoken.Take(whole).Concat(other.Take(Math.Max(0, whole - spoken.Count))).ToList();
        var spliced = texts.Count * splicedShare / (1 - splicedShare);
        for (var i = 0; i < spliced; i++)
        {
            var (head, tail) = (spoken[random.Next(spoken.Count)].Split(' '), spoken[random.Next(spoken.Count)].Split(' '));
            texts.Add(string.Join(' ', head.Take(random.Next(1, Math.Min(head.Length, 12) + 1)).Concat(tail.TakeLast(random.Next(1, Math.Min(tail.Length, 12) + 1)))));
        }
        var drawn = texts.ToArray();
        random.Shuffle(drawn);
        return drawn;
    }

    [GeneratedRegex(@"(?<=[.!?])\s+(?=[A-Z""'(])")] private static partial Regex SentenceEnd();
    [GeneratedRegex(@"\b(I|my|me|mine|we|our|us|you|your|yours)\b|\?", RegexOptions.IgnoreCase)] private static partial Regex AddressesSomeone();
}
