using NotebookKit.Search;

namespace NotebookKit.Tests.Search;

/// <summary>A search of functions whose answers are known.</summary>
public sealed class SearchTests
{
    private static readonly SearchParameter[] Space = [new LogUniformParameter("rate", 1e-5, 1e-1), new UniformParameter("dropout", 0, 0.5), new WholeParameter("layers", 1, 6), new ChoiceParameter("schedule", "linear", "cosine", "constant")];

    /// <summary>Highest at a rate of 1e-3; the schedule adds a little, the rest nothing.</summary>
    private static double Score(Trial trial) => -Math.Pow(Math.Log10(trial.Real("rate")) + 3, 2) + (trial.Choice("schedule") == "cosine" ? 0.5 : 0);

    [Fact]
    public void Draws_are_in_their_ranges_and_the_same_for_a_seed()
    {
        var result = new HyperparameterSearch(Space, seed: 3).Random(400, Score);
        Assert.All(result.Scores, s =>
        {
            Assert.InRange(s.Trial.Real("rate"), 1e-5, 1e-1);
            Assert.InRange(s.Trial.Real("dropout"), 0, 0.5);
            Assert.InRange(s.Trial.Whole("layers"), 1, 6);
        });
        Assert.Equal(6, result.Scores.Select(s => s.Trial.Whole("layers")).Distinct().Count());
        Assert.Equal(0.5, result.Scores.Count(s => s.Trial.Real("rate") < 1e-3) / 400.0, 0.1);       // half of the draws below the middle on a logarithmic scale
        Assert.Equal(result.Scores.Select(s => s.Score), new HyperparameterSearch(Space, seed: 3).Random(400, Score).Scores.Select(s => s.Score));
        Assert.InRange(Math.Log10(result.Best.Trial.Real("rate")), -3.3, -2.7);
        Assert.Equal("cosine", result.Best.Trial.Choice("schedule"));
    }

    /// <summary>Expected: 27 trials with 1, the best 9 with 3, 3 with 9, 1 with 27, and the winner among all by the noiseless score.</summary>
    [Fact]
    public void Halving_gives_the_best_more_and_the_rest_nothing()
    {
        var result = new HyperparameterSearch(Space, seed: 1).SuccessiveHalving(27, (1, 27), (trial, budget) => Score(trial) - 1.0 / budget);
        Assert.Equal([(1, 27), (3, 9), (9, 3), (27, 1)], result.Scores.GroupBy(s => s.Budget).Select(g => (g.Key, g.Count())));
        Assert.Equal(result.Scores.Where(s => s.Budget == 1).MaxBy(s => Score(s.Trial))!.Trial.Number, result.Best.Trial.Number);
        Assert.Contains("27 trials", result.ToText());
    }

    /// <summary>Expected: the parts of the variance as the function is made: the rate nearly all, then the schedule, the others nothing.</summary>
    [Fact]
    public void What_mattered_is_found()
    {
        var importance = new HyperparameterSearch(Space, seed: 2).Random(2000, Score).Importance();
        Assert.Equal(["rate", "schedule"], importance.Take(2).Select(i => i.Parameter));
        Assert.InRange(importance[0].Share, 0.6, 1);
        Assert.All(importance.Skip(2), i => Assert.InRange(i.Share, 0, 0.01));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(30)]
    public void A_search_that_was_ended_goes_on_with_what_it_knew(int endAfter)
    {
        using var folder = TestData.NewFolder();
        var file = folder["search.jsonl"];
        var (calls, expected) = (0, new HyperparameterSearch(Space, seed: 1).SuccessiveHalving(27, (1, 9), (t, b) => Score(t) - 1.0 / b));
        double Counted(Trial trial, int budget) => calls++ == endAfter ? throw new OperationCanceledException() : Score(trial) - 1.0 / budget;
        Assert.Throws<OperationCanceledException>(() => new HyperparameterSearch(Space, seed: 1, file).SuccessiveHalving(27, (1, 9), Counted));
        if (endAfter > 0) File.AppendAllText(file, "{\"trial\":3,\"bud");         // a line cut off
        calls = 1000;
        var result = new HyperparameterSearch(Space, seed: 1, file).SuccessiveHalving(27, (1, 9), Counted);
        Assert.Equal(expected.Scores.Select(s => (s.Trial.Number, s.Budget, s.Score)), result.Scores.Select(s => (s.Trial.Number, s.Budget, s.Score)));
        Assert.Equal(expected.Scores.Count - endAfter, calls - 1000);
        Assert.Contains("holds another search", Assert.Throws<InvalidOperationException>(() => new HyperparameterSearch(Space, seed: 9, file).SuccessiveHalving(27, (1, 9), Counted)).Message);
    }

    [Fact]
    public void What_cannot_be_is_refused_and_a_failed_trial_loses()
    {
        Assert.Contains("'rate': Low is 0", Assert.Throws<ArgumentException>(() => new HyperparameterSearch([new LogUniformParameter("rate", 0, 1)])).Message);
        Assert.Contains("given twice", Assert.Throws<ArgumentException>(() => new HyperparameterSearch([new WholeParameter("a", 1, 2), new WholeParameter("a", 1, 2)])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new HyperparameterSearch(Space).SuccessiveHalving(2, (1, 3), (_, _) => 0));
        var result = new HyperparameterSearch(Space).SuccessiveHalving(9, (1, 3), (t, _) => t.Number <= 5 ? double.NaN : t.Number);
        Assert.Equal(9, result.Best.Trial.Number);
        Assert.Contains("has no parameter 'depth'", Assert.Throws<ArgumentException>(() => result.Best.Trial.Real("depth")).Message);
        Assert.Contains("is a choice", Assert.Throws<ArgumentException>(() => result.Best.Trial.Real("schedule")).Message);
    }
}
