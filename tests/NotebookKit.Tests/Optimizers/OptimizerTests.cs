using NotebookKit.Optimizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Optimizers;

/// <summary>What trajectories do not show; those equal torch's by <c>nbkit conform</c> on Fixtures/training.</summary>
public sealed class OptimizerTests
{
    /// <summary>The rule itself: biases and norms (one dimension) do not decay, matrices do. With gradient 0 only the decay is left: w·(1 − lr·decay).</summary>
    [Fact]
    public void Only_matrices_decay()
    {
        using var scope = NewDisposeScope();
        var (matrix, bias) = (new Parameter(ones(2, 2)), new Parameter(ones(2)));
        using var optimizer = new Optimizer([("w", matrix), ("b", bias)], new AdamWSettings { WeightDecay = 0.5 });
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
        using var optimizer = new Optimizer([("w", parameter)], new AdamWSettings { WeightDecay = 0, ClipNorm = 0 });
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
        using var optimizer = new Optimizer([("good", good), ("layer.bad", bad)]);
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
        Assert.Throws<ArgumentException>(() => new Optimizer([("w", frozen)]));
    }
}
