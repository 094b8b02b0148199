using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;

namespace NotebookKit.Tests.ContinualLearning;

/// <summary>Expected values follow from the definitions.</summary>
public sealed class ReplayTests
{
    private static TextDataset Numbers(int from, int count, int classes = 4) => new("numbers", Enumerable.Range(from, count).Select(i => new Example($"number {i}", $"c{i % classes}")), new LabelSet(Enumerable.Range(0, classes).Select(c => $"c{c}")));

    /// <summary>Expected: each of 100 examples stays in a tenth of the draws, wherever it stood (binomial with 2,000 draws: six standard deviations are 0.04).</summary>
    [Fact]
    public void A_reservoir_keeps_every_example_with_the_same_chance()
    {
        var stayed = new int[100];
        for (var seed = 0; seed < 2000; seed++)
        {
            var memory = new ReplayMemory(10, ReplaySelection.Reservoir, seed);
            memory.Add(Numbers(0, 60));
            memory.Add(Numbers(60, 40));
            Assert.Equal(10, memory.Examples.Count);
            foreach (var example in memory.Examples) stayed[int.Parse(example.Text[7..], System.Globalization.CultureInfo.InvariantCulture)]++;
        }
        Assert.All(stayed, s => Assert.Equal(0.1, s / 2000.0, 0.04));
    }

    [Fact]
    public void Classes_share_the_room_and_what_a_small_one_leaves_goes_to_others()
    {
        var memory = new ReplayMemory(10, ReplaySelection.ClassBalanced, seed: 1);
        memory.Add(Numbers(0, 40, classes: 2));
        Assert.Equal([5, 5], memory.Examples.GroupBy(e => e.Label).Select(g => g.Count()));
        var task = new TextDataset("two more", [.. Enumerable.Range(0, 20).Select(i => new Example($"new {i}", i == 0 ? "rare" : "common"))]);
        memory.Add(task);
        var counts = memory.Examples.GroupBy(e => e.Label).ToDictionary(g => g.Key, g => g.Count());
        Assert.Equal(1, counts["rare"]);
        Assert.Equal(10, counts.Values.Sum());
        Assert.All(counts.Where(c => c.Key != "rare"), c => Assert.Equal(3, c.Value));
    }

    /// <summary>Expected: the mean of the first k is nearer to the class's than that of nearly every random k.</summary>
    [Fact]
    public void Herding_keeps_the_class_mean()
    {
        var animals = FinetunerTests.Animals;
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, animals.Labels, seed: 3);
        var memory = new ReplayMemory(4, ReplaySelection.Herding);
        Assert.Throws<ArgumentNullException>(() => memory.Add(animals));
        memory.Add(animals, classifier);
        Assert.Equal(4, memory.Examples.Count);
        foreach (var group in memory.Examples.GroupBy(e => e.Label))
        {
            var own = animals.Where(e => e.Label == group.Key).Select(e => e.Text).ToArray();
            var features = classifier.Features(own);
            double Far(IEnumerable<int> rows)
            {
                var chosen = rows.ToArray();
                return Enumerable.Range(0, features[0].Length).Sum(d => Math.Pow(features.Average(f => f[d]) - chosen.Average(r => features[r][d]), 2));
            }
            var herded = Far(group.Select(e => Array.IndexOf(own, e.Text)));
            var pairs = Enumerable.Range(0, own.Length).SelectMany(a => Enumerable.Range(a + 1, own.Length - a - 1).Select(b => Far([a, b]))).ToArray();
            Assert.True(herded <= pairs.Order().ElementAt(pairs.Length / 4), $"{herded} among {string.Join(' ', pairs.Order())}");
        }
    }

    /// <summary>Expected: by hand, from the papers' definitions.</summary>
    [Fact]
    public void Transfer_and_forgetting_are_those_of_the_papers()
    {
        var matrix = new TaskMatrix(["a", "b", "c"], [0.1, 0.2, 0.3], [[0.9, 0.3, 0.3], [0.7, 0.8, 0.5], [0.8, 0.6, 0.9]]);
        Assert.Equal((0.8 + 0.6 + 0.9) / 3, matrix.AverageAccuracy, 1e-12);
        Assert.Equal(((0.8 - 0.9) + (0.6 - 0.8)) / 2, matrix.BackwardTransfer, 1e-12);
        Assert.Equal(((0.3 - 0.2) + (0.5 - 0.3)) / 2, matrix.ForwardTransfer, 1e-12);
        Assert.Equal(((0.9 - 0.8) + (0.8 - 0.6)) / 2, matrix.Forgetting, 1e-12);
        Assert.Contains("backward transfer -15.0 points", matrix.ToText());
        Assert.Contains("row 2 has 1", Assert.Throws<ArgumentException>(() => new TaskMatrix(["a", "b"], [0, 0], [[1, 1], [1]])).Message);
    }
}
