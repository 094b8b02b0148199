namespace NotebookKit.Statistics;

/// <summary>Confidence intervals of means.</summary>
public static class Intervals
{
    /// <summary>Student's t interval of a mean, such as an accuracy over seeds.</summary>
    /// <param name="values">At least two, such as one per seed.</param>
    /// <param name="level">Confidence level in (0, 1). Default 0.95.</param>
    public static Interval OfMean(IReadOnlyList<double> values, double level = 0.95)
    {
        if (values.Count < 2) throw new ArgumentException($"An interval needs at least two values; got {values.Count}. Run more seeds.", nameof(values));
        var mean = values.Average();
        var error = Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1) / values.Count);
        var reach = StudentT.Quantile((1 + level) / 2, values.Count - 1) * error;
        return new Interval(mean, mean - reach, mean + reach, level);
    }

    /// <summary>Percentile bootstrap interval of a mean over examples (Efron &amp; Tibshirani 1993), such as an accuracy over 0/1 outcomes.</summary>
    /// <param name="values">One per example, at least one.</param>
    /// <param name="seed">Seed of the resamples.</param>
    /// <param name="resamples">Default 2,000.</param>
    /// <param name="level">Confidence level in (0, 1). Default 0.95.</param>
    public static Interval Bootstrap(IReadOnlyList<double> values, int seed = 0, int resamples = 2000, double level = 0.95) => Bootstrap(values, Resamples(values.Count, seed, resamples), level);

    /// <summary>The same with given resamples: lists of indices into the values.</summary>
    public static Interval Bootstrap(IReadOnlyList<double> values, IEnumerable<IEnumerable<int>> resamples, double level = 0.95)
    {
        if (values.Count == 0) throw new ArgumentException("An interval needs at least one value.", nameof(values));
        return Percentiles(values.Average(), resamples.Select(r => r.Average(i => values[i])), level);
    }

    /// <summary>The same of any figure of examples, told by their indices.</summary>
    internal static Interval Bootstrap(int count, Func<IReadOnlyList<int>, double> figure, int seed, int resamples, double level) =>
        Percentiles(figure([.. Enumerable.Range(0, count)]), Resamples(count, seed, resamples).Select(r => figure([.. r])), level);

    private static IEnumerable<IEnumerable<int>> Resamples(int count, int seed, int resamples)
    {
        var random = new Random(seed);
        return Enumerable.Range(0, resamples).Select(_ => Enumerable.Range(0, count).Select(_ => random.Next(count)));
    }

    private static Interval Percentiles(double estimate, IEnumerable<double> drawn, double level)
    {
        var sorted = drawn.Order().ToArray();
        return new Interval(estimate, Quantile(sorted, (1 - level) / 2), Quantile(sorted, (1 + level) / 2), level);
    }

    /// <summary>Linear interpolation between order statistics, numpy's default.</summary>
    internal static double Quantile(double[] sorted, double p)
    {
        var at = p * (sorted.Length - 1);
        var low = (int)Math.Floor(at);
        return low + 1 >= sorted.Length ? sorted[^1] : sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
    }
}
