using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Training;
using NotebookKit.Training.Runs;
using static TorchSharp.torch;

namespace NotebookKit.ContinualLearning;

/// <summary>L2-SP (Li et al. 2018, https://arxiv.org/abs/1802.01483): α/2 ‖w − w₀‖², where w₀ is the network, its head aside, as it was when the run began.</summary>
/// <param name="strength">α, above 0. Default 0.01.</param>
public sealed class L2Sp(double strength = 0.01) : Retention
{
    private readonly double _strength = strength > 0 ? strength : throw new ArgumentOutOfRangeException(nameof(strength), strength, "The strength is above 0.");
    private WeightSnapshot? _start;

    internal override void Begin(TextClassifier classifier, TextDataset train)
    {
        _start?.Dispose();
        _start = new WeightSnapshot(classifier.Model.named_parameters().Where(p => p.parameter.requires_grad && p.name.StartsWith(classifier.Model.BasePrefix, StringComparison.Ordinal)).Select(p => (p.name, (Tensor)p.parameter)));
    }

    internal override void AddGradients(LanguageModel model)
    {
        using var noGradient = no_grad();
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (!parameter.requires_grad || parameter.grad is not { } gradient || !_start!.Has(name)) continue;
            using var scope = NewDisposeScope();
            gradient.add_((parameter - _start[name]).to(gradient.dtype), alpha: _strength);
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => _start?.Dispose();

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"L2-SP {_strength:g}");
}
