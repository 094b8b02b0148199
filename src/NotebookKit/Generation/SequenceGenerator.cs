using System.Numerics.Tensors;
using NotebookKit.Models;
using NotebookKit.Statistics;

namespace NotebookKit.Generation;

/// <summary>A written answer.</summary>
/// <param name="Row">Which prompt it answers.</param>
/// <param name="Ids">The tokens written, the end token included.</param>
/// <param name="Score">Of beam search: log-probability over length to the length penalty; else NaN.</param>
public sealed record GeneratedSequence(int Row, IReadOnlyList<int> Ids, double Score);

/// <summary>One more token.</summary>
/// <param name="Row">Which prompt it answers.</param>
/// <param name="Id">The token.</param>
public readonly record struct GeneratedToken(int Row, int Id);

/// <summary>
/// Writes with a decoder or an encoder-decoder. A row's answer does not depend on the other rows of the batch. Runs on one thread of the caller; the
/// model must be in evaluation mode.
/// </summary>
public static class SequenceGenerator
{
    /// <summary>Answers for every prompt, in order; with beam search <see cref="GenerationSettings.ReturnedSequences"/> for each, best first.</summary>
    /// <param name="model">A model with a language-model head.</param>
    /// <param name="prompts">Token ids without padding: what a decoder goes on from, or what an encoder-decoder answers to.</param>
    /// <param name="settings">How to choose.</param>
    /// <param name="tokens">Told every token as it is chosen; not with beam search, where choices change.</param>
    /// <param name="decode">Turns ids into text, for stop strings.</param>
    /// <param name="cancellation">Checked between tokens.</param>
    /// <exception cref="ArgumentException">A prompt is empty, too long for the model, or has an id outside the vocabulary; or a setting cannot be.</exception>
    public static IReadOnlyList<GeneratedSequence> Run(LanguageModel model, IReadOnlyList<int[]> prompts, GenerationSettings settings,
        IProgress<GeneratedToken>? tokens = null, Func<IReadOnlyList<int>, string>? decode = null, CancellationToken cancellation = default)
    {
        var vocabulary = model.Config.Int("vocab_size");
        settings.Validate(vocabulary);
        if (settings.StopStrings.Count > 0 && decode is null) throw new ArgumentException("Stop strings need a way to decode tokens.", nameof(decode));
        for (var row = 0; row < prompts.Count; row++)
        {
            if (prompts[row].Length == 0) throw new ArgumentException($"Prompt {row + 1} of {prompts.Count} is empty.", nameof(prompts));
            if (Array.FindIndex(prompts[row], id => id < 0 || id >= vocabulary) is >= 0 and var bad)
                throw new ArgumentException($"Prompt {row + 1}: id {prompts[row][bad]} at place {bad} is outside the vocabulary [0, {vocabulary}).", nameof(prompts));
            var added = model is DecoderModel ? model.AdapterTokens : model.Adapter?.PromptTokens ?? 0;
            var length = (model is DecoderModel ? (long)prompts[row].Length + settings.MaximumNewTokens - 1 : prompts[row].Length) + added;
            if (length > model.MaximumPositions)
                throw new ArgumentException($"Prompt {row + 1} has {prompts[row].Length} tokens"
                    + (model is DecoderModel ? $" and {settings.MaximumNewTokens} are to follow" : "") + (added > 0 ? $", and the adapter puts {added} in front" : "") + $"; '{model.Config.Source}' takes at most {model.MaximumPositions} positions.", nameof(prompts));
        }
        if (prompts.Count == 0) return [];
        return settings.Beams > 1 ? BeamSearch.Run(model, [.. prompts], settings, cancellation) : OneByOne(model, [.. prompts], settings, tokens, decode, cancellation);
    }

    private static GeneratedSequence[] OneByOne(LanguageModel model, int[][] prompts, GenerationSettings settings, IProgress<GeneratedToken>? progress,
        Func<IReadOnlyList<int>, string>? decode, CancellationToken cancellation)
    {
        using var session = DecodingSession.Start(model, prompts, settings);
        var all = Array.ConvertAll(session.Start(), p => p.ToList());
        var written = Array.ConvertAll(all, _ => new List<int>());
        var finished = new bool[prompts.Length];
        var random = Array.ConvertAll(Enumerable.Range(0, prompts.Length).ToArray(), row => new Random(HashCode(settings.Seed, row)));
        int[]? chosen = null;
        for (var step = 0; step < settings.MaximumNewTokens && finished.Contains(false); step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var logits = session.Next(chosen);
            chosen = new int[prompts.Length];
            for (var row = 0; row < prompts.Length; row++)
            {
                if (finished[row]) continue;
                LogitFilters.Process(logits[row], settings, all[row], step);
                var id = chosen[row] = settings.Sample ? Draw(logits[row], settings, random[row]) : TensorPrimitives.IndexOfMax<float>(logits[row]);
                all[row].Add(id);
                written[row].Add(id);
                progress?.Report(new GeneratedToken(row, id));
                finished[row] = settings.EndIds.Contains(id) || (settings.StopStrings.Count > 0 && EndsWithStop(decode!(written[row]), settings.StopStrings));
            }
        }
        return [.. written.Select((ids, row) => new GeneratedSequence(row, ids, double.NaN))];
    }

    private static int Draw(float[] logits, GenerationSettings settings, Random random)
    {
        LogitFilters.Warp(logits, settings);
        return Categorical.Draw(LogitFilters.Softmax(logits), random);
    }

    private static bool EndsWithStop(string text, IReadOnlyList<string> stops) => stops.Any(s => text.Contains(s, StringComparison.Ordinal));

    /// <summary>A seed for a row that is the same in every process.</summary>
    private static int HashCode(int seed, int row) => unchecked((int)((uint)seed * 0x9E3779B1u + (uint)row * 0x85EBCA77u));
}
