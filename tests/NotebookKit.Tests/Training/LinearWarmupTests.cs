using NotebookKit.Training;

namespace NotebookKit.Tests.Training;

public sealed class LinearWarmupTests
{
    /// <summary>Expected values: transformers 5.23's get_linear_schedule_with_warmup, past the end included (Fixtures/training/linear.json).</summary>
    [Fact]
    public void Factors_equal_transformers()
    {
        var cases = TestData.Cases("training/linear.json");
        Assert.NotEmpty(cases);
        foreach (var wanted in cases)
        {
            var p = wanted.GetProperty("params");
            var schedule = new LinearWarmup(p.GetProperty("num_warmup_steps").GetInt32(), p.GetProperty("num_training_steps").GetInt32());
            var rates = wanted.GetProperty("expected").GetProperty("lr").Doubles();
            for (var step = 0; step < rates.Length; step++)
                Assert.Equal(rates[step], p.GetProperty("base_lr").GetDouble() * schedule.FactorAt(step), 1e-12);
        }
    }
}
