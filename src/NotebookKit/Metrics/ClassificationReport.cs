using System.Globalization;
using NotebookKit.Display;

namespace NotebookKit.Metrics;

/// <summary>Precision, recall and F score of a class or an average. Precision: share of its predictions that are right. Recall: share of its
/// truths that are found. F: their weighted harmonic mean. Each in [0, 1], or NaN where undefined and asked for.</summary>
/// <param name="Precision">In [0, 1].</param>
/// <param name="Recall">In [0, 1].</param>
/// <param name="F">In [0, 1].</param>
/// <param name="Support">Truths of the class.</param>
public sealed record ClassScores(double Precision, double Recall, double F, double Support);

/// <summary>The usual figures of a classification, computed from a confusion matrix as scikit-learn's <c>precision_recall_fscore_support</c> does.</summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class ClassificationReport : IShown
{
    private readonly IReadOnlyList<string> _labels;

    /// <summary>Computes the figures.</summary>
    /// <param name="matrix">Counts.</param>
    /// <param name="labels">Names of the classes; <c>null</c> uses their numbers.</param>
    /// <param name="zeroDivision">What 0/0 counts as: 0 (default), 1, or NaN, which is left out of averages.</param>
    /// <param name="beta">Weight of recall in F, above 0. Default 1.</param>
    public ClassificationReport(ConfusionMatrix matrix, IReadOnlyList<string>? labels = null, double zeroDivision = 0, double beta = 1)
    {
        if (labels is not null && labels.Count != matrix.Classes) throw new ArgumentException($"{matrix.Classes} classes need as many labels; got {labels.Count}.", nameof(labels));
        _labels = labels ?? [.. Enumerable.Range(0, matrix.Classes).Select(c => c.ToString(CultureInfo.InvariantCulture))];
        Matrix = matrix;
        double Ratio(double a, double b) => b == 0 ? zeroDivision : a / b;
        ClassScores Scores(double right, double predicted, double truth)
        {
            // F from counts, as the reference: (1+β²)·right / (β²·truth + predicted).
            var b2 = beta * beta;
            return new(Ratio(right, predicted), Ratio(right, truth), Ratio((1 + b2) * right, b2 * truth + predicted), truth);
        }
        PerClass = [.. Enumerable.Range(0, matrix.Classes).Select(c => Scores(matrix[c, c], matrix.PredictedCount(c), matrix.TruthCount(c)))];
        var right = Enumerable.Range(0, matrix.Classes).Sum(c => matrix[c, c]);
        Accuracy = Ratio(right, matrix.Total);
        Micro = Scores(right, matrix.Total, matrix.Total);
        Macro = Average(_ => 1);
        Weighted = Average(s => s.Support);
        var present = PerClass.Where(s => s.Support > 0).ToArray();
        BalancedAccuracy = present.Length == 0 ? double.NaN : present.Average(s => s.Recall);

        ClassScores Average(Func<ClassScores, double> weight)
        {
            double Mean(Func<ClassScores, double> value)
            {
                var kept = PerClass.Where(s => !double.IsNaN(value(s))).ToArray();
                var total = kept.Sum(weight);
                return kept.Length == 0 ? double.NaN : total == 0 ? kept.Average(value) : kept.Sum(s => weight(s) * value(s)) / total;
            }
            return new ClassScores(Mean(s => s.Precision), Mean(s => s.Recall), Mean(s => s.F), matrix.Total);
        }
    }

    /// <summary>The counts.</summary>
    public ConfusionMatrix Matrix { get; }

    /// <summary>Share of answers that are right.</summary>
    public double Accuracy { get; }

    /// <summary>Mean recall of the classes that occur.</summary>
    public double BalancedAccuracy { get; }

    /// <summary>Figures of every class.</summary>
    public IReadOnlyList<ClassScores> PerClass { get; }

    /// <summary>Plain mean over classes.</summary>
    public ClassScores Macro { get; }

    /// <summary>From the sums over classes; equals accuracy where every text has one class.</summary>
    public ClassScores Micro { get; }

    /// <summary>Mean over classes weighted by support.</summary>
    public ClassScores Weighted { get; }

    /// <inheritdoc/>
    public string ToHtml() => AsTable().ToHtml();

    /// <inheritdoc/>
    public string ToText() => AsTable().ToText();

    /// <summary>The report as rows: classes, weakest F first, then the averages.</summary>
    public Table AsTable()
    {
        static string F(double v) => v.ToString("F3", CultureInfo.InvariantCulture);
        static string[] Row(string name, ClassScores s) => [name, F(s.Precision), F(s.Recall), F(s.F), s.Support.ToString("0.##", CultureInfo.InvariantCulture)];
        var rows = PerClass.Select((s, c) => (Scores: s, Name: _labels[c])).OrderBy(r => r.Scores.F).Select(r => Row(r.Name, r.Scores))
            .Append(Row("macro average", Macro)).Append(Row("weighted average", Weighted)).Append(Row("accuracy (micro average)", Micro));
        return new Table(["class", "precision", "recall", "F1", "examples"], [.. rows]);
    }
}
