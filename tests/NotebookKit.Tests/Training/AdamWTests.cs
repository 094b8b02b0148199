using NotebookKit.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using AdamW = NotebookKit.Training.AdamW;

namespace NotebookKit.Tests.Training;

/// <summary>Expected values: torch 2.15's AdamW, 20 steps on given gradients (Fixtures/training/adamw.json), fp32 tolerance 1e-5 relative.</summary>
public sealed class AdamWTests
{
    public static TheoryData<string> Names => ["adamw_float32", "adamw_float32_clip1", "adamw_no_decay_float32", "adamw_beta98_float32"];

    [Theory]
    [MemberData(nameof(Names))]
    public void Trajectory_equals_torch(string name)
    {
        using var scope = NewDisposeScope();
        var cases = TestData.Cases("training/adamw.json");
        var shared = cases.Single(c => c.GetProperty("name").GetString() == "shared_inputs").GetProperty("inputs");
        var wanted = cases.Single(c => c.GetProperty("name").GetString() == name);
        var settings = wanted.GetProperty("params");
        // Both parameters decay in the reference, also the one-dimensional one, so it is given here as a matrix of one row.
        var first = new Parameter(tensor(shared.GetProperty("params")[0].EnumerateArray().SelectMany(r => r.Doubles()).Select(d => (float)d).ToArray(), [3, 4]));
        var second = new Parameter(tensor(shared.GetProperty("params")[1].Doubles().Select(d => (float)d).ToArray(), [1, 5]));
        using var optimizer = new AdamW([("first", first), ("second", second)], new AdamWSettings
        {
            Beta1 = settings.GetProperty("betas")[0].GetDouble(), Beta2 = settings.GetProperty("betas")[1].GetDouble(), Epsilon = settings.GetProperty("eps").GetDouble(),
            WeightDecay = settings.GetProperty("weight_decay").GetDouble(),
            ClipNorm = settings.GetProperty("clip_norm").ValueKind == System.Text.Json.JsonValueKind.Null ? 0 : settings.GetProperty("clip_norm").GetDouble(),
        });
        var steps = wanted.GetProperty("expected").GetProperty("params_per_step");
        for (var step = 0; step < steps.GetArrayLength(); step++)
        {
            var gradients = shared.GetProperty("grads")[step];
            first.grad = tensor(gradients[0].EnumerateArray().SelectMany(r => r.Doubles()).Select(d => (float)d).ToArray(), [3, 4]);
            second.grad = tensor(gradients[1].Doubles().Select(d => (float)d).ToArray(), [1, 5]);
            optimizer.Step(settings.GetProperty("lr").GetDouble());
            foreach (var (parameter, expected) in new[] { (first, steps[step][0].Doubles()), (second, steps[step][1].Doubles()) })
            {
                var got = parameter.data<float>().ToArray();
                for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], got[i], 1e-5 * Math.Max(1, Math.Abs(expected[i])));
            }
        }
    }

    /// <summary>The rule itself: biases and norms (one dimension) do not decay, matrices do. With gradient 0 only the decay is left: w·(1 − lr·decay).</summary>
    [Fact]
    public void Only_matrices_decay()
    {
        using var scope = NewDisposeScope();
        var (matrix, bias) = (new Parameter(ones(2, 2)), new Parameter(ones(2)));
        using var optimizer = new AdamW([("w", matrix), ("b", bias)], new AdamWSettings { WeightDecay = 0.5 });
        matrix.grad = zeros(2, 2);
        bias.grad = zeros(2);
        optimizer.Step(0.1);
        Assert.Equal(0.95f, matrix[0, 0].item<float>(), 1e-6f);
        Assert.Equal(1f, bias[0].item<float>());
    }

    /// <summary>bf16 parameters follow fp32 masters: many steps too small for bf16 alone must still add up. Expected: 1 − 1,000 × 1e-4 = 0.9, within bf16's resolution.</summary>
    [Fact]
    public void Masters_in_fp32_add_up_steps_that_bf16_would_lose()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(8, 8, dtype: ScalarType.BFloat16));
        using var optimizer = new AdamW([("w", parameter)], new AdamWSettings { WeightDecay = 0, ClipNorm = 0 });
        for (var step = 0; step < 1000; step++)
        {
            parameter.grad = ones(8, 8, dtype: ScalarType.BFloat16);
            optimizer.Step(1e-4);
        }
        Assert.Equal(0.9, parameter[0, 0].to(ScalarType.Float32).ToDouble(), 0.004);
    }

    [Fact]
    public void A_gradient_that_is_not_finite_is_refused_by_name_and_changes_nothing()
    {
        using var scope = NewDisposeScope();
        var (good, bad) = (new Parameter(ones(4, 4)), new Parameter(ones(4, 4)));
        using var optimizer = new AdamW([("good", good), ("layer.bad", bad)]);
        good.grad = ones(4, 4);
        bad.grad = full([4, 4], float.NaN);
        var error = Assert.Throws<InvalidOperationException>(() => { optimizer.Step(0.1); });
        Assert.Contains("layer.bad", error.Message);
        Assert.Equal(16, good.sum().ToDouble());
    }

    [Fact]
    public void Nothing_to_train_is_refused()
    {
        using var scope = NewDisposeScope();
        var frozen = new Parameter(ones(2)) { requires_grad = false };
        Assert.Throws<ArgumentException>(() => new AdamW([("w", frozen)]));
    }
}
