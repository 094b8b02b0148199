using System.Globalization;
using NotebookKit.Display;
using NotebookKit.Plotting;

namespace NotebookKit.ContinualLearning;

/// <summary>
/// How right a model is on every task after each task it has learned, and what follows from that (Lopez-Paz &amp; Ranzato 2017, https://arxiv.org/abs/1706.08840; Chaudhry et al. 2018,
/// https://arxiv.org/abs/1801.10112).
/// </summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class TaskMatrix : IShown
{
    private readonly double[][] _rows;

    /// <summary>A matrix of accuracies.</summary>
    /// <param name="tasks">Names, in the order learned; at least two.</param>
    /// <param name="before">Accuracy on each task before the first was learned.</param>
    /// <param name="rows">A row after each task: accuracy on each task, in [0, 1].</param>
    public TaskMatrix(IReadOnlyList<string> tasks, IReadOnlyList<double> before, IReadOnlyList<IReadOnlyList<double>> rows)
    {
        if (tasks.Count < 2) throw new ArgumentException($"A sequence has at least two tasks; got {tasks.Count}.", nameof(tasks));
        if (before.Count != tasks.Count) throw new ArgumentException($"There are {tasks.Count} tasks; before has {before.Count} accuracies.", nameof(before));
        if (rows.Count != tasks.Count) throw new ArgumentException($"There are {tasks.Count} tasks; rows has {rows.Count}.", nameof(rows));
        for (var i = 0; i < rows.Count; i++)
            if (rows[i].Count != tasks.Count) throw new ArgumentException($"There are {tasks.Count} tasks; row {i + 1} has {rows[i].Count} accuracies.", nameof(rows));
        (Tasks, Before, _rows) = ([.. tasks], [.. before], [.. rows.Select(r => r.ToArray())]);
    }

    /// <summary>Names, in the order learned.</summary>
    public IReadOnlyList<string> Tasks { get; }

    /// <summary>Accuracies before the first task was learned.</summary>
    public IReadOnlyList<double> Before { get; }

    /// <summary>The same where every example is answered among the classes of its own task alone, or <c>null</c> where that was not measured. What is lost here too is forgotten; what is lost only in the matrix
    /// itself is still known and outvoted by newer classes (task- and class-incremental learning: van de Ven &amp; Tolias 2019, https://arxiv.org/abs/1904.07734).</summary>
    public TaskMatrix? WithinTasks { get; init; }

    /// <summary>Accuracy on a task after another was learned, by their places from 0.</summary>
    public double this[int after, int on] => _rows[after][on];

    /// <summary>Mean accuracy on all tasks but the last at the end.</summary>
    public double EarlierAccuracy => _rows[^1][..^1].Average();

    /// <summary>Mean accuracy over all tasks at the end.</summary>
    public double AverageAccuracy => _rows[^1].Average();

    /// <summary>How learning later tasks changed earlier ones, mean of R[T, j] − R[j, j] over all but the last; below 0 is forgetting.</summary>
    public double BackwardTransfer => Enumerable.Range(0, Tasks.Count - 1).Average(j => _rows[^1][j] - _rows[j][j]);

    /// <summary>How learning earlier tasks changed later ones before they were learned, mean of R[j−1, j] − before[j] over all but the first.</summary>
    public double ForwardTransfer => Enumerable.Range(1, Tasks.Count - 1).Average(j => _rows[j - 1][j] - Before[j]);

    /// <summary>What was lost of the best there was, mean of max R[i, j] − R[T, j] over all tasks but the last, i before the end.</summary>
    public double Forgetting => Enumerable.Range(0, Tasks.Count - 1).Average(j => Enumerable.Range(0, Tasks.Count - 1).Max(i => _rows[i][j]) - _rows[^1][j]);

    /// <summary>Accuracy on each task over the sequence: forgetting curves.</summary>
    public Figure AsFigure(string title = "Accuracy on each task over the sequence") =>
        Figures.Lines(title, "tasks learned", "test accuracy", [.. Tasks.Select((t, j) => new Series(t, [new PlotPoint(0, Before[j]), .. _rows.Select((r, i) => new PlotPoint(i + 1, r[j]))]))], percent: true);

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["after learning", .. Tasks.Select(t => $"on {t}")],
        [["nothing", .. Before.Select(Percent)], .. _rows.Select((r, i) => (IReadOnlyList<string>)[Tasks[i], .. r.Select(Percent)])],
        string.Create(CultureInfo.InvariantCulture, $"average accuracy {100 * AverageAccuracy:F1} %, backward transfer {100 * BackwardTransfer:F1} points, forward transfer {100 * ForwardTransfer:F1}, forgetting {100 * Forgetting:F1}"));

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:F1} %");
}
