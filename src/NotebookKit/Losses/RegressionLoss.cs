using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Losses;

/// <summary>Losses of predicted numbers against others of the same shape.</summary>
public static class RegressionLoss
{
    /// <summary>Squared difference.</summary>
    public static Tensor Squared(Tensor predicted, Tensor target, Reduction reduction = Reduction.Mean) => F.mse_loss(predicted, target, ClassificationLoss.Of(reduction));

    /// <summary>Absolute difference.</summary>
    public static Tensor Absolute(Tensor predicted, Tensor target, Reduction reduction = Reduction.Mean) => F.l1_loss(predicted, target, ClassificationLoss.Of(reduction));

    /// <summary>Huber's loss (1964): squared below <paramref name="delta"/>, delta times the absolute difference above.</summary>
    public static Tensor Huber(Tensor predicted, Tensor target, double delta = 1, Reduction reduction = Reduction.Mean) => F.huber_loss(predicted, target, delta, ClassificationLoss.Of(reduction));

    /// <summary>Huber's loss divided by its width.</summary>
    public static Tensor SmoothAbsolute(Tensor predicted, Tensor target, double beta = 1, Reduction reduction = Reduction.Mean) => F.smooth_l1_loss(predicted, target, ClassificationLoss.Of(reduction), beta);
}
