using NotebookKit.Losses;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>How much a class counts.</summary>
public enum ClassWeighting
{
    /// <summary>Every example counts the same.</summary>
    None,
    /// <summary>N / (C · n_c): every class counts the same.</summary>
    Balanced,
    /// <summary>Its root: half way between.</summary>
    SquareRoot,
}

/// <summary>What a classifier minimises. Class weights are counted on the training part alone.</summary>
public sealed record ClassificationObjective
{
    /// <summary>Share of the target spread over all classes, in [0, 1) (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567). Default 0.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>How much less easy examples count, at least 0 (focal loss, Lin et al. 2017, https://arxiv.org/abs/1708.02002); 0 is cross-entropy. Default 0.</summary>
    public double FocalGamma { get; init; }

    /// <summary>How much a class counts. Default <see cref="ClassWeighting.None"/>.</summary>
    public ClassWeighting Weighting { get; init; }

    /// <summary>Weight of the divergence between two passes under different dropout (R-Drop, Liang et al. 2021, https://arxiv.org/abs/2106.14448), at least 0; 0 is one pass. Doubles a step's time. Default 0.</summary>
    public double RDropAlpha { get; init; }

    /// <summary>Two examples are mixed into one, features and losses alike, with a share drawn from Beta(α, α), at least 0 (mixup of sentences, Guo et al. 2019, https://arxiv.org/abs/1905.08941); 0 is none. Default 0.</summary>
    public double MixupAlpha { get; init; }

    /// <summary>Share of tokens, the first aside, that a step hides from the network, in [0, 1) (token cutoff, Shen et al. 2020, https://arxiv.org/abs/2009.13818). Default 0.</summary>
    public double TokenCutoff { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MixupAlpha);
        ArgumentOutOfRangeException.ThrowIfNegative(TokenCutoff);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(TokenCutoff, 1);
        if (MixupAlpha > 0 && RDropAlpha > 0) throw new ArgumentException("R-Drop compares two passes over the same examples, and mixup has none: set MixupAlpha or RDropAlpha, not both.");
        ArgumentOutOfRangeException.ThrowIfNegative(LabelSmoothing);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(LabelSmoothing, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(FocalGamma);
        ArgumentOutOfRangeException.ThrowIfNegative(RDropAlpha);
        if (FocalGamma > 0 && LabelSmoothing > 0) throw new ArgumentException("Focal loss has no label smoothing: set FocalGamma or LabelSmoothing, not both.");
    }

    /// <summary>Weights by class, or <c>null</c> where all count the same.</summary>
    /// <param name="counts">Examples of each class in the training part.</param>
    internal double[]? Weights(IReadOnlyList<int> counts)
    {
        if (Weighting == ClassWeighting.None) return null;
        var (total, seen) = (counts.Sum(), counts.Count(c => c > 0));
        return [.. counts.Select(c => c == 0 ? 0 : Weighting == ClassWeighting.Balanced ? total / (double)(seen * c) : Math.Sqrt(total / (double)(seen * c)))];
    }

    /// <summary>Sum of the losses of a part of a batch, divided by what the whole batch counts: parts add up to the loss of the batch.</summary>
    /// <param name="passes">Logits of one pass, or of two for R-Drop, (N, C).</param>
    /// <param name="labels">(N) int64.</param>
    /// <param name="weights">Weights by class, (C), or <c>null</c>.</param>
    /// <param name="rows">Rows of the whole batch.</param>
    /// <param name="weight">Weight of the whole batch.</param>
    internal Tensor Of(IReadOnlyList<Tensor> passes, Tensor labels, Tensor? weights, int rows, double weight)
    {
        using var scope = NewDisposeScope();
        Tensor One(Tensor logits) => FocalGamma > 0
            ? ClassificationLoss.Focal(logits, labels, FocalGamma, weights, Reduction.Sum) / rows
            : ClassificationLoss.CrossEntropy(logits, labels, weights, LabelSmoothing, reduction: Reduction.Sum) / weight;
        var loss = One(passes[0]);
        if (passes.Count == 2) loss = (loss + One(passes[1])) / 2 + RDropAlpha * (passes[0].size(0) / (double)rows) * ClassificationLoss.SymmetricKl(passes[0], passes[1]);
        return loss.MoveToOuterDisposeScope();
    }
}
