using NotebookKit.Generation;
using NotebookKit.Generation.Decoding;
using NotebookKit.Models;
using NotebookKit.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Generation;

/// <summary>Expected: what the model computes by libtorch's operations, which the golden files hold to the reference.</summary>
public sealed class DecodingEngineTests
{
    private static readonly int[][] Prompts = [[5, 17, 42, 9], [8, 3], [.. Enumerable.Range(0, 37).Select(i => 3 + 5 * i % 60)]];

    public static TheoryData<string> Decoders => [.. Directory.GetDirectories(TestData.Fixture("checkpoints", "tiny")).Select(d => Path.GetFileName(d)!).Where(IsRead)];

    [Fact]
    public void The_families_it_is_for_are_read() => Assert.Superset(new HashSet<string> { "gpt2", "llama-gqa", "llama-rope-yarn", "qwen2", "qwen3", "mistral-sliding", "smollm3", "phi3" }, Decoders.Select(d => (string)d).ToHashSet());

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Logits_are_the_models_own(string name)
    {
        using var model = (DecoderModel)PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        using var engine = DecodingEngine.TryMake(model, DecodingWeights.AsLoaded)!;
        foreach (var prompt in Prompts)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            var expected = model.forward(new DecoderInputs(tensor(Array.ConvertAll(prompt, i => (long)i), [1, prompt.Length])))[0];
            using var memory = engine.NewMemory();
            for (var (at, size) = (0, 1); at < prompt.Length; at += size, size = Math.Min(prompt.Length - at, size % 5 + 1))       // in pieces of one to five
            {
                var logits = Enumerable.Range(0, size).Select(_ => new float[model.Config.Int("vocab_size")]).ToArray();
                engine.Read([.. Enumerable.Range(at, size).Select(t => new TokenPlace(memory, t, prompt[t]))], logits);
                for (var i = 0; i < size; i++) Assert.All(expected[at + i].data<float>().ToArray().Zip(logits[i]), p => Assert.Equal(p.First, p.Second, 1e-4));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Tokens_are_those_of_the_plain_path(string name)
    {
        using var model = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        var greedy = new GenerationSettings { MaximumNewTokens = 24 };
        foreach (var settings in new[] { greedy, greedy with { Sample = true, TopK = 20, Seed = 4 }, greedy with { Beams = 3, ReturnedSequences = 2 }, greedy with { RepetitionPenalty = 1.3, NoRepeatNgramSize = 2 } })
        {
            var expected = SequenceGenerator.Run(model, Prompts, settings with { UseEngine = false });
            Assert.Equal(expected.Select(s => s.Ids), SequenceGenerator.Run(model, Prompts, settings).Select(s => s.Ids));
        }
        var alone = SequenceGenerator.Run(model, [Prompts[1]], greedy)[0].Ids;
        Assert.Equal(alone, SequenceGenerator.Run(model, [.. Enumerable.Repeat(Prompts[0], 19), Prompts[1]], greedy)[19].Ids);       // more rows than one pass takes
    }

    /// <summary>Expected: the plain path of a model whose matrices hold the rounded numbers.</summary>
    [Theory]
    [InlineData("llama-gqa", DecodingWeights.BFloat16)]
    [InlineData("llama-gqa", DecodingWeights.Int8)]
    [InlineData("phi3", DecodingWeights.Int8)]
    public void Fewer_bits_write_what_a_model_of_rounded_weights_writes(string name, DecodingWeights format)
    {
        using var model = (DecoderModel)PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        var plan = model.Plan()!;
        Assert.False(ReferenceEquals(plan.Embeddings, plan.Head.Weight), "a table that is also the head would be rounded where the engine does not");
        var settings = new GenerationSettings { MaximumNewTokens = 24 };
        var got = SequenceGenerator.Run(model, Prompts, settings with { Weights = format });
        using (no_grad())
            foreach (var matrix in plan.Layers.SelectMany(l => l.Matrices).Append(plan.Head))
            {
                using var scope = NewDisposeScope();
                if (format == DecodingWeights.BFloat16) matrix.Weight.copy_(matrix.Weight.to(ScalarType.BFloat16));
                else
                {
                    var scale = matrix.Weight.abs().amax([1], keepdim: true) / 127;
                    matrix.Weight.copy_((matrix.Weight / scale).round() * scale);
                }
            }
        Assert.Equal(SequenceGenerator.Run(model, Prompts, settings with { UseEngine = false }).Select(s => s.Ids), got.Select(s => s.Ids));
    }

    [Fact]
    public void A_model_it_does_not_read_is_computed_as_ever_and_refused_in_fewer_bits()
    {
        using var model = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", "gpt-neox")).Load();
        Assert.Null(DecodingEngine.TryMake(model, DecodingWeights.AsLoaded));
        var settings = new GenerationSettings { MaximumNewTokens = 3 };
        Assert.Equal(3, SequenceGenerator.Run(model, [Prompts[0]], settings)[0].Ids.Count);
        Assert.Contains("gpt_neox", Assert.Throws<ArgumentException>(() => SequenceGenerator.Run(model, [Prompts[0]], settings with { Weights = DecodingWeights.Int8 })).Message);
    }

    /// <summary>Expected: the product in fp64 of the numbers as each format has them.</summary>
    [Theory]
    [InlineData(7, 5)]
    [InlineData(64, 48)]
    [InlineData(83, 131)]
    [InlineData(100, 300)]
    public unsafe void Products_of_any_size_are_right(int to, int from)
    {
        foreach (var transposed in new[] { false, true })
            foreach (var format in Enum.GetValues<DecodingWeights>())
            {
                using var weights = transposed ? randn(from, to) : randn(to, from);
                using var bias = randn(to);
                using var matrix = new WeightMatrix(new(weights, bias, transposed), format);
                var (w, b) = ((transposed ? weights.t() : weights).contiguous().data<float>().ToArray(), bias.data<float>().ToArray());
                foreach (var rows in new[] { 1, 3, 4, 7, 8, 13, 16 })
                    foreach (var parts in new[] { 1, 4 })
                    {
                        using var scope = NewDisposeScope();
                        var room = (rows + 7) / 8 * 8;                                    // rows that are not there hold what must not get anywhere
                        var (x, y, partial) = (cat([randn(rows, from), full(room - rows, from, float.NaN)]), zeros(room, to + 3), zeros(parts, room * to));
                        float* px = (float*)TensorMemory.Pointer(x), py = (float*)TensorMemory.Pointer(y), own = (float*)TensorMemory.Pointer(partial);
                        var partials = new float*[parts];
                        for (var part = 0; part < parts; part++) partials[part] = own + (long)part * room * to;
                        for (var part = 0; part < parts; part++) matrix.Multiply(px, rows, py, to + 3, partials[part], part, parts);
                        if (matrix.NeedsGathering)
                            for (var part = 0; part < parts; part++) matrix.Gather(partials, rows, py, to + 3, part, parts);
                        for (var row = 0; row < rows; row++)
                            for (var o = 0; o < to; o++)
                            {
                                var scale = Enumerable.Range(0, from).Max(i => Math.Abs(w[o * from + i])) / 127;
                                double Weight(float v) => format switch { DecodingWeights.AsLoaded => v, DecodingWeights.BFloat16 => BFloat16Weights.Value(BFloat16Weights.Round(v)), _ => (double)(float)Math.Round(v / scale) * scale };
                                var expected = b[o] + Enumerable.Range(0, from).Sum(i => Weight(w[o * from + i]) * px[row * from + i]);
                                Assert.Equal(expected, py[row * (to + 3) + o], 2e-4);
                            }
                    }
            }
    }

    [Fact]
    public void Every_part_of_a_job_is_done_once_and_errors_come_through()
    {
        using var team = new WorkerTeam(4);
        var counts = new int[team.Parts];
        for (var round = 0; round < 20_000; round++) team.Run(part => Interlocked.Increment(ref counts[part]));
        Assert.All(counts, c => Assert.Equal(20_000, c));
        Assert.Contains("part 3", Assert.Throws<InvalidOperationException>(() => team.Run(part => { if (part == 3) throw new ArgumentException("part 3"); })).Message);
        Thread.Sleep(50);                                                     // all asleep
        team.Run(part => Interlocked.Increment(ref counts[part]));
        Assert.All(counts, c => Assert.Equal(20_001, c));
    }

    private static bool IsRead(string name)
    {
        var folder = TestData.Fixture("checkpoints", "tiny", name);
        if (!File.Exists(Path.Combine(folder, "config.json"))) return false;
        var config = ConfigJson.Load(folder, "config.json");
        if (config.ModelType is not ("gpt2" or "llama" or "mistral" or "qwen2" or "qwen3" or "smollm3" or "phi3") || Architectures.HeadOf(config).Head != ModelHead.CausalLM) return false;
        using var model = PretrainedModel.Open(folder).Load();
        using var engine = DecodingEngine.TryMake(model, DecodingWeights.AsLoaded);
        return engine is not null;
    }
}
