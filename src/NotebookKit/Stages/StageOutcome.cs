using System.Globalization;
using NotebookKit.Adapters;
using NotebookKit.Display;
using NotebookKit.Plotting;
using NotebookKit.Tracking;

namespace NotebookKit.Stages;

/// <summary>What is measured between stages.</summary>
/// <param name="Accuracy">On the validation part.</param>
/// <param name="MacroF1">On the validation part.</param>
/// <param name="OldAccuracy">On the old task's, or <c>null</c>.</param>
/// <param name="OldMacroF1">On the old task's, or <c>null</c>.</param>
public sealed record StageMeasure(double Accuracy, double MacroF1, double? OldAccuracy, double? OldMacroF1);

/// <summary>What came of a stage.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Name">The stage's name.</param>
/// <param name="Examples">New examples learned from.</param>
/// <param name="Replayed">Old examples among them.</param>
/// <param name="Trainable">Numbers that were trained.</param>
/// <param name="Epochs">A record per epoch; of a stage of masked tokens, their loss.</param>
/// <param name="Before">Figures of the model that the stage began with.</param>
/// <param name="After">Figures of what the stage made of it, taken over or not.</param>
/// <param name="Decision">What the gate decided, or <c>null</c> without one.</param>
public sealed record StageOutcome(int Number, string Name, int Examples, int Replayed, long Trainable, IReadOnlyList<EpochRecord> Epochs, StageMeasure Before, StageMeasure After, GateDecision? Decision)
{
    /// <summary>Whether the result was taken over.</summary>
    public bool Promoted => Decision?.Promoted ?? true;
}

/// <summary>What came of a plan.</summary>
/// <param name="Plan">The plan.</param>
/// <param name="Stages">What came of each stage, in order.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record StagedHistory(StagePlan Plan, IReadOnlyList<StageOutcome> Stages) : IShown
{
    /// <summary>The adapter that the last promoted stage left beside the model, or <c>null</c>.</summary>
    public Adapter? Adapter { get; init; }

    /// <summary>Validation accuracy over the epochs of all stages, one after the other; a stage that was rolled back stands there as a line that nothing follows.</summary>
    public Figure AsFigure()
    {
        var (lines, at) = (new List<Series>(), 0);
        foreach (var stage in Stages)
        {
            var start = stage.Before.Accuracy;
            var points = stage.Epochs.Where(e => e.ValidationAccuracy is not null).Select(e => new PlotPoint(at + e.Epoch, e.ValidationAccuracy!.Value)).Prepend(new PlotPoint(at, start)).ToArray();
            lines.Add(new Series(stage.Name + (stage.Promoted ? "" : " (rolled back)"), points));
            at += stage.Epochs.Count;
        }
        return Figures.Lines($"{Plan.Name}: validation accuracy, stage by stage", "epoch", "validation accuracy", [.. lines], percent: true);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["stage", "examples", "trained", "accuracy", "macro-F1", .. HasOld ? new[] { "old task" } : [], "decision"], [.. Stages.Select(s => (IReadOnlyList<string>)
        [s.Name, s.Replayed == 0 ? Count(s.Examples) : $"{Count(s.Examples)} + {Count(s.Replayed)} old", Count(s.Trainable), Change(s.Before.Accuracy, s.After.Accuracy), Change(s.Before.MacroF1, s.After.MacroF1),
         .. HasOld ? new[] { Change(s.Before.OldAccuracy!.Value, s.After.OldAccuracy!.Value) } : [], s.Decision is null ? "taken" : $"{(s.Promoted ? "promoted" : "rolled back")}: {s.Decision.Reason}"])], Plan.Name);

    private bool HasOld => Stages.All(s => s.Before.OldAccuracy is not null);

    private static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Change(double before, double after) => string.Create(CultureInfo.InvariantCulture, $"{100 * before:F1} → {100 * after:F1} %");
}
