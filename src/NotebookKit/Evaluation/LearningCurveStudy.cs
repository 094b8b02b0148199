using System.Diagnostics;
using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Plotting;
using NotebookKit.Statistics;
using NotebookKit.Tracking;

namespace NotebookKit.Evaluation;

/// <summary>A method under study: learns from a training set with a seed and returns its accuracy on a test set, in [0, 1].</summary>
public delegate double LearningMethod(TextDataset train, TextDataset test, int seed);

/// <summary>One run of a study.</summary>
/// <param name="Method">Name of the method.</param>
/// <param name="PerClass">Training examples per class.</param>
/// <param name="Seed">Seed of the draw and of the method.</param>
/// <param name="Accuracy">Share right on the test set.</param>
/// <param name="Time">Time to learn and to answer the test set.</param>
public sealed record StudyRun(string Method, int PerClass, int Seed, double Accuracy, TimeSpan Time);

/// <summary>
/// How accuracy grows with examples: every method learns from the same draws of n examples per class, over several seeds, and is measured on the same
/// test set.
/// </summary>
/// <param name="Data">The task; draws come from its training part.</param>
/// <param name="Methods">Methods by name, in the order shown.</param>
/// <param name="PerClass">Examples per class, ascending; a class that has fewer gives all it has.</param>
/// <param name="Seeds">Number of seeds, at least 2 (5 or more to be believed).</param>
public sealed record LearningCurveStudy(DatasetSplits Data, IReadOnlyList<(string Name, LearningMethod Learn)> Methods, IReadOnlyList<int> PerClass, int Seeds)
{
    /// <summary>Runs everything, seeds within sizes within methods.</summary>
    public StudyResult Run(IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        var runs = new List<StudyRun>();
        var total = Methods.Count * PerClass.Count * Seeds;
        foreach (var (name, learn) in Methods)
            foreach (var n in PerClass)
                for (var seed = 0; seed < Seeds; seed++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var started = clock.Elapsed;
                    var accuracy = learn(Data.Train.SamplePerClass(n, seed, orAll: true), Data.Test, seed);
                    runs.Add(new StudyRun(name, n, seed, accuracy, clock.Elapsed - started));
                    progress?.Report(new TrainingProgress($"{name}, {n} per class", runs.Count, total, seed + 1, 1 - accuracy, null, clock.Elapsed, runs.Count == total ? "done" : null));
                }
        return new StudyResult(Data.Name, [.. Methods.Select(m => m.Name)], PerClass, runs);
    }
}

/// <summary>What a study found.</summary>
/// <param name="Task">Name of the task.</param>
/// <param name="Methods">Names in the order shown.</param>
/// <param name="PerClass">Examples per class, ascending.</param>
/// <param name="Runs">Every run.</param>
public sealed record StudyResult(string Task, IReadOnlyList<string> Methods, IReadOnlyList<int> PerClass, IReadOnlyList<StudyRun> Runs)
{
    /// <summary>Accuracies of a method at a size, by seed.</summary>
    public double[] Accuracies(string method, int perClass) => [.. Runs.Where(r => r.Method == method && r.PerClass == perClass).OrderBy(r => r.Seed).Select(r => r.Accuracy)];

    /// <summary>Mean accuracy over seeds with Student's t interval.</summary>
    public Interval Interval(string method, int perClass) => Intervals.OfMean(Accuracies(method, perClass));

    /// <summary>First against second method on the same draws.</summary>
    public PairedComparison Compare(string first, string second, int perClass) => new(first, Accuracies(first, perClass), second, Accuracies(second, perClass));

    /// <summary>Accuracy and interval by method and size; time per run of the largest size, in steps of 1, 2, 5, so that it is the same on the next run.</summary>
    public Table AsTable() => new(["method", .. PerClass.Select(n => $"{n} per class"), $"time per run at {PerClass[^1]}"],
        [.. Methods.Select(m => (IReadOnlyList<string>)[m, .. PerClass.Select(n => Interval(m, n).AsPercent()), AboutSeconds(Runs.Where(r => r.Method == m && r.PerClass == PerClass[^1]).Average(r => r.Time.TotalSeconds))])],
        $"{Task}: test accuracy, mean over {Runs.Max(r => r.Seed) + 1} seeds with 95 % interval");

    /// <summary>Accuracy against examples per class, a line per method.</summary>
    public Figure AsFigure() => Figures.Lines($"{Task}: accuracy against examples per class", "training examples per class", "test accuracy",
        [.. Methods.Select(m => new Series(m, [.. PerClass.Select(n => { var i = Interval(m, n); return new PlotPoint(n, i.Estimate, i.Lower, i.Upper); })]))], logarithmicX: true, percent: true);

    private static string AboutSeconds(double seconds)
    {
        foreach (var step in new[] { 1, 2, 5, 10, 20, 50, 100, 200, 500 })
            if (seconds <= step) return $"under {step.ToString(CultureInfo.InvariantCulture)} s";
        return "minutes";
    }
}
