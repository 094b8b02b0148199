using System.Diagnostics;
using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Pipelines;
using NotebookKit.Plotting;
using NotebookKit.Statistics;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.ContinualLearning;

/// <summary>Ways to learn a sequence of tasks, compared over seeds; every seed draws other tasks, the same for all methods.</summary>
/// <param name="Tasks">The tasks of a seed.</param>
/// <param name="Make">Makes a classifier for the first task's classes from a seed.</param>
/// <param name="Methods">The first is what others are compared with.</param>
/// <param name="Seeds">At least 2.</param>
public sealed record ContinualStudy(Func<int, IReadOnlyList<ContinualTask>> Tasks, Func<LabelSet, int, TextClassifier> Make, IReadOnlyList<ContinualMethod> Methods, int Seeds)
{
    /// <summary>Runs all methods on all seeds.</summary>
    public ContinualResult Run(IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Seeds, 2);
        foreach (var method in Methods) method.Validate();
        var (clock, runs) = (Stopwatch.StartNew(), new List<ContinualRun>());
        for (var seed = 0; seed < Seeds; seed++)
        {
            var tasks = Tasks(seed);
            TextClassifier OfSeed(LabelSet labels) => Make(labels, seed);
            var begun = new Dictionary<FinetuneSettings, TaskSequence.FirstTask>();       // learned once for all methods that learn it alike
            try
            {
                foreach (var method in Methods)
                {
                    cancellation.ThrowIfCancellationRequested();
                    if (!begun.TryGetValue(method.First, out var first)) begun[method.First] = first = TaskSequence.Begin(OfSeed, tasks, method.First, seed, cancellation: cancellation);
                    var matrix = TaskSequence.GoOn(OfSeed, tasks, method, first, seed, cancellation: cancellation);
                    runs.Add(new ContinualRun(method.Name, seed, matrix));
                    var total = Methods.Count * Seeds;
                    progress?.Report(new TrainingProgress(method.Name, runs.Count, total, seed + 1, 1 - matrix.AverageAccuracy, null, clock.Elapsed, runs.Count == total ? "done" : null));
                }
            }
            finally
            {
                foreach (var first in begun.Values) first.Dispose();
            }
        }
        return new ContinualResult([.. Methods.Select(m => m.Name)], runs);
    }
}

/// <summary>One run of a study.</summary>
/// <param name="Method">Name of the method.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Matrix">What it reached.</param>
public sealed record ContinualRun(string Method, int Seed, TaskMatrix Matrix);

/// <summary>What a study found; means over seeds with 95 % intervals.</summary>
/// <param name="Methods">In the order shown.</param>
/// <param name="Runs">Every run.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record ContinualResult(IReadOnlyList<string> Methods, IReadOnlyList<ContinualRun> Runs) : IShown
{
    /// <summary>A figure of a method's runs, by seed.</summary>
    public double[] Values(string method, Func<TaskMatrix, double> figure) => [.. Runs.Where(r => r.Method == method).OrderBy(r => r.Seed).Select(r => figure(r.Matrix))];

    /// <summary>A method against another on the same tasks, seed by seed.</summary>
    /// <param name="first">Name of a method.</param>
    /// <param name="second">Name of the method it is compared with.</param>
    /// <param name="figure">What is compared; <c>null</c> is average accuracy at the end.</param>
    public PairedComparison Compare(string first, string second, Func<TaskMatrix, double>? figure = null) =>
        new(first, Values(first, figure ?? (m => m.AverageAccuracy)), second, Values(second, figure ?? (m => m.AverageAccuracy)));

    /// <summary>Mean accuracy over all tasks at the end.</summary>
    public Figure AsFigure(string title) => Figures.Bars(title, "mean accuracy over all tasks at the end, with 95 % interval",
        [.. Methods.Select(m => { var i = Intervals.OfMean(Values(m, x => x.AverageAccuracy)); return new Bar(m, i.Estimate, i.Lower, i.Upper); })], percent: true);

    /// <summary>How the first task fares while others are learned.</summary>
    public Figure AsForgettingCurves(string title)
    {
        var tasks = Runs[0].Matrix.Tasks.Count;
        return Figures.Lines(title, "tasks learned", "accuracy on the first task", [.. Methods.Select(m => new Series(m, [.. Enumerable.Range(0, tasks).Select(after => new PlotPoint(after + 1, Values(m, x => x[after, 0]).Average()))]))], percent: true);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["method", "average accuracy", "on earlier tasks", "the same among their own classes", "on the last", "backward transfer"], [.. Methods.Select(m => (IReadOnlyList<string>)
        [m, Share(m, x => x.AverageAccuracy), Share(m, x => x.EarlierAccuracy),
            Runs.All(r => r.Matrix.WithinTasks is not null) ? Share(m, x => x.WithinTasks!.EarlierAccuracy) : "", Share(m, x => x[x.Tasks.Count - 1, x.Tasks.Count - 1]), Intervals.OfMean(Values(m, x => x.BackwardTransfer)).AsPoints()])],
        $"{Runs[0].Matrix.Tasks.Count} tasks, mean over {Runs.Max(r => r.Seed) + 1} seeds with 95 % interval");

    private string Share(string method, Func<TaskMatrix, double> figure) => Intervals.OfMean(Values(method, figure)).AsPercent();
}
