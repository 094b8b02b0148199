using System.Text.Json;
using NotebookKit.Losses;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>One loss in fp64: its value and the gradients of its sum.</summary>
internal static class LossCase
{
    private const double Allowed = 1e-10;

    public static IEnumerable<Deviation>? Run(JsonElement one)
    {
        var (p, inputs) = (one.GetProperty("params"), one.GetProperty("inputs"));
        Tensor? Read(string name, ScalarType type = ScalarType.Float64) => inputs.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? TrainingCases.Read(value, type) : null;
        var learnt = new Dictionary<string, Tensor>();
        Tensor Learnt(string name, string gradient) => learnt[gradient] = Read(name)!.requires_grad_();
        Tensor Ids(string name = "targets") => Read(name, ScalarType.Int64)!;
        var reduction = p.TryGetProperty("reduction", out var r) ? r.GetString() switch { "sum" => Reduction.Sum, "none" => Reduction.None, _ => Reduction.Mean } : Reduction.Mean;
        Tensor? loss = p.GetProperty("loss").GetString() switch
        {
            "cross_entropy" => ClassificationLoss.CrossEntropy(Learnt("logits", "grad"), Ids(), Read("class_weight"), p.Number("label_smoothing", 0), (long)p.Number("ignore_index", -100), reduction),
            "focal" => ClassificationLoss.Focal(Learnt("logits", "grad"), Ids(), p.Number("gamma"), Read("alpha"), reduction),
            "distillation_kl" => ClassificationLoss.Distillation(Learnt("student_logits", "grad"), Read("teacher_logits")!, p.Number("temperature")),
            "rdrop" => ClassificationLoss.RDrop(Learnt("logits_1", "grad_1"), Learnt("logits_2", "grad_2"), Ids(), p.Number("alpha")),
            "bce_with_logits" => ClassificationLoss.MultiLabel(Learnt("logits", "grad"), Read("targets")!, Read("pos_weight"), Read("weight"), reduction),
            "mse" => RegressionLoss.Squared(Learnt("prediction", "grad"), Read("target")!, reduction),
            "l1" => RegressionLoss.Absolute(Learnt("prediction", "grad"), Read("target")!, reduction),
            "smooth_l1" => RegressionLoss.SmoothAbsolute(Learnt("prediction", "grad"), Read("target")!, p.Number("beta"), reduction),
            "huber" => RegressionLoss.Huber(Learnt("prediction", "grad"), Read("target")!, p.Number("delta"), reduction),
            "cosine_embedding" => EmbeddingLoss.CosineEmbedding(Learnt("a", "grad_a"), Learnt("b", "grad_b"), Read("target")!, p.Number("margin"), reduction),
            "cosine_similarity_mse" => EmbeddingLoss.CosineSimilarity(Learnt("a", "grad_a"), Learnt("b", "grad_b"), Read("score")!),
            "multiple_negatives_ranking" => EmbeddingLoss.MultipleNegativesRanking(Learnt("anchors", "grad_a"), Learnt("positives", "grad_b"), inputs.TryGetProperty("negatives", out _) ? Learnt("negatives", "grad_hard") : null, p.Number("scale")),
            "infonce_symmetric" => EmbeddingLoss.SymmetricInfoNce(Learnt("anchors", "grad_a"), Learnt("positives", "grad_b"), p.Number("temperature")),
            "triplet" => EmbeddingLoss.Triplet(Learnt("anchor", "grad_anchor"), Learnt("positive", "grad_positive"), Learnt("negative", "grad_negative"), p.Number("margin"), p.Number("p"), p.Flag("swap"), reduction),
            "supervised_contrastive" => EmbeddingLoss.SupervisedContrastive(Learnt("features", "grad"), Ids("labels"), p.Number("temperature")),
            _ => null,
        };
        return loss is null ? null : Deviations(loss, learnt, one.GetProperty("expected"));
    }

    private static IEnumerable<Deviation> Deviations(Tensor loss, Dictionary<string, Tensor> learnt, JsonElement expected)
    {
        yield return TrainingCases.Close(expected.GetProperty("loss"), Numbers(loss), Allowed);
        loss.sum().backward();
        foreach (var (name, value) in learnt)
            if (expected.TryGetProperty(name, out var gradient)) yield return TrainingCases.Close(gradient, Numbers(value.grad!), Allowed);
    }

    private static double[] Numbers(Tensor value) => value.detach().flatten().contiguous().data<double>().ToArray();
}
