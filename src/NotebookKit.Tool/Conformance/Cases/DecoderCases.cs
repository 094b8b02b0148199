using System.Globalization;
using System.Text.Json;
using NotebookKit.Generation;
using NotebookKit.Models;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Cases of decoders: logits padded on the right and on the left, a long sequence, loss, gradients, and generation with and without the cache, in a batch and alone.</summary>
internal sealed class DecoderCases(PretrainedModel folder, Golden golden)
{
    public IEnumerable<Outcome> Run()
    {
        using var model = (DecoderModel)folder.Load();
        foreach (var (name, settings) in golden.Cases.ToArray())
        {
            using var scope = NewDisposeScope();
            yield return name switch
            {
                "right" or "left" or "long" => Check.Run(name, () => Logits(model, name)),
                "grad" => Check.Run(name, () => Gradients(model)),
                _ when name.StartsWith("warp_", StringComparison.Ordinal) => Warped(name),
                _ => GenerationCases.Run(model, golden, name, settings, new GenerationSettings()),
            };
        }
    }

    private IEnumerable<Deviation> Logits(DecoderModel model, string name)
    {
        using var noGradient = no_grad();
        var mask = golden.ReadIf($"{name}/attention_mask");
        using var inputs = new DecoderInputs(golden.Read($"{name}/input_ids"), mask, golden.ReadIf($"{name}/position_ids"));
        var logits = model.forward(inputs);
        yield return Compare.Close(golden.Read($"{name}/logits"), logits, Compare.Logits, mask);
        if (golden.Has($"{name}/loss")) yield return Compare.Close(golden.Read($"{name}/loss"), ModelLoss.Of(model.Head, logits, golden.Read($"{name}/labels")), Compare.Loss);
        if (name != "left") yield break;
        using var counted = new DecoderInputs(golden.Read("left/input_ids"), mask);             // positions found from the mask
        yield return Compare.Close(golden.Read("left/logits"), model.forward(counted), Compare.Logits, mask);
    }

    private IEnumerable<Deviation> Gradients(DecoderModel model)
    {
        using var inputs = new DecoderInputs(golden.Read("right/input_ids"), golden.ReadIf("right/attention_mask"));
        foreach (var deviation in EncoderCases.Gradients(model, golden, () => ModelLoss.Of(model.Head, model.forward(inputs), golden.Read("right/labels")))) yield return deviation;
    }

    /// <summary>The name holds the filter and its value: <c>warp_top_p_0_8</c>.</summary>
    private Outcome Warped(string name)
    {
        var rest = name["warp_".Length..];
        var filter = Array.Find(["temperature", "top_k", "top_p", "min_p"], f => rest.StartsWith(f + "_", StringComparison.Ordinal));
        if (filter is null || !double.TryParse(rest[(filter.Length + 1)..].Replace('_', '.'), CultureInfo.InvariantCulture, out var value))
            return new Outcome(name, Verdict.Skipped, "no such filter is known");
        return Check.Run(name, () =>
        {
            var (before, after) = (golden.Read($"{name}/logits"), golden.Read($"{name}/warped"));
            var width = (int)before.size(1);
            var rows = before.contiguous().data<float>().ToArray();
            for (var row = 0; row < before.size(0); row++)
            {
                var logits = rows.AsSpan(row * width, width);
                switch (filter)
                {
                    case "temperature": LogitFilters.Temperature(logits, value); break;
                    case "top_k": LogitFilters.TopK(logits, (int)value); break;
                    case "top_p": LogitFilters.TopP(logits, value); break;
                    default: LogitFilters.MinP(logits, value); break;
                }
                foreach (ref var x in logits)
                    if (float.IsNegativeInfinity(x)) x = -1e30f;
            }
            return [Compare.Close(after, tensor(rows, after.shape), Compare.Logits)];
        });
    }
}

/// <summary>Generation cases of decoders and encoder-decoders; the settings stand in the case's name and fields.</summary>
internal static class GenerationCases
{
    public static Outcome Run(LanguageModel model, Golden golden, string name, JsonElement settings, GenerationSettings given)
    {
        var known = name is "greedy" or "greedy_eos" || name.StartsWith("beam", StringComparison.Ordinal)
            || name.StartsWith("repetition_penalty_", StringComparison.Ordinal) || name.StartsWith("no_repeat_ngram_", StringComparison.Ordinal);
        if (!known || !golden.Has($"{name}/sequences")) return new Outcome(name, Verdict.Skipped, "no such case is known for this architecture");
        return Check.Run(name, () => Difference(model, golden, name, settings, given), "tokens identical, with and without cache, in a batch and alone");
    }

    private static string? Difference(LanguageModel model, Golden golden, string name, JsonElement settings, GenerationSettings given)
    {
        var prompts = Unpadded(golden.Read($"{name}/input_ids"), golden.ReadIf($"{name}/attention_mask"));
        var expected = Compare.Rows(golden.Read($"{name}/sequences"));
        var skip = model is DecoderModel ? (int)golden.Read($"{name}/input_ids").size(1) : 1;
        var answers = Array.ConvertAll(expected, row => row[skip..]);
        double Number(string field, double fallback) => settings.TryGetProperty(field, out var v) && v.ValueKind == JsonValueKind.Number ? v.GetDouble() : fallback;
        double Suffix(string prefix, double fallback) => name.StartsWith(prefix, StringComparison.Ordinal) && double.TryParse(name[prefix.Length..], CultureInfo.InvariantCulture, out var v) ? v : fallback;
        var choice = given with
        {
            MaximumNewTokens = (int)Number("max_new_tokens", answers[0].Length),
            // A case that names its end token was made without a forced one.
            EndIds = settings.TryGetProperty("eos_token_id", out var end) ? [end.GetInt32()] : given.EndIds, ForcedEndId = settings.TryGetProperty("eos_token_id", out _) ? null : given.ForcedEndId,
            Beams = (int)Number("num_beams", 1), LengthPenalty = Number("length_penalty", 1), ReturnedSequences = (int)Number("num_return_sequences", 1),
            EarlyStopping = settings.TryGetProperty("early_stopping", out var early) ? early.ValueKind switch { JsonValueKind.True => EarlyStopping.AtOnce, JsonValueKind.String => EarlyStopping.Never, _ => EarlyStopping.WhenNoneCanImprove } : EarlyStopping.WhenNoneCanImprove,
            RepetitionPenalty = Suffix("repetition_penalty_", Number("repetition_penalty", 1)), NoRepeatNgramSize = (int)Suffix("no_repeat_ngram_", Number("no_repeat_ngram_size", 0)),
        };
        if (name == "greedy") choice = choice with { MinimumNewTokens = choice.MaximumNewTokens };
        foreach (var cached in new[] { true, false })
        {
            // The reference's own answer depends on its cache where rope frequencies follow the length; there only the cached way can equal it.
            if (!cached && model is DecoderModel { CacheDependsOnLength: true }) continue;
            var got = SequenceGenerator.Run(model, prompts, choice with { UseCache = cached });
            if (Compare.SameIds(answers, [.. got.Select(g => g.Ids)]) is { } difference) return (cached ? "" : "without cache: ") + difference;
            if (!golden.Has($"{name}/sequences_scores")) continue;
            var scores = golden.Read($"{name}/sequences_scores").data<float>().ToArray();
            for (var i = 0; i < scores.Length; i++)
                if (Math.Abs(scores[i] - got[i].Score) > Compare.Score) return FormattableString.Invariant($"score {i} is {got[i].Score:F5} instead of {scores[i]:F5}");
        }
        if (model is DecoderModel { CacheDependsOnLength: true }) return null;
        for (var row = 0; row < prompts.Length; row++)
        {
            var alone = SequenceGenerator.Run(model, [prompts[row]], choice);
            var mine = answers.AsSpan(row * choice.ReturnedSequences, choice.ReturnedSequences).ToArray();
            if (Compare.SameIds(mine, [.. alone.Select(g => g.Ids)]) is { } difference) return $"prompt {row} alone: {difference}";
        }
        return null;
    }

    private static int[][] Unpadded(Tensor ids, Tensor? mask)
    {
        var rows = Compare.Rows(ids);
        var kept = mask is null ? null : Compare.Rows(mask.to(ScalarType.Int64));
        return [.. rows.Select((row, r) => row.Where((_, t) => kept is null || kept[r][t] != 0).Select(id => (int)id).ToArray())];
    }
}
