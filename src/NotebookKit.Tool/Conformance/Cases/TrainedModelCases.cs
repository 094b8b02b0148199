using System.Text.Json;
using NotebookKit.Generation;
using NotebookKit.Models;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Small trained models, whose golden files have layouts of their own: sentence embeddings, texts written on, sorted digits, words to sounds.</summary>
internal static class TrainedModelCases
{
    public static IEnumerable<Outcome> Run(PretrainedModel folder, Golden golden)
    {
        using var model = folder.Load();
        if (golden.Has("embeddings") && model is EncoderModel encoder) yield return Check.Run("embeddings", () => Embeddings(encoder, golden));
        else if (golden.Has("greedy/sequences") && model is DecoderModel teller)
        {
            yield return Check.Run("logits", () => Story(teller, golden));
            foreach (var (name, beams) in new[] { ("greedy", 1), ("beam4", 4) })
                if (golden.Has($"{name}/sequences")) yield return Check.Run(name, () => Continue(teller, golden, name, beams), "tokens identical");
        }
        else if (golden.Has("sort/sequences") && model is DecoderModel sorter)
        {
            yield return Check.Run("logits", () => Logits(sorter, golden));
            yield return Check.Run("sort", () =>
            {
                var (prompts, expected) = (Compare.Rows(golden.Read("sort/prompt")), Compare.Rows(golden.Read("sort/sequences")));
                var settings = new GenerationSettings { MaximumNewTokens = expected[0].Length - prompts[0].Length };
                var got = SequenceGenerator.Run(sorter, [.. prompts.Select(p => p.Select(i => (int)i).ToArray())], settings);
                return Compare.SameIds([.. expected.Select(e => e[prompts[0].Length..])], [.. got.Select(g => g.Ids)]);
            }, "tokens identical");
        }
        else if (golden.Root.TryGetProperty("words", out var words) && model is EncoderDecoderModel speaker)
            foreach (var word in words.EnumerateObject()) yield return Check.Run(word.Name, () => Word(speaker, golden, folder, word.Name));
        else yield return new Outcome("golden.json", Verdict.Skipped, "its layout is unknown");
    }

    private static IEnumerable<Deviation> Embeddings(EncoderModel model, Golden golden)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var inputs = new EncoderInputs(golden.Read("input_ids"), golden.Read("attention_mask"));
        yield return Compare.Close(golden.Read("last_hidden_state"), model.Encode(inputs), Compare.Logits, golden.Read("attention_mask"));
        yield return Compare.Close(golden.Read("embeddings"), model.Embed(inputs), Compare.Logits);
    }

    private static IEnumerable<Deviation> Story(DecoderModel model, Golden golden)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var ids = golden.Read("greedy/sequences");
        using var inputs = new DecoderInputs(ids);
        var logits = model.forward(inputs);
        yield return Compare.Close(golden.Read("greedy/logits"), logits, Compare.Logits);
        if (golden.Has("loss")) yield return Compare.Close(golden.Read("loss"), ModelLoss.Of(model.Head, logits, ids), Compare.Loss);
    }

    private static IEnumerable<Deviation> Logits(DecoderModel model, Golden golden)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var inputs = new DecoderInputs(golden.Read("input_ids"));
        yield return Compare.Close(golden.Read("logits"), model.forward(inputs), Compare.Logits);
    }

    /// <summary>The story goes on from its first token.</summary>
    private static string? Continue(DecoderModel model, Golden golden, string name, int beams)
    {
        var expected = Compare.Rows(golden.Read($"{name}/sequences"));
        var settings = new GenerationSettings { MaximumNewTokens = expected[0].Length - 1, Beams = beams };
        foreach (var cached in new[] { true, false })
        {
            var got = SequenceGenerator.Run(model, [[(int)expected[0][0]]], settings with { UseCache = cached });
            if (Compare.SameIds([expected[0][1..]], [.. got.Select(g => g.Ids)]) is { } difference) return difference;
        }
        return null;
    }

    private static IEnumerable<Deviation> Word(EncoderDecoderModel model, Golden golden, PretrainedModel folder, string word)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var ids = golden.Read($"{word}/input_ids");
        var greedy = golden.Read($"{word}/greedy");
        using var source = new EncoderInputs(ids);
        var logits = golden.Read($"{word}/logits");
        yield return Compare.Close(logits, model.forward(source, greedy.narrow(1, 0, logits.size(1))), Compare.Logits);
        var prompt = Compare.Rows(ids)[0].Select(i => (int)i).ToArray();
        foreach (var (name, beams) in new[] { ("greedy", 1), ("beam4", 4) })
        {
            var expected = Compare.Rows(golden.Read($"{word}/{name}"));
            var got = SequenceGenerator.Run(model, [prompt], GenerationSettings.Of(folder) with { Beams = beams, MaximumNewTokens = Math.Max(model.MaximumPositions - 2, 1) });
            if (Compare.SameIds([expected[0][1..]], [.. got.Select(g => g.Ids)]) is { } difference) throw new InvalidDataException($"{name}: {difference}");
        }
    }
}
