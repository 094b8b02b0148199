using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Losses;

/// <summary>Losses of embeddings (N, D): what is alike comes together. Differentiable; any floating type.</summary>
public static class EmbeddingLoss
{
    /// <summary>Multiple negatives ranking (Henderson et al. 2017, https://arxiv.org/abs/1705.00652), InfoNCE with temperature 1/scale: every anchor must find its own positive among all positives
    /// and hard negatives of the batch.</summary>
    /// <param name="anchors">(N, D).</param>
    /// <param name="positives">(N, D), row by row.</param>
    /// <param name="negatives">Hard negatives (M, D), or <c>null</c>.</param>
    /// <param name="scale">Factor on cosines. Default 20.</param>
    public static Tensor MultipleNegativesRanking(Tensor anchors, Tensor positives, Tensor? negatives = null, double scale = 20)
    {
        using var scope = NewDisposeScope();
        var candidates = negatives is null ? positives : cat([positives, negatives]);
        var scores = Unit(anchors).matmul(Unit(candidates).transpose(0, 1)) * scale;          // (N, N + M)
        return F.cross_entropy(scores, arange(anchors.size(0), dtype: ScalarType.Int64)).MoveToOuterDisposeScope();
    }

    /// <summary>InfoNCE both ways, as CLIP has it (Radford et al. 2021, https://arxiv.org/abs/2103.00020): anchors find positives and positives find anchors.</summary>
    public static Tensor SymmetricInfoNce(Tensor anchors, Tensor positives, double temperature = 0.05)
    {
        using var scope = NewDisposeScope();
        var scores = Unit(anchors).matmul(Unit(positives).transpose(0, 1)) / temperature;
        var own = arange(anchors.size(0), dtype: ScalarType.Int64);
        return ((F.cross_entropy(scores, own) + F.cross_entropy(scores.transpose(0, 1), own)) / 2).MoveToOuterDisposeScope();
    }

    /// <summary>Supervised contrastive loss (Khosla et al. 2020, https://arxiv.org/abs/2004.11362, L_out): all of a class are positives of each other. Mean over anchors that have a positive; 0 where none has.</summary>
    /// <param name="features">(N, D).</param>
    /// <param name="labels">(N) int64.</param>
    /// <param name="temperature">Default 0.07.</param>
    public static Tensor SupervisedContrastive(Tensor features, Tensor labels, double temperature = 0.07)
    {
        using var scope = NewDisposeScope();
        var unit = Unit(features);
        var self = eye(features.size(0), dtype: ScalarType.Bool);
        var scores = (unit.matmul(unit.transpose(0, 1)) / temperature).masked_fill(self, double.NegativeInfinity);
        var logP = scores.log_softmax(-1).masked_fill(self, 0);
        var positive = labels.unsqueeze(0).eq(labels.unsqueeze(1)).logical_and(self.logical_not()).to(features.dtype);
        var count = positive.sum(-1);
        var each = -(logP * positive).sum(-1) / count.clamp_min(1);
        return (each.sum() / count.gt(0).to(features.dtype).sum().clamp_min(1)).MoveToOuterDisposeScope();
    }

    /// <summary>Triplets: the positive nearer than the negative by a margin, in the p-norm of the difference + ε.</summary>
    public static Tensor Triplet(Tensor anchors, Tensor positives, Tensor negatives, double margin = 1, double p = 2, bool swap = false, Reduction reduction = Reduction.Mean)
    {
        using var scope = NewDisposeScope();
        Tensor Distance(Tensor a, Tensor b) => (a - b + 1e-6).norm(-1, keepdim: false, p: (float)p);
        var far = Distance(anchors, negatives);
        if (swap) far = minimum(far, Distance(positives, negatives));
        return ClassificationLoss.Reduce((Distance(anchors, positives) - far + margin).clamp_min(0), reduction).MoveToOuterDisposeScope();
    }

    /// <summary>Pairs that are alike (1) or not (−1): 1 − cos, or the part of cos above a margin.</summary>
    public static Tensor CosineEmbedding(Tensor a, Tensor b, Tensor targets, double margin = 0, Reduction reduction = Reduction.Mean) =>
        F.cosine_embedding_loss(a, b, targets, margin, ClassificationLoss.Of(reduction));

    /// <summary>Mean squared difference of cosines and scores, as sentence encoders are trained on similarity (Reimers &amp; Gurevych 2019, https://arxiv.org/abs/1908.10084).</summary>
    public static Tensor CosineSimilarity(Tensor a, Tensor b, Tensor scores)
    {
        using var scope = NewDisposeScope();
        var cosines = (a * b).sum(-1) / (a.norm(-1).clamp_min(1e-8) * b.norm(-1).clamp_min(1e-8));
        return (cosines - scores).square().mean().MoveToOuterDisposeScope();
    }

    private static Tensor Unit(Tensor x) => x / x.norm(-1, keepdim: true).clamp_min(1e-12);
}
