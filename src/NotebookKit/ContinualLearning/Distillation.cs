using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.ContinualLearning;

/// <summary>
/// Learning without forgetting (Li &amp; Hoiem 2016, https://arxiv.org/abs/1606.09282): on the new examples the model goes on giving the answers over old classes that it gave before the run,
/// T² · KL(before ‖ now) of softened probabilities (Hinton et al. 2015). No old example is needed.
/// </summary>
public sealed class Distillation : Retention
{
    private readonly double _weight, _temperature;
    private readonly int? _classes;
    private Tensor? _before;

    /// <summary>A term for one run.</summary>
    /// <param name="weight">Of the term beside the cross-entropy, above 0. Default 1.</param>
    /// <param name="temperature">T, above 0. Default 2, as the paper.</param>
    /// <param name="oldClasses">How many classes, the first ones, the model knew; <c>null</c> is all. Default <c>null</c>.</param>
    public Distillation(double weight = 1, double temperature = 2, int? oldClasses = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(weight);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(temperature);
        if (oldClasses is < 2) throw new ArgumentOutOfRangeException(nameof(oldClasses), oldClasses, "Old classes are at least 2, or null.");
        (_weight, _temperature, _classes) = (weight, temperature, oldClasses);
    }

    internal override bool ReadsLogits => true;

    internal override void Begin(TextClassifier classifier, TextDataset train)
    {
        if (_classes > classifier.Labels.Count) throw new ArgumentException($"Distillation: oldClasses is {_classes}; the classifier has {classifier.Labels.Count} classes.");
        var (width, answers) = (_classes ?? classifier.Labels.Count, new float[train.Count * (_classes ?? classifier.Labels.Count)]);
        classifier.EachLogits(train.Texts, (i, logits) => logits.AsSpan(0, width).CopyTo(answers.AsSpan(i * width)));
        _before?.Dispose();
        using var scope = NewDisposeScope();
        _before = (tensor(answers, [train.Count, width]) / _temperature).log_softmax(1).DetachFromDisposeScope();     // (N, C)
    }

    internal override Tensor OfLogits(Tensor logits, IReadOnlyList<int> rows)
    {
        using var scope = NewDisposeScope();
        var before = _before!.index_select(0, tensor([.. rows.Select(r => (long)r)]));
        var now = (logits.narrow(1, 0, before.size(1)) / _temperature).log_softmax(1);
        return (nn.functional.kl_div(now, before, log_target: true, reduction: nn.Reduction.Sum) * (_weight * _temperature * _temperature)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override void Dispose() => _before?.Dispose();

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"distillation {_weight:g} at temperature {_temperature:g}");
}
