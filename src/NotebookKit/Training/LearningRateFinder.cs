using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Training.Runs;
using TorchSharp;

namespace NotebookKit.Training;

/// <summary>How far rates are tried.</summary>
public sealed record LearningRateSearch
{
    /// <summary>First rate, above 0. Default 1e-6.</summary>
    public double Start { get; init; } = 1e-6;

    /// <summary>Last rate, above the first. Default 0.1.</summary>
    public double End { get; init; } = 0.1;

    /// <summary>Steps from the first to the last, at least 10. Default 100.</summary>
    public int Steps { get; init; } = 100;

    /// <summary>The search ends when the smoothed loss is this many times its lowest. Default 4.</summary>
    public double StopFactor { get; init; } = 4;

    /// <summary>Share of the past in the smoothed loss, in [0, 1). Default 0.9.</summary>
    public double Smoothing { get; init; } = 0.9;
}

/// <summary>One step of a search.</summary>
/// <param name="Rate">Its rate.</param>
/// <param name="Loss">Loss of its batch before it.</param>
/// <param name="Smoothed">The moving average.</param>
public sealed record RateTried(double Rate, double Loss, double Smoothed);

/// <summary>What a search found.</summary>
/// <param name="Tried">Every step, rates ascending.</param>
public sealed record LearningRateCurve(IReadOnlyList<RateTried> Tried)
{
    /// <summary>The rate half way down the longest descent of the smoothed loss: high enough to learn, well below where it goes wrong.</summary>
    public double Suggestion
    {
        get
        {
            var (from, to) = Descent();
            return Tried[from + (to - from) / 2].Rate;
        }
    }

    /// <summary>The rate at which the smoothed loss was lowest.</summary>
    public double Lowest => Tried.MinBy(t => t.Smoothed)!.Rate;

    /// <summary>First and last step of the longest decreasing subsequence.</summary>
    private (int From, int To) Descent()
    {
        var (length, first) = (new int[Tried.Count], new int[Tried.Count]);
        for (var i = 0; i < Tried.Count; i++)
        {
            (length[i], first[i]) = (1, i);
            for (var j = 0; j < i; j++)
                if (Tried[i].Smoothed < Tried[j].Smoothed && length[j] + 1 > length[i]) (length[i], first[i]) = (length[j] + 1, first[j]);
        }
        var end = Array.IndexOf(length, length.Max());
        return (first[end], end);
    }
}

/// <summary>Tries rates that grow from step to step, and puts everything back (Smith 2017, https://arxiv.org/abs/1506.01186).</summary>
public static class LearningRateFinder
{
    /// <summary>Runs the search. The classifier is afterwards as it was.</summary>
    /// <param name="classifier">What would be trained.</param>
    /// <param name="train">What it would be trained on; rounds begin anew where it is short.</param>
    /// <param name="settings">Optimiser, objective, batch size and seed of the run to come.</param>
    /// <param name="search">Which rates.</param>
    public static LearningRateCurve Run(TextClassifier classifier, TextDataset train, FinetuneSettings? settings = null, LearningRateSearch? search = null)
    {
        (settings, search) = (settings ?? new(), search ?? new());
        settings.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(search.Steps, 10);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(search.Start);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(search.End, search.Start);
        var model = classifier.Model;
        var random = Runtime.Seed.Everything(settings.Seed);
        var rows = classifier.Tokenizer.EncodeAll(train.Texts, classifier.MaximumLength);
        var (lengths, labels, masks) = (Array.ConvertAll(rows, r => r.Length), train.LabelIds(), model.Dropout.State);
        using var before = new WeightSnapshot(model);
        using var step = new TrainStep(classifier, settings.Optimizer, settings.Objective, train.CountByLabel(), LayerRates.Of(model, settings));
        var (tried, average, lowest) = (new List<RateTried>(), 0.0, double.PositiveInfinity);
        model.Dropout.Reseed(settings.Seed);
        model.train();
        try
        {
            foreach (var window in Forever(() => BatchSampler.Shuffled(lengths, settings.BatchSize, random, settings.PoolBatches)).Take(search.Steps))
            {
                var rate = search.Start * Math.Pow(search.End / search.Start, tried.Count / (double)(search.Steps - 1));
                var loss = step.Run(Batch.Of(window, rows, labels, classifier.Tokenizer.PadId), rate);
                average = search.Smoothing * average + (1 - search.Smoothing) * loss;
                var smoothed = average / (1 - Math.Pow(search.Smoothing, tried.Count + 1));
                tried.Add(new RateTried(rate, loss, smoothed));
                lowest = Math.Min(lowest, smoothed);
                if (smoothed > search.StopFactor * lowest && tried.Count >= 10) break;
            }
        }
        catch (InvalidOperationException) when (tried.Count >= 10)
        {
            // A loss that is no longer a number ends the search: that rate is too high.
        }
        finally
        {
            before.Restore(model);
            model.Dropout.State = masks;
            model.eval();
        }
        return new LearningRateCurve(tried);
    }

    private static IEnumerable<int[]> Forever(Func<int[][]> epoch)
    {
        while (true)
            foreach (var batch in epoch()) yield return batch;
    }
}
