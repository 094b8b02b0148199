using System.Numerics.Tensors;
using NotebookKit.Data;
using NotebookKit.Pipelines;

namespace NotebookKit.ContinualLearning;

/// <summary>Which old examples are kept.</summary>
public enum ReplaySelection
{
    /// <summary>A uniform sample of all that ever came, without knowing how many will come (Vitter 1985; in continual learning Chaudhry et al. 2019, https://arxiv.org/abs/1902.10486).</summary>
    Reservoir,
    /// <summary>As many of each class, drawn at random.</summary>
    ClassBalanced,
    /// <summary>As many of each class, chosen one by one so that their mean feature stays nearest to the class's (herding, Welling 2009; Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725).</summary>
    Herding,
}

/// <summary>A small memory of old examples, which are learned again beside new ones. Not thread-safe.</summary>
public sealed class ReplayMemory
{
    private readonly List<Example> _kept = [];
    private readonly ReplaySelection _selection;
    private readonly Random _random;
    private long _seen;

    /// <summary>An empty memory.</summary>
    /// <param name="capacity">Examples it holds, at least 1.</param>
    /// <param name="selection">Which are kept. Default <see cref="ReplaySelection.Reservoir"/>.</param>
    /// <param name="seed">Seed of what is drawn.</param>
    public ReplayMemory(int capacity, ReplaySelection selection = ReplaySelection.Reservoir, int seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        (Capacity, _selection, _random) = (capacity, selection, new Random(seed));
    }

    /// <summary>Most examples it holds.</summary>
    public int Capacity { get; }

    /// <summary>What it holds.</summary>
    public IReadOnlyList<Example> Examples => _kept;

    /// <summary>Takes in a task's examples, and lets go of others where it is full.</summary>
    /// <param name="task">The examples.</param>
    /// <param name="classifier">Whose features herding compares; not needed for the others.</param>
    public void Add(TextDataset task, TextClassifier? classifier = null)
    {
        if (_selection == ReplaySelection.Reservoir)
        {
            foreach (var example in task)
                if (_kept.Count < Capacity)
                {
                    _kept.Add(example);
                    _seen++;
                }
                else if (_random.NextInt64(++_seen) is var place && place < Capacity) _kept[(int)place] = example;
            return;
        }
        if (_selection == ReplaySelection.Herding && classifier is null) throw new ArgumentNullException(nameof(classifier), "Herding compares features: give the classifier.");
        // Classes that were held keep their order, so that the first of each are the best whenever its share shrinks.
        var classes = _kept.GroupBy(e => e.Label).ToDictionary(g => g.Key, g => g.ToList(), StringComparer.Ordinal);
        foreach (var group in task.GroupBy(e => e.Label))
        {
            var fresh = group.ToArray();
            if (_selection == ReplaySelection.ClassBalanced) _random.Shuffle(fresh);
            else fresh = Herd(fresh, classifier!, Math.Min(fresh.Length, Capacity));
            if (!classes.TryAdd(group.Key, [.. fresh])) classes[group.Key].AddRange(fresh);
        }
        _kept.Clear();
        var shares = Shares(classes);
        foreach (var (label, examples) in classes.OrderBy(c => c.Key, StringComparer.Ordinal)) _kept.AddRange(examples.Take(shares[label]));
    }

    /// <summary>New examples with the old ones among them.</summary>
    /// <param name="fresh">The new task's.</param>
    /// <param name="repeats">How often each old example stands there, at least 1. Default 1.</param>
    public TextDataset MixInto(TextDataset fresh, int repeats = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(repeats, 1);
        return fresh.With($"{fresh.Name} and {_kept.Count} old", fresh.Concat(Enumerable.Repeat(_kept, repeats).SelectMany(e => e)));
    }

    /// <summary>Room for each class: the same for all; what a small class leaves goes to the others.</summary>
    private Dictionary<string, int> Shares(Dictionary<string, List<Example>> classes)
    {
        var (left, shares) = (Capacity, new Dictionary<string, int>(StringComparer.Ordinal));
        var order = classes.OrderBy(c => c.Value.Count).ThenBy(c => c.Key, StringComparer.Ordinal).ToArray();
        for (var i = 0; i < order.Length; i++)
        {
            var share = shares[order[i].Key] = Math.Min(order[i].Value.Count, left / (order.Length - i));
            left -= share;
        }
        return shares;
    }

    private static Example[] Herd(Example[] examples, TextClassifier classifier, int count)
    {
        var features = classifier.Features([.. examples.Select(e => e.Text)]);
        var (width, chosen) = (features[0].Length, new List<int>());
        var mean = new float[width];
        foreach (var row in features) TensorPrimitives.Add<float>(mean, row, mean);
        TensorPrimitives.Divide<float>(mean, features.Length, mean);
        var (sum, difference) = (new float[width], new float[width]);
        while (chosen.Count < count)
        {
            var (best, nearest) = (-1, float.PositiveInfinity);
            for (var i = 0; i < features.Length; i++)
            {
                if (chosen.Contains(i)) continue;
                TensorPrimitives.Add<float>(sum, features[i], difference);
                TensorPrimitives.Divide<float>(difference, chosen.Count + 1, difference);
                TensorPrimitives.Subtract<float>(mean, difference, difference);
                if (TensorPrimitives.SumOfSquares<float>(difference) is var distance && distance < nearest) (best, nearest) = (i, distance);
            }
            chosen.Add(best);
            TensorPrimitives.Add<float>(sum, features[best], sum);
        }
        return [.. chosen.Select(i => examples[i])];
    }
}
