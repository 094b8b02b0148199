using NotebookKit.Pipelines;
using NotebookKit.Training.Runs;
using static TorchSharp.torch;

namespace NotebookKit.ContinualLearning;

/// <summary>A copy of a classifier's weights: to go back to, or to be averaged with what became of them.</summary>
public sealed class ModelWeights : IDisposable
{
    private readonly WeightSnapshot _copy;

    private ModelWeights(TextClassifier classifier) => _copy = new WeightSnapshot(classifier.Model);

    /// <summary>Copies the weights as they are, those of an adapter that takes part included.</summary>
    public static ModelWeights Of(TextClassifier classifier) => new(classifier);

    /// <summary>Puts the copied weights back.</summary>
    public void PutInto(TextClassifier classifier) => _copy.Restore(classifier.Model);

    /// <summary>WiSE-FT (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903): every weight becomes (1 − share) times what it was plus share times what it is.</summary>
    /// <param name="classifier">Finetuned from the copied weights.</param>
    /// <param name="share">Share of the weights as they are now, in [0, 1]; 1 changes nothing, 0 goes back.</param>
    public void MixInto(TextClassifier classifier, double share)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        using var noGradient = no_grad();
        foreach (var (name, parameter) in classifier.Model.named_parameters())
            parameter.lerp_(_copy[name], 1 - share);
    }

    /// <inheritdoc/>
    public void Dispose() => _copy.Dispose();
}
