using System.Globalization;
using NotebookKit.Display;
using NotebookKit.Plotting;

namespace NotebookKit.Search;

/// <summary>A trial and its score.</summary>
/// <param name="Trial">What was tried.</param>
/// <param name="Budget">With how much.</param>
/// <param name="Score">Higher is better; not a number where it failed.</param>
public sealed record Scored(Trial Trial, int Budget, double Score);

/// <summary>What a search found.</summary>
/// <param name="Parameters">Names, in the order of the space.</param>
/// <param name="Scores">All scores, in the order they were made.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record SearchResult(IReadOnlyList<string> Parameters, IReadOnlyList<Scored> Scores) : IShown
{
    /// <summary>The best of those with the largest budget.</summary>
    public Scored Best => Scores.Where(s => s.Budget == Scores.Max(t => t.Budget) && !double.IsNaN(s.Score)).DefaultIfEmpty(Scores[^1]).MaxBy(s => s.Score)!;

    /// <summary>
    /// What mattered: the share of the scores' variance that a parameter explains by itself, in [0, 1]; the main effects of a functional analysis of variance (Hutter et al. 2014). Numbers are put in four groups of
    /// like size; what as many groups explain by chance is taken off (ε², Kelley 1935). Of trials with the smallest budget, which all had.
    /// </summary>
    public IReadOnlyList<(string Parameter, double Share)> Importance()
    {
        var first = Scores.Where(s => s.Budget == Scores.Min(t => t.Budget) && !double.IsNaN(s.Score)).ToArray();
        return [.. Parameters.Select(p => (p, Share(first, p))).OrderByDescending(p => p.Item2)];
    }

    /// <summary><see cref="Importance"/> as bars.</summary>
    public Figure AsFigure() => Figures.Bars("What mattered", "share of the scores' variance that a setting explains by itself", [.. Importance().Select(i => new Bar(i.Parameter, i.Share))], percent: true);

    /// <summary>Scores against a numeric parameter.</summary>
    public Figure AsFigure(string parameter) => Figures.Lines($"Scores against {parameter}", parameter, "score",
        [.. Scores.GroupBy(s => s.Budget).OrderBy(g => g.Key).Select(g => new Series($"budget {g.Key.ToString(CultureInfo.InvariantCulture)}", [.. g.Where(s => !double.IsNaN(s.Score)).OrderBy(s => s.Trial.Real(parameter)).Select(s => new PlotPoint(s.Trial.Real(parameter), s.Score))]))],
        logarithmicX: Scores.All(s => s.Trial.Real(parameter) > 0) && Scores.Max(s => s.Trial.Real(parameter)) > 20 * Scores.Min(s => s.Trial.Real(parameter)));

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["trial", .. Parameters, "budget", "score"], [.. Scores.OrderByDescending(s => s.Budget).ThenByDescending(s => s.Score).Take(10).Select(s => (IReadOnlyList<string>)
        [s.Trial.Number.ToString(CultureInfo.InvariantCulture), .. Parameters.Select(p => Trial.Text(s.Trial.Values[p])), s.Budget.ToString(CultureInfo.InvariantCulture), s.Score.ToString("F4", CultureInfo.InvariantCulture)])],
        $"{Scores.Select(s => s.Trial.Number).Distinct().Count()} trials; the best: {Best.Trial}");

    private static double Share(Scored[] scored, string parameter)
    {
        if (scored.Length < 8) return 0;
        var order = scored.OrderBy(s => s.Trial.Values[parameter] is double d ? d : 0).ToArray();
        var groups = scored[0].Trial.Values[parameter] is string ? scored.GroupBy(s => (string)s.Trial.Values[parameter]).Select(g => g.ToArray()).ToArray()
            : Enumerable.Range(0, 4).Select(q => order[(q * order.Length / 4)..((q + 1) * order.Length / 4)]).ToArray();
        var (mean, n, k) = (scored.Average(s => s.Score), scored.Length, groups.Length);
        var total = scored.Sum(s => (s.Score - mean) * (s.Score - mean));
        if (total == 0 || n <= k) return 0;
        var between = groups.Sum(g => g.Length * Math.Pow(g.Average(s => s.Score) - mean, 2));
        var within = (total - between) / (n - k);
        return Math.Clamp((between - (k - 1) * within) / total, 0, 1);
    }
}
