using NotebookKit.Schedules;

namespace NotebookKit.Tests.Schedules;

/// <summary>What the reference's cases, which <c>nbkit conform</c> runs on Fixtures/training, do not show.</summary>
public sealed class ScheduleTests
{
    /// <summary>Expected: by hand from the definitions; a run of no more steps than its warm-up must not divide by zero.</summary>
    [Fact]
    public void Runs_of_a_few_steps_have_rates()
    {
        Schedule[] schedules = [new ConstantSchedule(), new LinearSchedule(0, 1), new LinearSchedule(3, 3), new CosineSchedule(1, 1), new SlantedTriangularSchedule(3), new OneCycleSchedule(3), new FastaiOneCycleSchedule(1), new InverseSquareRootSchedule(0), new WarmupStableDecaySchedule(0, 0, 0)];
        Assert.All(schedules, s => Assert.All(Enumerable.Range(0, 5), t => Assert.InRange(s.FactorAt(t), 0, 1)));
        Assert.Equal(1, new LinearSchedule(0, 1).FactorAt(0));
        Assert.Equal(0.5, new CosineSchedule(0, 2).FactorAt(1), 1e-12);
    }

    /// <summary>Expected: torch's rule, patience 1: the second measurement without improvement halves the rate.</summary>
    [Fact]
    public void A_plateau_lowers_the_rate()
    {
        var rate = new PlateauRate(1, new PlateauSettings { Factor = 0.5, Patience = 1 });
        Assert.Equal([1, 1, 0.5, 0.5], new[] { 3.0, 3, 3, 2 }.Select(rate.Report));
    }
}
