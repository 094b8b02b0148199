using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Models;

/// <summary>The loss each head is trained with, in the reference's definition; labels of -100 count for nothing.</summary>
public static class ModelLoss
{
    /// <summary>Mean loss of a batch, a scalar in nats (or squared units for a regression).</summary>
    /// <param name="head">What gave the logits.</param>
    /// <param name="logits">(B, C), (B, T, C) or (B, T, V).</param>
    /// <param name="labels">Class ids (B) or token labels (B, T) int64; (B, C) fp32 for several labels at once; (B) fp32 for a regression.</param>
    /// <param name="problem"><c>problem_type</c> of the configuration: single_label_classification, multi_label_classification or regression; empty is told from labels.</param>
    public static Tensor Of(HeadSettings head, Tensor logits, Tensor labels, string problem = "") => head.Head switch
    {
        ModelHead.SequenceClassification when problem == "regression" || (problem.Length == 0 && head.Labels == 1) => F.mse_loss(logits.view(-1), labels.to(logits.dtype).view(-1)),
        ModelHead.SequenceClassification when problem == "multi_label_classification" || (problem.Length == 0 && labels.is_floating_point()) =>
            F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)),
        ModelHead.CausalLM => Tokens(logits.narrow(1, 0, logits.size(1) - 1), labels.narrow(1, 1, labels.size(1) - 1)),
        ModelHead.None => throw new ArgumentException("A model without a head has no loss."),
        _ => Tokens(logits, labels),
    };

    private static Tensor Tokens(Tensor logits, Tensor labels) =>
        F.cross_entropy(logits.reshape(-1, logits.size(-1)).to(ScalarType.Float32), labels.reshape(-1), ignore_index: -100);
}
