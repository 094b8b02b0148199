using System.Globalization;
using NotebookKit.Metrics;
using NotebookKit.Statistics;

namespace NotebookKit.Stages;

/// <summary>
/// Whether a stage's result is taken over: the new task has improved by more than noise, and the old one is not worse than a budget allows (non-inferiority: Wellek 2010). Both are judged by a paired bootstrap
/// over examples (Efron &amp; Tibshirani 1993), so that an example that is answered the same before and after counts for nothing.
/// </summary>
public sealed record Gate
{
    private const int Resamples = 1000;

    /// <summary>What is measured on the validation parts: <c>accuracy</c> or <c>macro-F1</c>. Default accuracy.</summary>
    public string Metric { get; init; } = "accuracy";

    /// <summary>The whole interval of the gain must lie above this, in units of the metric; below 0 a stage may be no better. Default 0.</summary>
    public double MinimumGain { get; init; }

    /// <summary>The whole interval of what the old task loses must lie below this, at least 0; <c>null</c> does not ask. Default <c>null</c>.</summary>
    public double? ForgettingBudget { get; init; }

    /// <summary>Confidence level of both intervals, in (0, 1). Default 0.95.</summary>
    public double Level { get; init; } = 0.95;

    /// <summary>Seed of the resamples. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Metrics that are measured.</summary>
    public static IReadOnlyList<string> Metrics { get; } = ["accuracy", "macro-F1"];

    internal void Check(StageData data, string stage)
    {
        if (!Metrics.Contains(Metric)) throw new ArgumentException($"Stage '{stage}': Gate.Metric is '{Metric}', which is not measured. There are {string.Join(" and ", Metrics)}.");
        if (ForgettingBudget is < 0 or double.NaN) throw new ArgumentException($"Stage '{stage}': Gate.ForgettingBudget is {ForgettingBudget}; it is at least 0, or null.");
        if (ForgettingBudget is not null && data.OldValidation is null) throw new ArgumentException($"Stage '{stage}': Gate.ForgettingBudget asks for the old task, and StageData.OldValidation is null. Give the old task's validation part.");
        if (Level is not (> 0 and < 1)) throw new ArgumentException($"Stage '{stage}': Gate.Level is {Level}; it is in (0, 1).");
    }

    /// <summary>The decision.</summary>
    /// <param name="labels">Class ids of the new task's validation part.</param>
    /// <param name="before">Answers before the stage.</param>
    /// <param name="after">Answers after it.</param>
    /// <param name="old">The same of the old task, or <c>null</c>.</param>
    /// <param name="classes">Number of classes.</param>
    public GateDecision Decide(int[] labels, int[] before, int[] after, (int[] Labels, int[] Before, int[] After)? old, int classes)
    {
        var gain = Difference(labels, before, after, classes);
        var lost = ForgettingBudget is null || old is not { } o ? null : Difference(o.Labels, o.After, o.Before, classes);
        var (better, kept) = (gain.Lower > MinimumGain, lost is null || lost.Upper < ForgettingBudget!.Value);
        string Points(Interval i) => $"{(100 * i.Estimate).ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture)} points [{Number(i.Lower)}, {Number(i.Upper)}]";
        string Number(double v) => (100 * v).ToString("0.0", CultureInfo.InvariantCulture);
        var reason = !better ? $"the {Metric} changed by {Points(gain)}, which is not surely more than {Number(MinimumGain)}"
            : !kept ? $"the old task lost {lost!.AsPoints()} of {Metric}, which is not surely less than the budget of {Number(ForgettingBudget!.Value)}"
            : $"the {Metric} changed by {Points(gain)}" + (lost is null ? "" : $"; the old task lost {lost.AsPoints()}, within the budget of {Number(ForgettingBudget!.Value)}");
        return new GateDecision(better && kept, gain, lost, reason);
    }

    /// <summary>A metric of answers.</summary>
    internal static double Measure(string metric, IReadOnlyList<int> labels, IReadOnlyList<int> answers, int classes) => metric == "accuracy"
        ? Enumerable.Range(0, labels.Count).Count(i => labels[i] == answers[i]) / (double)labels.Count
        : new ClassificationReport(ConfusionMatrix.Of(labels, answers, classes)).Macro.F;

    private Interval Difference(int[] labels, int[] from, int[] to, int classes)
    {
        double Of(IReadOnlyList<int> rows)
        {
            int[] Pick(int[] values) => [.. rows.Select(r => values[r])];
            var truth = Pick(labels);
            return Measure(Metric, truth, Pick(to), classes) - Measure(Metric, truth, Pick(from), classes);
        }
        return Intervals.Bootstrap(labels.Length, Of, Seed, Resamples, Level);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Metric} up by more than {100 * MinimumGain:0.#} points")
        + (ForgettingBudget is { } budget ? string.Create(CultureInfo.InvariantCulture, $", old task down by less than {100 * budget:0.#}") : "");
}

/// <summary>What a gate decided.</summary>
/// <param name="Promoted">Whether the stage's result was taken over; else the model was put back.</param>
/// <param name="Gain">Change of the metric on the new task.</param>
/// <param name="OldLoss">What the old task lost, or <c>null</c> where the gate did not ask.</param>
/// <param name="Reason">Why, in a sentence.</param>
public sealed record GateDecision(bool Promoted, Interval Gain, Interval? OldLoss, string Reason);
