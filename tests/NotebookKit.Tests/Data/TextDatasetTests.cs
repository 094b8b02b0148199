using Microsoft.Data.Analysis;
using NotebookKit.Data;

namespace NotebookKit.Tests.Data;

/// <summary>Expected values follow from the definitions.</summary>
public sealed class TextDatasetTests
{
    private static readonly TextDataset Numbers = new("numbers", Enumerable.Range(0, 100).Select(i => new Example($"text {i}", i % 4 == 0 ? "fourth" : "other")));

    [Fact]
    public void A_cut_keeps_the_share_of_every_class_and_loses_nothing()
    {
        var (kept, part) = StratifiedSplit.Cut(Numbers, 0.2, seed: 7);
        Assert.Equal((5, 15), (part.Count(e => e.Label == "fourth"), part.Count(e => e.Label == "other")));
        Assert.Equal(Numbers.Texts.Order(), kept.Concat(part).Select(e => e.Text).Order());
        Assert.Equal(part.ToArray(), StratifiedSplit.Cut(Numbers, 0.2, seed: 7).Part.ToArray());
        Assert.NotEqual(part.ToArray(), StratifiedSplit.Cut(Numbers, 0.2, seed: 8).Part.ToArray());
        Assert.Contains("too few", Assert.Throws<InvalidDataException>(() => StratifiedSplit.Cut(Numbers, 0.001, seed: 7)).Message);
    }

    [Fact]
    public void Folds_hold_every_example_once()
    {
        var folds = StratifiedSplit.Folds(Numbers, 5, seed: 1);
        Assert.Equal(Numbers.Texts.Order(), folds.SelectMany(f => f.Texts).Order());
        Assert.All(folds, f => Assert.Equal((20, 5), (f.Count, f.Count(e => e.Label == "fourth"))));
        Assert.Throws<InvalidDataException>(() => StratifiedSplit.Folds(Numbers, 26, seed: 1));
    }

    [Fact]
    public void Samples_have_n_of_every_class_without_repeats()
    {
        var sample = Numbers.SamplePerClass(10, seed: 3);
        Assert.All(sample.CountByLabel(), c => Assert.Equal(10, c));
        Assert.Equal(20, sample.Texts.Distinct().Count());
        Assert.Equal((25, 40), (Numbers.SamplePerClass(40, seed: 3, orAll: true).CountByLabel()[0], Numbers.SamplePerClass(40, seed: 3, orAll: true).CountByLabel()[1]));
        Assert.Contains("has 25", Assert.Throws<InvalidDataException>(() => Numbers.SamplePerClass(26, seed: 3)).Message);
    }

    [Fact]
    public void A_data_frame_there_and_back_is_the_same()
    {
        var frame = Numbers.ToDataFrame();
        Assert.Equal(100, frame.Rows.Count);
        Assert.Equal(Numbers.ToArray(), TextDataset.FromDataFrame("numbers", frame).ToArray());
        Assert.Contains("'text', 'label'", Assert.Throws<InvalidDataException>(() => TextDataset.FromDataFrame("numbers", frame, textColumn: "message")).Message);
        frame["label"][3] = null;
        Assert.Contains("row 4", Assert.Throws<InvalidDataException>(() => TextDataset.FromDataFrame("numbers", frame)).Message);
    }

    [Fact]
    public void Empty_texts_and_unknown_labels_are_refused()
    {
        Assert.Contains("example 2", Assert.Throws<InvalidDataException>(() => new TextDataset("x", [new("a", "l"), new(" ", "m")])).Message);
        Assert.Contains("'m'", Assert.Throws<InvalidDataException>(() => new TextDataset("x", [new("a", "l"), new("b", "m")], new LabelSet(["l", "k"]))).Message);
        Assert.Throws<InvalidDataException>(() => new TextDataset("x", []));
    }

    [Fact]
    public void Batches_pad_little_and_hold_every_example_once()
    {
        var random = new Random(1);
        var lengths = Enumerable.Range(0, 1000).Select(_ => 3 + (int)Math.Exp(random.NextDouble() * 4)).ToArray();
        var batches = BatchSampler.Shuffled(lengths, 16, new Random(2));
        Assert.Equal(Enumerable.Range(0, 1000), batches.SelectMany(b => b).Order());
        var padded = batches.Sum(b => b.Length * b.Max(i => lengths[i]));
        Assert.True(padded < 1.1 * lengths.Sum(), "less than 10 % of the places are padding");
        Assert.Equal(Enumerable.Range(0, 1000), BatchSampler.ByTokens(lengths, 500).SelectMany(b => b).Order());
        Assert.All(BatchSampler.ByTokens(lengths, 500), b => Assert.True(b.Length * b.Max(i => lengths[i]) <= 500));
    }

    [Fact]
    public void A_batch_pads_on_the_right()
    {
        var batch = Batch.Pad([[5, 6, 7], [8]], padId: 0, [1, 0]);
        Assert.Equal([5L, 6, 7, 8, 0, 0], batch.Ids);
        Assert.Equal((3, 2), (batch.Length, batch.Rows));
        Assert.Contains("got 1", Assert.Throws<ArgumentException>(() => Batch.Pad([[1], [2]], 0, [1])).Message);
    }
}
