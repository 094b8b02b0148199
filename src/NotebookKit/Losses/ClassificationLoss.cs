using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Losses;

/// <summary>How the losses of examples become one number.</summary>
public enum Reduction
{
    /// <summary>Their mean; with class weights, the weighted mean.</summary>
    Mean,
    /// <summary>Their sum.</summary>
    Sum,
    /// <summary>Each for itself.</summary>
    None,
}

/// <summary>Losses of class logits (N, C) against class indices (N) int64. Differentiable; any floating type.</summary>
public static class ClassificationLoss
{
    /// <summary>Cross-entropy in nats, with label smoothing (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567) and class weights as torch has them.</summary>
    /// <param name="logits">(N, C).</param>
    /// <param name="targets">(N) int64 in [0, C), or <paramref name="ignored"/>.</param>
    /// <param name="classWeights">(C), or <c>null</c> for 1. From the training part only: see <c>LabelSet</c> counts.</param>
    /// <param name="smoothing">Share of the target spread over all classes, in [0, 1).</param>
    /// <param name="ignored">Targets that count for nothing.</param>
    /// <param name="reduction">How examples are joined. A mean over nothing is NaN.</param>
    public static Tensor CrossEntropy(Tensor logits, Tensor targets, Tensor? classWeights = null, double smoothing = 0, long ignored = -100, Reduction reduction = Reduction.Mean) =>
        F.cross_entropy(logits, targets, classWeights, ignored, Of(reduction), smoothing);

    /// <summary>Focal loss −α_y (1 − p_y)^γ ln p_y (Lin et al. 2017, https://arxiv.org/abs/1708.02002) in its softmax form: easy examples count less. The mean is over examples, not over α.</summary>
    /// <param name="logits">(N, C).</param>
    /// <param name="targets">(N) int64 in [0, C).</param>
    /// <param name="gamma">How much less easy examples count, at least 0; 0 is cross-entropy. Usual 2.</param>
    /// <param name="alpha">Weights by class, (C), or <c>null</c> for 1.</param>
    /// <param name="reduction">How examples are joined.</param>
    public static Tensor Focal(Tensor logits, Tensor targets, double gamma = 2, Tensor? alpha = null, Reduction reduction = Reduction.Mean)
    {
        using var scope = NewDisposeScope();
        var logP = logits.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1);         // (N)
        var loss = -logP;
        // (1 − p) by expm1: exact where p is nearly 1, and its power has a finite gradient there.
        if (gamma != 0) loss = loss * (-logP.expm1()).clamp_min(logits.dtype == ScalarType.Float64 ? 1e-300 : 1e-30).pow(gamma);
        if (alpha is not null) loss = loss * alpha.index_select(0, targets);
        return Reduce(loss, reduction).MoveToOuterDisposeScope();
    }

    /// <summary>R-Drop (Liang et al. 2021, https://arxiv.org/abs/2106.14448): two passes under different dropout, their mean cross-entropy, and α times the mean of both KL divergences between them.</summary>
    /// <param name="first">Logits of the first pass, (N, C).</param>
    /// <param name="second">Logits of the second, (N, C).</param>
    /// <param name="targets">(N) int64.</param>
    /// <param name="alpha">Weight of the divergence. Usual 1 to 5.</param>
    public static Tensor RDrop(Tensor first, Tensor second, Tensor targets, double alpha = 1)
    {
        using var scope = NewDisposeScope();
        return ((F.cross_entropy(first, targets) + F.cross_entropy(second, targets)) / 2 + alpha * SymmetricKl(first, second)).MoveToOuterDisposeScope();
    }

    /// <summary>(KL(p₁‖p₂) + KL(p₂‖p₁)) / 2, mean over examples.</summary>
    public static Tensor SymmetricKl(Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        Tensor a = first.log_softmax(-1), b = second.log_softmax(-1);
        return (((a.exp() - b.exp()) * (a - b)).sum(-1).mean() / 2).MoveToOuterDisposeScope();
    }

    /// <summary>Distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531): T² KL(teacher ‖ student) at temperature T, mean over examples.</summary>
    /// <param name="student">Logits, (N, C).</param>
    /// <param name="teacher">Logits, (N, C); gets no gradient.</param>
    /// <param name="temperature">T, above 0.</param>
    public static Tensor Distillation(Tensor student, Tensor teacher, double temperature = 2)
    {
        using var scope = NewDisposeScope();
        Tensor s = (student / temperature).log_softmax(-1), t = (teacher.detach() / temperature).log_softmax(-1);
        return ((t.exp() * (t - s)).sum() / student.size(0) * (temperature * temperature)).MoveToOuterDisposeScope();
    }

    /// <summary>Several labels at once: binary cross-entropy of logits (N, C) against 0 or 1.</summary>
    /// <param name="logits">(N, C).</param>
    /// <param name="targets">(N, C) in [0, 1].</param>
    /// <param name="positiveWeights">Weights of the positive part, (C).</param>
    /// <param name="weights">Weights by class, (C).</param>
    /// <param name="reduction">How entries are joined.</param>
    public static Tensor MultiLabel(Tensor logits, Tensor targets, Tensor? positiveWeights = null, Tensor? weights = null, Reduction reduction = Reduction.Mean) =>
        F.binary_cross_entropy_with_logits(logits, targets, weights, Of(reduction), positiveWeights);

    internal static nn.Reduction Of(Reduction reduction) => reduction switch { Reduction.Mean => nn.Reduction.Mean, Reduction.Sum => nn.Reduction.Sum, _ => nn.Reduction.None };

    internal static Tensor Reduce(Tensor losses, Reduction reduction) => reduction switch { Reduction.Mean => losses.mean(), Reduction.Sum => losses.sum(), _ => losses };
}
