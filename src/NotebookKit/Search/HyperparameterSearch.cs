using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace NotebookKit.Search;

/// <summary>
/// Looks for good settings: at random, which beats a grid wherever few settings matter (Bergstra &amp; Bengio 2012), or by successive halving (Jamieson &amp; Talwalkar 2016, https://arxiv.org/abs/1502.07943):
/// many trials with a little budget, the best third of them with three times as much, and so on. Higher scores are better. With a file every score is kept as soon as it is there, and a search that was
/// ended goes on.
/// </summary>
public sealed class HyperparameterSearch
{
    private readonly IReadOnlyList<SearchParameter> _space;
    private readonly int _seed;
    private readonly string? _file;

    /// <summary>A search over a space.</summary>
    /// <param name="space">At least one parameter, none twice.</param>
    /// <param name="seed">Same seed, same trials.</param>
    /// <param name="file">JSON Lines: a score a line; <c>null</c> keeps nothing.</param>
    public HyperparameterSearch(IReadOnlyList<SearchParameter> space, int seed = 0, string? file = null)
    {
        if (space.Count == 0) throw new ArgumentException("A search needs at least one parameter.", nameof(space));
        if (space.GroupBy(p => p.Name).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"Search parameter '{twice.Key}' is given twice.", nameof(space));
        foreach (var parameter in space) parameter.Validate();
        (_space, _seed, _file) = ([.. space], seed, file);
    }

    /// <summary>Tries settings drawn at random.</summary>
    /// <param name="trials">How many, at least 1.</param>
    /// <param name="score">Scores a trial.</param>
    /// <param name="progress">Is told of every score.</param>
    /// <param name="cancellation">Stops between trials.</param>
    public SearchResult Random(int trials, Func<Trial, double> score, IProgress<Scored>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, 1);
        return Run(Draw(trials), [1], 1, (trial, _) => score(trial), progress, cancellation);
    }

    /// <summary>Tries many settings briefly and the best of them for longer.</summary>
    /// <param name="trials">How many begin, at least <paramref name="eta"/>.</param>
    /// <param name="budgets">Smallest and largest budget, such as epochs: each round has <paramref name="eta"/> times that of the one before.</param>
    /// <param name="score">Scores a trial with a budget.</param>
    /// <param name="eta">One in so many goes on, at least 2. Default 3, as the paper.</param>
    /// <param name="progress">Is told of every score.</param>
    /// <param name="cancellation">Stops between trials.</param>
    public SearchResult SuccessiveHalving(int trials, (int Least, int Most) budgets, Func<Trial, int, double> score, int eta = 3, IProgress<Scored>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(eta, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, eta);
        ArgumentOutOfRangeException.ThrowIfLessThan(budgets.Least, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(budgets.Most, budgets.Least);
        var rounds = new List<int>();
        for (var (budget, left) = ((long)budgets.Least, trials); budget <= budgets.Most && left > 0; budget *= eta, left /= eta) rounds.Add((int)budget);
        return Run(Draw(trials), rounds, eta, score, progress, cancellation);
    }

    private SearchResult Run(Trial[] trials, IReadOnlyList<int> budgets, int eta, Func<Trial, int, double> score, IProgress<Scored>? progress, CancellationToken cancellation)
    {
        var (all, left, known) = (new List<Scored>(), trials, Known());
        foreach (var budget in budgets)
        {
            var round = new List<Scored>();
            foreach (var trial in left)
            {
                cancellation.ThrowIfCancellationRequested();
                var was = known.TryGetValue((trial.Number, budget), out var found);
                if (was && found.Values != Text(trial)) throw new InvalidOperationException($"'{Path.GetFullPath(_file!)}' holds another search: its trial {trial.Number} is {found.Values}, here it is {Text(trial)}. Give this search a file of its own, or delete that one.");
                var scored = new Scored(trial, budget, was ? found.Score : score(trial, budget));
                if (!was) Keep(scored);
                round.Add(scored);
                progress?.Report(scored);
            }
            all.AddRange(round);
            // A score that is no number loses against all others.
            left = [.. round.OrderByDescending(s => double.IsNaN(s.Score) ? double.NegativeInfinity : s.Score).ThenBy(s => s.Trial.Number).Take(Math.Max(1, round.Count / eta)).Select(s => s.Trial)];
        }
        return new SearchResult([.. _space.Select(p => p.Name)], all);
    }

    private Trial[] Draw(int count)
    {
        var random = new Random(_seed);
        return [.. Enumerable.Range(1, count).Select(n => new Trial(n, _space.ToDictionary(p => p.Name, p => p.Draw(random), StringComparer.Ordinal)))];
    }

    private void Keep(Scored scored)
    {
        if (_file is null) return;
        var line = new JsonObject { ["trial"] = scored.Trial.Number, ["budget"] = scored.Budget, ["score"] = double.IsFinite(scored.Score) ? scored.Score : null, ["values"] = Text(scored.Trial) };
        File.AppendAllText(_file, line.ToJsonString() + "\n", new UTF8Encoding(false));
    }

    /// <summary>Scores that are kept; a last line that was cut off by a sudden end is left out, and written anew.</summary>
    private Dictionary<(int Trial, int Budget), (string Values, double Score)> Known()
    {
        var known = new Dictionary<(int, int), (string, double)>();
        if (_file is null || !File.Exists(_file)) return known;
        var (text, whole) = (File.ReadAllText(_file), 0);
        foreach (var line in text.Split('\n').SkipLast(1))
        {
            try
            {
                var json = JsonNode.Parse(line)!;
                known[(json["trial"]!.GetValue<int>(), json["budget"]!.GetValue<int>())] = (json["values"]!.GetValue<string>(), json["score"]?.GetValue<double>() ?? double.NaN);
            }
            catch (Exception e) when (e is System.Text.Json.JsonException or NullReferenceException or InvalidOperationException or FormatException)
            {
                throw new InvalidDataException($"'{Path.GetFullPath(_file)}': line {known.Count + 1} is no score of a search: {e.Message}", e);
            }
            whole += line.Length + 1;
        }
        if (whole < text.Length) Runtime.WholeFile.Write(_file, text[..whole]);
        return known;
    }

    private static string Text(Trial trial) => string.Join("; ", trial.Values.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => $"{v.Key}={(v.Value is double d ? d.ToString("R", CultureInfo.InvariantCulture) : v.Value)}"));
}
