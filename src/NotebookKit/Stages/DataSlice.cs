using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Training;

namespace NotebookKit.Stages;

/// <summary>What makes an example hard, for a curriculum from easy to hard (Bengio et al. 2009).</summary>
public enum Difficulty
{
    /// <summary>Its length in tokens.</summary>
    Length,
    /// <summary>The loss of the model as it is when the stage begins.</summary>
    Loss,
    /// <summary>The number in <see cref="Example.Kind"/>.</summary>
    Kind,
}

/// <summary>Which examples of the training data a stage learns from.</summary>
public enum SliceKind
{
    /// <summary>All.</summary>
    All,
    /// <summary>Some of each class, drawn at random.</summary>
    PerClass,
    /// <summary>Those of some classes.</summary>
    Classes,
    /// <summary>One of several parts of like class shares.</summary>
    Instalment,
    /// <summary>The easiest share.</summary>
    Easiest,
}

/// <summary>Which examples of the training data a stage learns from.</summary>
public sealed record DataSlice
{
    /// <summary>All examples.</summary>
    public static DataSlice All { get; } = new();

    /// <summary>n examples of each class, or as many as there are.</summary>
    public static DataSlice PerClass(int n, int seed = 0) => new() { Kind = SliceKind.PerClass, Count = n, Seed = seed };

    /// <summary>The examples of some classes.</summary>
    public static DataSlice Classes(params IReadOnlyList<string> names) => new() { Kind = SliceKind.Classes, Names = [.. names] };

    /// <summary>One of several parts of nearly equal size and class shares.</summary>
    /// <param name="number">Which, from 1.</param>
    /// <param name="of">How many there are, at least 2.</param>
    /// <param name="seed">Seed of the cut.</param>
    public static DataSlice Instalment(int number, int of, int seed = 0) => new() { Kind = SliceKind.Instalment, Index = number, Count = of, Seed = seed };

    /// <summary>The easiest share of the examples.</summary>
    /// <param name="share">In (0, 1].</param>
    /// <param name="by">What makes an example hard.</param>
    public static DataSlice Easiest(double share, Difficulty by = Difficulty.Length) => new() { Kind = SliceKind.Easiest, Share = share, By = by };

    /// <summary>Which.</summary>
    public SliceKind Kind { get; init; }

    /// <summary>Examples per class, or number of instalments.</summary>
    public int Count { get; init; }

    /// <summary>Number of the instalment, from 1.</summary>
    public int Index { get; init; }

    /// <summary>Share of the examples.</summary>
    public double Share { get; init; } = 1;

    /// <summary>Names of classes.</summary>
    public IReadOnlyList<string>? Names { get; init; }

    /// <summary>What makes an example hard.</summary>
    public Difficulty By { get; init; }

    /// <summary>Seed of what is drawn.</summary>
    public int Seed { get; init; }

    /// <summary>The examples.</summary>
    /// <param name="data">The training data.</param>
    /// <param name="classifier">Whose tokens and loss say what is hard.</param>
    public TextDataset Of(TextDataset data, TextClassifier classifier) => Kind switch
    {
        SliceKind.PerClass => data.SamplePerClass(Count, Seed, orAll: true),
        SliceKind.Classes => data.With($"{data.Name} ({string.Join(", ", Names!)})", data.Where(e => Names!.Contains(e.Label))),
        SliceKind.Instalment => Part(data),
        SliceKind.Easiest => Easy(data, classifier),
        _ => data,
    };

    /// <summary>Refuses what cannot be, naming the field.</summary>
    internal void Check(TextDataset data, string stage)
    {
        switch (Kind)
        {
            case SliceKind.PerClass when Count < 1: throw Wrong("Count", $"is {Count}; a stage needs at least 1 example of each class");
            case SliceKind.Classes when Names is not { Count: > 0 }: throw Wrong("Names", "is empty; name at least one class");
            case SliceKind.Classes when Names.FirstOrDefault(n => !data.Labels.Contains(n)) is { } unknown: throw Wrong("Names", $"holds '{unknown}', which is none of the {data.Labels.Count} classes of '{data.Name}'");
            case SliceKind.Classes when !data.Any(e => Names.Contains(e.Label)): throw Wrong("Names", $"leaves no example of '{data.Name}'");
            case SliceKind.Instalment when Count < 2 || Index < 1 || Index > Count: throw Wrong("Index", $"is {Index} of {Count}; instalments are numbered from 1, and there are at least 2");
            case SliceKind.Instalment when data.Count < Count: throw Wrong("Count", $"is {Count}, and '{data.Name}' has {data.Count} examples");
            case SliceKind.Easiest when Share is not (> 0 and <= 1): throw Wrong("Share", $"is {Share.ToString(CultureInfo.InvariantCulture)}; it is in (0, 1]");
            case SliceKind.Easiest when By == Difficulty.Kind && data.FirstOrDefault(e => !double.TryParse(e.Kind, CultureInfo.InvariantCulture, out _)) is { } odd: throw Wrong("By", $"is Kind, and the example '{odd.Text}' has the kind '{odd.Kind}', which is no number");
        }

        ArgumentException Wrong(string field, string what) => new($"Stage '{stage}': Data.{field} {what}.");
    }

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        SliceKind.PerClass => $"{Count} per class", SliceKind.Classes => string.Join(", ", Names ?? []), SliceKind.Instalment => $"part {Index} of {Count}",
        SliceKind.Easiest => string.Create(CultureInfo.InvariantCulture, $"easiest {100 * Share:F0} % by {By.ToString().ToLowerInvariant()}"), _ => "all",
    };

    private TextDataset Part(TextDataset data)
    {
        // Shuffled within classes and dealt round, so that classes smaller than the number of parts go to some of them.
        var (random, dealt) = (new Random(Seed), new List<int>());
        foreach (var group in Enumerable.Range(0, data.Count).GroupBy(i => data[i].Label).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            var own = group.ToArray();
            random.Shuffle(own);
            dealt.AddRange(own);
        }
        return data.With($"{data.Name} ({this})", dealt.Where((_, place) => place % Count == Index - 1).Order().Select(i => data[i]));
    }

    private TextDataset Easy(TextDataset data, TextClassifier classifier)
    {
        var hard = By switch
        {
            Difficulty.Length => Array.ConvertAll(classifier.Tokenizer.EncodeAll(data.Texts, classifier.MaximumLength), r => (double)r.Length),
            Difficulty.Kind => [.. data.Select(e => double.Parse(e.Kind!, CultureInfo.InvariantCulture))],
            _ => Losses(data, classifier),
        };
        var kept = Enumerable.Range(0, data.Count).OrderBy(i => hard[i]).Take(Math.Max(1, (int)Math.Round(Share * data.Count))).Order();
        return data.With($"{data.Name} ({this})", kept.Select(i => data[i]));
    }

    private static double[] Losses(TextDataset data, TextClassifier classifier)
    {
        var (labels, losses) = (data.LabelIds(), new double[data.Count]);
        classifier.EachLogits(data.Texts, (i, logits) => losses[i] = Finetuner.CrossEntropy(logits, labels[i]));
        return losses;
    }
}
