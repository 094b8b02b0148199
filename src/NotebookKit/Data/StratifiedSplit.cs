namespace NotebookKit.Data;

/// <summary>Cuts a dataset into parts that have the same share of every class.</summary>
public static class StratifiedSplit
{
    /// <summary>Moves a share of every class, rounded to the nearest example, into a second part.</summary>
    /// <param name="data">What is cut.</param>
    /// <param name="share">Share of the second part, in (0, 1).</param>
    /// <param name="seed">Same seed, same cut.</param>
    /// <exception cref="InvalidDataException">A class is too small to stand in both parts.</exception>
    public static (TextDataset Kept, TextDataset Part) Cut(TextDataset data, double share, int seed)
    {
        if (share is <= 0 or >= 1) throw new ArgumentOutOfRangeException(nameof(share), share, "The share of the second part is in (0, 1).");
        var random = new Random(seed);
        var (rest, part) = (new SortedSet<int>(), new SortedSet<int>());
        foreach (var label in data.Labels.Names)
        {
            var own = Enumerable.Range(0, data.Count).Where(i => data[i].Label == label).ToArray();
            if (own.Length == 0) continue;
            var taken = (int)Math.Round(own.Length * share, MidpointRounding.AwayFromZero);
            if (taken == 0 || taken == own.Length)
                throw new InvalidDataException($"Dataset '{data.Name}': label '{label}' has {own.Length} examples, too few to put {share:P0} of them in a part of their own.");
            random.Shuffle(own);
            part.UnionWith(own.Take(taken));
            rest.UnionWith(own.Skip(taken));
        }
        return (data.With(data.Name, rest.Select(i => data[i])), data.With(data.Name, part.Select(i => data[i])));
    }

    /// <summary>Cuts into k folds of nearly equal size and class shares; every example stands in exactly one.</summary>
    /// <exception cref="InvalidDataException">A class has fewer than k examples.</exception>
    public static IReadOnlyList<TextDataset> Folds(TextDataset data, int k, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 2);
        var random = new Random(seed);
        var folds = Enumerable.Range(0, k).Select(_ => new SortedSet<int>()).ToArray();
        var next = 0;
        foreach (var label in data.Labels.Names)
        {
            var own = Enumerable.Range(0, data.Count).Where(i => data[i].Label == label).ToArray();
            if (own.Length is > 0 && own.Length < k) throw new InvalidDataException($"Dataset '{data.Name}': label '{label}' has {own.Length} examples, fewer than {k} folds.");
            random.Shuffle(own);
            foreach (var i in own) folds[next++ % k].Add(i);
        }
        return [.. folds.Select((f, n) => data.With($"{data.Name} fold {n + 1}", f.Select(i => data[i])))];
    }
}
