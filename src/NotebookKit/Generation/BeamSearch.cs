using NotebookKit.Models;

namespace NotebookKit.Generation;

/// <summary>
/// Beam search: the most probable sequences, a few hypotheses side by side. Choices, ties and the end follow the reference implementation step by step:
/// of 2·beams candidates only the best may finish, and scores are log-probabilities over length to the length penalty.
/// </summary>
internal static class BeamSearch
{
    private const double Never = -1e9;

    private sealed record Hypothesis(List<int> Ids, double Score, bool Finished);

    public static IReadOnlyList<GeneratedSequence> Run(LanguageModel model, int[][] prompts, GenerationSettings settings, CancellationToken cancellation)
    {
        var beams = settings.Beams;
        using var session = DecodingSession.Start(model, [.. prompts.SelectMany(p => Enumerable.Repeat(p, beams))], settings);
        var starts = session.Start();
        var keep = Math.Max(2, 1 + settings.EndIds.Count) * beams;
        var running = Array.ConvertAll(prompts, _ => Enumerable.Range(0, beams).Select(b => new Hypothesis([], b == 0 ? 0 : Never, false)).ToArray());
        var done = Array.ConvertAll(prompts, _ => Enumerable.Repeat(new Hypothesis([], Never, false), beams).ToArray());
        var canImprove = Array.ConvertAll(prompts, _ => true);
        int[]? chosen = null;
        for (var written = 0; ; written++)
        {
            cancellation.ThrowIfCancellationRequested();
            var logits = session.Next(chosen);
            var from = new int[prompts.Length * beams];
            chosen = new int[prompts.Length * beams];
            var allHit = true;
            for (var row = 0; row < prompts.Length; row++)
            {
                var candidates = Candidates(logits, row * beams, running[row], starts[row * beams], settings, written, keep);
                var hits = Array.ConvertAll(candidates, c => settings.EndIds.Contains(c.Id) || written + 1 == settings.MaximumNewTokens);
                allHit &= !hits.Contains(false);
                List<int> Extended((int Beam, int Id, double Score) c) => [.. running[row][c.Beam].Ids, c.Id];

                // Those that may go on: the best that did not hit the end.
                var next = Enumerable.Range(0, candidates.Length).OrderByDescending(i => candidates[i].Score + (hits[i] ? Never : 0)).Take(beams).ToArray();

                // Those that end here: only among the best `beams` candidates.
                var full = done[row].All(h => h.Finished) && settings.EarlyStopping == EarlyStopping.AtOnce;
                var merged = done[row].Concat(candidates.Select((c, i) =>
                {
                    var ends = hits[i] && i < beams;
                    var score = (float)c.Score / (float)Math.Pow(written + 1, settings.LengthPenalty) + (full ? Never : 0) + (canImprove[row] ? 0 : Never) + (ends ? 0 : Never);
                    return new Hypothesis(ends ? Extended(c) : [], score, ends);
                })).OrderByDescending(h => h.Score).Take(beams).ToArray();

                running[row] = [.. next.Select(i => new Hypothesis(Extended(candidates[i]), candidates[i].Score + (hits[i] ? Never : 0), false))];
                done[row] = merged;
                for (var b = 0; b < beams; b++) (from[row * beams + b], chosen[row * beams + b]) = (row * beams + candidates[next[b]].Beam, candidates[next[b]].Id);
                canImprove[row] = canImprove[row] && CanImprove(running[row][0].Score, done[row], settings, written + 1);
            }
            var open = !(done.All(d => d.All(h => h.Finished)) && settings.EarlyStopping == EarlyStopping.AtOnce);
            if (!canImprove.Contains(true) || !open || allHit) break;
            session.Reorder(from);
        }
        return [.. done.SelectMany((d, row) => d.Take(settings.ReturnedSequences).Select(h => new GeneratedSequence(row, h.Ids, h.Score)))];
    }

    /// <summary>The best continuations over all beams of a prompt, best first; equal ones in the order of beam and token.</summary>
    private static (int Beam, int Id, double Score)[] Candidates(float[][] logits, int first, Hypothesis[] running, int[] start, GenerationSettings settings, int written, int keep)
    {
        var best = new PriorityQueue<(int Beam, int Id, double Score), (double Score, long Order)>();
        for (var beam = 0; beam < running.Length; beam++)
        {
            var row = logits[first + beam];
            LogitFilters.LogSoftmax(row);
            LogitFilters.Process(row, settings, [.. start, .. running[beam].Ids], written);
            for (var id = 0; id < row.Length; id++)
            {
                double score = row[id] + (float)running[beam].Score;
                var priority = (score, -((long)beam * row.Length + id));
                if (best.Count < keep) best.Enqueue((beam, id, score), priority);
                else if (best.TryPeek(out _, out var worst) && priority.CompareTo(worst) > 0) best.EnqueueDequeue((beam, id, score), priority);
            }
        }
        var sorted = new (int, int, double)[best.Count];
        for (var i = sorted.Length - 1; i >= 0; i--) sorted[i] = best.Dequeue();
        return sorted;
    }

    private static bool CanImprove(double bestRunning, Hypothesis[] done, GenerationSettings settings, int length)
    {
        var reach = settings.EarlyStopping == EarlyStopping.Never && settings.LengthPenalty > 0 ? settings.MaximumNewTokens : length;
        var possible = bestRunning / Math.Pow(reach, settings.LengthPenalty);
        var worst = done.Min(h => h.Score);
        return done.Any(h => possible > (h.Finished ? worst : Never));
    }
}
