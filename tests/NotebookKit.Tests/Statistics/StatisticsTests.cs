using NotebookKit.Statistics;

namespace NotebookKit.Tests.Statistics;

/// <summary>Expected values: scipy 1.17.1 (Fixtures/statistics).</summary>
public sealed class StatisticsTests
{
    [Fact]
    public void Student_t_equals_scipy()
    {
        var wanted = TestData.Cases("statistics/tests.json").Single(c => c.GetProperty("name").GetString() == "distributions");
        var (inputs, expected) = (wanted.GetProperty("inputs"), wanted.GetProperty("expected"));
        var (z, p, degrees) = (inputs.GetProperty("z").Doubles(), inputs.GetProperty("p").Doubles(), inputs.GetProperty("t_df").Doubles());
        for (var d = 0; d < degrees.Length; d++)
        {
            for (var i = 0; i < z.Length; i++) Assert.Equal(expected.GetProperty("t_sf")[d][i].Number(), 1 - StudentT.Cdf(z[i], degrees[d]), 1e-9);
            for (var i = 0; i < p.Length; i++)
            {
                var quantile = expected.GetProperty("t_ppf")[d][i].Number();
                Assert.Equal(quantile, StudentT.Quantile(p[i], degrees[d]), 1e-6 * Math.Max(1, Math.Abs(quantile)));
            }
        }
    }

    [Fact]
    public void Interval_of_paired_differences_equals_scipys_paired_t()
    {
        var compared = 0;
        foreach (var wanted in TestData.Cases("statistics/tests.json").Where(c => c.GetProperty("name").GetString()!.StartsWith("paired_t_", StringComparison.Ordinal)))
        {
            var (x, y) = (wanted.GetProperty("inputs").GetProperty("x").Doubles(), wanted.GetProperty("inputs").GetProperty("y").Doubles());
            var interval = Intervals.OfMean([.. x.Zip(y, (a, b) => a - b)]);
            var expected = wanted.GetProperty("expected").GetProperty("ci95").Doubles();
            Assert.Equal(expected[0], interval.Lower, 1e-9);
            Assert.Equal(expected[1], interval.Upper, 1e-9);
            compared++;
        }
        Assert.True(compared >= 4);
    }

    [Fact]
    public void Sign_flip_p_value_equals_scipys_permutation_test()
    {
        foreach (var wanted in TestData.Cases("statistics/tests.json").Where(c => c.GetProperty("name").GetString()!.StartsWith("permutation_", StringComparison.Ordinal)))
        {
            var (x, y) = (wanted.GetProperty("inputs").GetProperty("x").Doubles(), wanted.GetProperty("inputs").GetProperty("y").Doubles());
            var n = Math.Min(x.Length, y.Length);
            var comparison = new PairedComparison("x", x[..n], "y", y[..n]);
            Assert.Equal(wanted.GetProperty("expected").GetProperty("paired_abs").GetProperty("p_value").GetDouble(), comparison.PValue, 1e-12);
        }
    }

    [Fact]
    public void Percentile_bootstrap_equals_the_reference_on_given_resamples()
    {
        var compared = 0;
        foreach (var wanted in TestData.Cases("statistics/bootstrap.json"))
        {
            var p = wanted.GetProperty("params");
            if (p.GetProperty("kind").GetString() != "intervals" || p.GetProperty("statistic").GetString() != "mean") continue;
            var interval = Intervals.Bootstrap(wanted.GetProperty("inputs").GetProperty("x").Doubles(),
                wanted.GetProperty("inputs").GetProperty("indices").EnumerateArray().Select(r => r.EnumerateArray().Select(i => i.GetInt32())), 1 - p.GetProperty("alpha").GetDouble());
            var expected = wanted.GetProperty("expected").GetProperty("percentile").Doubles();
            Assert.Equal(expected[0], interval.Lower, 1e-9);
            Assert.Equal(expected[1], interval.Upper, 1e-9);
            compared++;
        }
        Assert.True(compared >= 2);
    }

    /// <summary>Definition: an interval that holds zero is no difference.</summary>
    [Fact]
    public void Verdicts_follow_the_interval()
    {
        Assert.StartsWith("a beats b by 10.0 points", new PairedComparison("a", [0.8, 0.81, 0.79], "b", [0.7, 0.71, 0.69]).Verdict);
        Assert.StartsWith("b beats a by 10.0 points", new PairedComparison("a", [0.7, 0.71, 0.69], "b", [0.8, 0.805, 0.795]).Verdict);
        Assert.StartsWith("cannot tell", new PairedComparison("a", [0.7, 0.9, 0.69], "b", [0.8, 0.805, 0.795]).Verdict);
        Assert.Contains("same seeds", Assert.Throws<ArgumentException>(() => new PairedComparison("a", [1, 2], "b", [1])).Message);
        Assert.Contains("more seeds", Assert.Throws<ArgumentException>(() => Intervals.OfMean([1])).Message);
    }
}
