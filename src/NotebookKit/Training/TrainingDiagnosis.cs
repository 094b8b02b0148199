using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Metrics;

namespace NotebookKit.Training;

/// <summary>What a run's figures point to.</summary>
public enum TrainingSymptom
{
    /// <summary>The training loss did not fall, or fell and rose: the rate is too high.</summary>
    RateTooHigh,
    /// <summary>The training loss crept: the rate is too low.</summary>
    RateTooLow,
    /// <summary>The training loss fell while the validation loss rose: the run learns its examples by heart.</summary>
    Overfitting,
    /// <summary>Both losses still fell at the end: the run was too short.</summary>
    StillLearning,
    /// <summary>The training loss stood still well above zero.</summary>
    Plateau,
    /// <summary>A class of the validation part is never answered rightly.</summary>
    ClassNeverLearned,
}

/// <summary>One thing that was found.</summary>
/// <param name="Symptom">What.</param>
/// <param name="Evidence">The figures that show it.</param>
/// <param name="Remedies">What helps, best first.</param>
public sealed record TrainingFinding(TrainingSymptom Symptom, string Evidence, IReadOnlyList<string> Remedies);

/// <summary>
/// Reads a run's figures as an experienced person would. Rules of thumb, each with the figures it stands on; where none fits, nothing is found.
/// </summary>
/// <param name="Findings">What was found, gravest first.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record TrainingDiagnosis(IReadOnlyList<TrainingFinding> Findings) : IShown
{
    /// <summary>Looks at a run.</summary>
    /// <param name="history">What the run did.</param>
    /// <param name="validation">Answers on the validation part, to look at single classes; or <c>null</c>.</param>
    /// <param name="labels">Names of the classes; or <c>null</c>.</param>
    public static TrainingDiagnosis Of(TrainingHistory history, ConfusionMatrix? validation = null, LabelSet? labels = null)
    {
        var found = new List<TrainingFinding>();
        var train = history.Epochs.Select(e => e.TrainLoss).ToArray();
        var measured = history.Epochs.Where(e => e.ValidationLoss is not null).Select(e => (e.Epoch, Loss: e.ValidationLoss!.Value)).ToArray();
        if (train.Length >= 2)
        {
            var (first, last, lowest) = (train[0], train[^1], train.Min());
            var change = 1 - last / first;                                     // share of the first epoch's loss that is gone
            var rises = train.Zip(train.Skip(1)).Count(p => p.Second > 1.02 * p.First);
            var tooHigh = last > 0.98 * first && rises >= 1 || last > 1.5 * lowest && lowest < first;
            var lastStep = 1 - train[^1] / train[^2];
            if (tooHigh)
                found.Add(new(TrainingSymptom.RateTooHigh, Text($"training loss {first:F3} in the first epoch, {last:F3} in the last, {lowest:F3} at its lowest; it rose {rises} times"),
                    ["divide LearningRate by 3 to 10, or take LearningRateFinder's suggestion", "raise WarmupShare", "lower Optimizer.ClipNorm"]));
            else if (change < 0.1 && rises == 0 && history.Settings.Trained == Trained.All)
                found.Add(new(TrainingSymptom.RateTooLow, Text($"training loss fell by {100 * change:F1} % in {train.Length} epochs, from {first:F3} to {last:F3}"), ["multiply LearningRate by 3 to 10, or take LearningRateFinder's suggestion", "train for more epochs"]));
            else if (Overfits(train, measured) is { } overfitting) found.Add(overfitting);
            else if (lastStep > 0.05 && (measured.Length == 0 || measured[^1].Loss <= measured.Min(m => m.Loss)))
                found.Add(new(TrainingSymptom.StillLearning, Text($"training loss fell by {100 * lastStep:F0} % in the last epoch, to {last:F3}{(measured.Length > 0 ? Text($"; validation loss was lowest there, {measured[^1].Loss:F3}") : "")}"),
                    ["raise Epochs, with Patience to end in time", "raise LearningRate"]));
            else if (train.Length >= 6 && 1 - last / train[train.Length * 2 / 3] < 0.01 && last > 0.3 * first)
                found.Add(new(TrainingSymptom.Plateau, Text($"training loss has stood at {last:F3} for the last third of {train.Length} epochs"),
                    ["look at labels: examples that contradict each other cannot be learned", "train more layers (FrozenLayers, Trained)", "another Schedule or rate", "a larger pretrained model"]));
        }
        if (validation is not null) found.AddRange(NeverLearned(validation, labels));
        return new TrainingDiagnosis(found);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => Findings.Count == 0 ? new Table(["diagnosis"], [["nothing stands out"]])
        : new(["finding", "seen in", "what helps, best first"], [.. Findings.Select(f => (IReadOnlyList<string>)[Words(f.Symptom), f.Evidence, string.Join("; ", f.Remedies)])]);

    private static TrainingFinding? Overfits(double[] train, (int Epoch, double Loss)[] measured)
    {
        if (measured.Length < 2) return null;
        var best = measured.MinBy(m => m.Loss);
        var last = measured[^1];
        if (last.Epoch == best.Epoch || last.Loss < 1.05 * best.Loss || train[^1] > train[best.Epoch - 1]) return null;
        return new(TrainingSymptom.Overfitting, Text($"validation loss was lowest in epoch {best.Epoch} ({best.Loss:F3}) and rose to {last.Loss:F3}, while training loss fell from {train[best.Epoch - 1]:F3} to {train[^1]:F3}"),
            ["more examples, or augmentation", "Patience, to stop there", "Objective: LabelSmoothing, RDropAlpha, MixupAlpha, TokenCutoff; Dropout", "train fewer layers (FrozenLayers, LayerDecay)", "Optimizer.WeightDecay"]);
    }

    private static IEnumerable<TrainingFinding> NeverLearned(ConfusionMatrix matrix, LabelSet? labels)
    {
        string Name(int c) => labels is null ? $"class {c}" : $"'{labels[c]}'";
        for (var c = 0; c < matrix.Classes; c++)
        {
            var count = matrix.TruthCount(c);
            if (count < 3 || matrix[c, c] > 0) continue;
            var instead = Enumerable.Range(0, matrix.Classes).MaxBy(p => matrix[c, p]);
            yield return new(TrainingSymptom.ClassNeverLearned, Text($"none of {count:F0} examples of {Name(c)} is answered rightly; most often {Name(instead)} ({matrix[c, instead]:F0})"),
                [$"look at the labels of {Name(c)} and {Name(instead)}", "more examples of it", "Objective.Weighting", $"one class for {Name(c)} and {Name(instead)}"]);
        }
    }

    private static string Words(TrainingSymptom symptom) => symptom switch
    {
        TrainingSymptom.RateTooHigh => "rate too high", TrainingSymptom.RateTooLow => "rate too low", TrainingSymptom.StillLearning => "still learning", TrainingSymptom.ClassNeverLearned => "class never learned",
        _ => symptom.ToString().ToLowerInvariant(),
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
