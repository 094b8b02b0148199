using NotebookKit.Generation;
using NotebookKit.Models;
using NotebookKit.Models.Decoders;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Generation;

/// <summary>What the golden files cannot show: drawing, stopping, streaming, and what is refused. (Greedy, beams and filters against the reference: nbkit conform.)</summary>
public sealed class SequenceGeneratorTests : IDisposable
{
    private static readonly int[][] Prompts = [[5, 17, 42, 9], [88, 3], [60, 61, 62, 63, 64, 65]];
    private readonly LanguageModel model = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", "gpt2")).Load();

    public void Dispose() => model.Dispose();

    [Fact]
    public void Drawing_depends_on_the_seed_alone_and_not_on_what_else_is_in_the_batch()
    {
        var settings = new GenerationSettings { Sample = true, Temperature = 0.8, MaximumNewTokens = 12, Seed = 3 };
        var together = Run(settings);
        Assert.Equal(together, Run(settings));
        Assert.NotEqual(together, Run(settings with { Seed = 4 }));
        Assert.Equal(together, Run(settings with { UseCache = false }));
        Assert.Equal(together[0], SequenceGenerator.Run(model, [Prompts[0]], settings)[0].Ids);
        Assert.NotEqual(together[0], Run(settings, [Prompts[0], Prompts[0]])[1]);          // each row draws for itself
    }

    /// <summary>Expected shares: softmax of the filtered logits, computed here from the model's own logits; 5 standard deviations of a multinomial.</summary>
    [Fact]
    public void Tokens_are_drawn_as_often_as_their_probability_says()
    {
        const int Draws = 4000;
        int[] prompt = [5, 17, 42, 9];
        float[] logits;
        using (NewDisposeScope())
        using (no_grad())
            logits = ((DecoderModel)model).forward(new DecoderInputs(tensor(Array.ConvertAll(prompt, i => (long)i), [1, 4])))[0, -1].data<float>().ToArray();
        var best = logits.Select((l, id) => (Weight: Math.Exp(l / 0.7), id)).OrderByDescending(x => x.Weight).Take(5).ToArray();
        var total = best.Sum(b => b.Weight);

        var counts = new Dictionary<int, int>();
        var settings = new GenerationSettings { Sample = true, Temperature = 0.7, TopK = 5, MaximumNewTokens = 1, Seed = 11 };
        foreach (var answer in SequenceGenerator.Run(model, [.. Enumerable.Repeat(prompt, Draws)], settings)) counts[answer.Ids[0]] = counts.GetValueOrDefault(answer.Ids[0]) + 1;
        Assert.Equal(best.Select(b => b.id).Order(), counts.Keys.Order());
        foreach (var (weight, id) in best)
        {
            var p = weight / total;
            Assert.InRange(counts[id] / (double)Draws, p - 5 * Math.Sqrt(p * (1 - p) / Draws), p + 5 * Math.Sqrt(p * (1 - p) / Draws));
        }
    }

    [Fact]
    public void Every_token_is_told_as_it_is_chosen()
    {
        var told = new List<GeneratedToken>();
        var answers = SequenceGenerator.Run(model, Prompts, new GenerationSettings { MaximumNewTokens = 7 }, new Told(told.Add));
        for (var row = 0; row < Prompts.Length; row++) Assert.Equal(answers[row].Ids, told.Where(t => t.Row == row).Select(t => t.Id));
        Assert.Equal([0, 1, 2, 0, 1, 2], told.Take(6).Select(t => t.Row));
    }

    [Fact]
    public void A_stop_string_ends_the_answer_that_holds_it_and_no_other()
    {
        var free = Run(new GenerationSettings { MaximumNewTokens = 10 });
        static string Decode(IReadOnlyList<int> ids) => string.Concat(ids.Select(i => $"<{i}>"));
        var stop = Decode([free[0][3], free[0][4]]);
        var answers = SequenceGenerator.Run(model, Prompts, new GenerationSettings { MaximumNewTokens = 10, StopStrings = [stop] }, decode: Decode);
        var end = Enumerable.Range(0, 9).First(i => free[0][i] == free[0][3] && free[0][i + 1] == free[0][4]) + 2;
        Assert.Equal(free[0].Take(end), answers[0].Ids);
        foreach (var row in new[] { 1, 2 })
            if (!Decode(free[row]).Contains(stop, StringComparison.Ordinal)) Assert.Equal(free[row], answers[row].Ids);
        Assert.Contains("decode", Assert.Throws<ArgumentException>(() => Run(new GenerationSettings { StopStrings = ["x"] })).Message);
    }

    [Fact]
    public void An_end_token_ends_its_row_and_comes_not_before_the_minimum()
    {
        var free = Run(new GenerationSettings { MaximumNewTokens = 8 });
        var end = free[1][2];
        var stopped = Run(new GenerationSettings { MaximumNewTokens = 8, EndIds = [end] });
        Assert.Equal(free[1].Take(free[1].ToList().IndexOf(end) + 1), stopped[1]);
        var later = Run(new GenerationSettings { MaximumNewTokens = 8, MinimumNewTokens = 6, EndIds = [end] });
        Assert.DoesNotContain(end, later[1].Take(6));
    }

    [Fact]
    public void A_run_can_be_cancelled()
    {
        using var source = new CancellationTokenSource();
        var count = 0;
        Assert.Throws<OperationCanceledException>(() => SequenceGenerator.Run(model, [Prompts[0]], new GenerationSettings { MaximumNewTokens = 50 },
            new Told(_ => { if (++count == 3) source.Cancel(); }), cancellation: source.Token));
        Assert.Equal(3, count);
    }

    [Fact]
    public void A_prompt_longer_than_the_context_is_refused_naming_both_lengths()
    {
        var error = Assert.Throws<ArgumentException>(() => Run(new GenerationSettings { MaximumNewTokens = 10 }, [Prompts[0], [.. Enumerable.Repeat(7, 60)]]));
        foreach (var part in new[] { "Prompt 2", "60 tokens", "10 are to follow", "config.json", "64 positions" }) Assert.Contains(part, error.Message);
        Assert.Equal(5, Run(new GenerationSettings { MaximumNewTokens = 5 }, [[.. Enumerable.Repeat(7, 60)]])[0].Count);
    }

    [Theory]
    [InlineData(131, "EndIds", "131", "[0, 131)")]
    [InlineData(-1, "EndIds", "-1", "[0, 131)")]
    public void An_end_token_outside_the_vocabulary_is_refused(int id, params string[] says)
    {
        var error = Assert.Throws<ArgumentException>(() => Run(new GenerationSettings { EndIds = [id] }));
        foreach (var part in says) Assert.Contains(part, error.Message);
    }

    [Fact]
    public void What_cannot_be_is_refused_naming_the_setting()
    {
        var d = new GenerationSettings();
        foreach (var (settings, name) in new[]
        {
            (d with { Temperature = 0 }, "Temperature"), (d with { TopP = 0 }, "TopP"), (d with { TopP = 1.5 }, "TopP"), (d with { TopK = -1 }, "TopK"), (d with { MinP = 1 }, "MinP"),
            (d with { RepetitionPenalty = 0 }, "RepetitionPenalty"), (d with { MaximumNewTokens = 0 }, "MaximumNewTokens"), (d with { Beams = 0 }, "Beams"),
            (d with { Beams = 2, Sample = true }, "Beams"), (d with { Beams = 2, ReturnedSequences = 3 }, "ReturnedSequences"),
        })
            Assert.Contains(name, Assert.Throws<ArgumentException>(() => Run(settings)).Message);
        Assert.Contains("empty", Assert.Throws<ArgumentException>(() => Run(d, [[]])).Message);
        Assert.Contains("999", Assert.Throws<ArgumentException>(() => Run(d, [[1, 999]])).Message);
        Assert.Empty(Run(d, []));
    }

    private IReadOnlyList<int>[] Run(GenerationSettings settings, int[][]? prompts = null) => [.. SequenceGenerator.Run(model, prompts ?? Prompts, settings).Select(a => a.Ids)];

    private sealed class Told(Action<GeneratedToken> tell) : IProgress<GeneratedToken>
    {
        public void Report(GeneratedToken value) => tell(value);
    }
}
