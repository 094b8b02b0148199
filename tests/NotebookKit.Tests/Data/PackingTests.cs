using System.Text.Json.Nodes;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Optimizers;
using NotebookKit.Training;
using TorchSharp;

namespace NotebookKit.Tests.Data;

/// <summary>Packing changes where documents stand and nothing else.</summary>
public sealed class PackingTests
{
    private const string Decoder = "\"vocab_size\":90,\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"intermediate_size\":64,\"max_position_embeddings\":64";

    private static readonly int[][] Documents = [.. new[] { 9, 3, 14, 6, 2, 11 }.Select((n, d) => Enumerable.Range(0, n).Select(t => 5 + (7 * d + 3 * t) % 80).ToArray())];

    /// <summary>Expected: loss and gradient of the same documents, a row each.</summary>
    [Theory]
    [InlineData("gpt2", "\"architectures\":[\"GPT2LMHeadModel\"],\"vocab_size\":90,\"n_embd\":32,\"n_layer\":2,\"n_head\":4,\"n_positions\":64")]
    [InlineData("llama", "\"architectures\":[\"LlamaForCausalLM\"],\"num_key_value_heads\":2," + Decoder)]
    [InlineData("mistral", "\"architectures\":[\"MistralForCausalLM\"],\"num_key_value_heads\":2,\"sliding_window\":4," + Decoder)]
    [InlineData("gemma3_text", "\"architectures\":[\"Gemma3ForCausalLM\"],\"num_key_value_heads\":2,\"head_dim\":8,\"sliding_window\":4,\"layer_types\":[\"sliding_attention\",\"full_attention\"],\"query_pre_attn_scalar\":8," + Decoder)]
    [InlineData("gpt_neox", "\"architectures\":[\"GPTNeoXForCausalLM\"]," + Decoder)]
    public void Packed_documents_have_the_loss_and_gradient_of_single_ones(string type, string fields)
    {
        var config = new ConfigJson("a test", (JsonObject)JsonNode.Parse($$"""{"model_type":"{{type}}",{{fields}}}""")!);
        var build = new ModelBuilder(new DropoutMask(1));
        using var model = (DecoderModel)Architectures.Build(config, Architectures.HeadOf(config), build);
        torch.random.manual_seed(3);
        build.Initialise();
        model.eval();                                                         // no dropout: packed rows draw other masks
        var rows = PackedBatch.Plan([.. Documents.Select(d => d.Length)], 20);
        Assert.Equal(3, rows.Length);
        var (single, packed, parts) = (Gradients(Enumerable.Range(0, Documents.Length).Select(i => new[] { new[] { i } })), Gradients([rows]), Gradients(rows.Select(r => new[] { r })));
        foreach (var other in new[] { packed, parts })
        {
            Assert.Equal(single.Loss, other.Loss, 1e-5);
            var largest = single.Of.Max(g => g.Value.Max(Math.Abs));
            foreach (var (name, values) in single.Of) Assert.True(values.Zip(other.Of[name], (a, b) => Math.Abs(a - b)).Max() <= 2e-5 * largest, name);
        }

        (double Loss, Dictionary<string, float[]> Of) Gradients(IEnumerable<int[][]> batches)
        {
            using var step = new CausalStep(model, new AdamWSettings());
            var loss = step.Backward([.. batches.Select(b => PackedBatch.Pack(Documents, b, padId: 0))]);
            var all = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!.data<float>().ToArray());
            foreach (var (_, p) in model.named_parameters()) p.grad = null;
            return (loss, all);
        }
    }

    [Fact]
    public void A_plan_holds_every_document_once_and_wastes_little()
    {
        var random = new Random(4);
        // Lengths as performance.md has them: lognormal, mean about 20, at most 64.
        var lengths = Enumerable.Range(0, 3000).Select(_ => Math.Clamp((int)Math.Exp(2.8 + 0.7 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())), 1, 64)).ToArray();
        var rows = PackedBatch.Plan(lengths, 128);
        Assert.Equal(Enumerable.Range(0, lengths.Length), rows.SelectMany(r => r).Order());
        Assert.All(rows, r => Assert.InRange(r.Sum(d => lengths[d]), 1, 128));
        Assert.InRange(1 - lengths.Sum() / (128.0 * rows.Length), 0, 0.01);
        Assert.Contains("document 1 has 129", Assert.Throws<ArgumentException>(() => PackedBatch.Plan([3, 129], 128)).Message);
    }

    [Fact]
    public void Checks_find_labels_that_do_not_line_up_padding_that_is_learned_and_ends_that_are_not()
    {
        const int End = 2;
        int[][] documents = [[7, 8, 9, End], [5, End]];
        var batch = PackedBatch.Pack(documents, [[0], [1]], padId: End);     // padding is the end token: the usual trap
        batch.Check(End);
        Assert.Equal([8, 9, End, -100, End, -100, -100, -100], batch.Targets);
        Assert.Equal([1, 1, 1, 1, 1, 1, 0, 0], batch.Documents);
        Assert.Equal([0, 1, 2, 3, 0, 1, 0, 0], batch.Positions);
        void Fails(string why, int at, long target)
        {
            var targets = batch.Targets.ToArray();
            targets[at] = target;
            Assert.Contains(why, Assert.Throws<InvalidOperationException>(() => (batch with { Targets = targets }).Check(End)).Message);
        }
        Fails("do not line up", 1, 8);
        Fails("padding has the target", 6, End);
        Fails("the last token of a document has the target", 3, 5);
        Fails("learn to stop", 2, PackedBatch.NoTarget);
        var answers = PackedBatch.Pack(documents, [[0, 1]], padId: End, learned: [[false, false, true, true], [false, true]]);
        Assert.Equal([-100, 9, End, -100, End, -100], answers.Targets);
        answers.Check(End);
    }

    [Fact]
    public void A_small_decoder_learns_packed_documents_by_heart()
    {
        var config = new ConfigJson("a test", (JsonObject)JsonNode.Parse($$"""{"model_type":"llama","architectures":["LlamaForCausalLM"],{{Decoder}}}""")!);
        var build = new ModelBuilder(new DropoutMask(1));
        using var model = (DecoderModel)Architectures.Build(config, Architectures.HeadOf(config), build);
        torch.random.manual_seed(3);
        build.Initialise();
        model.train();
        using var step = new CausalStep(model, new AdamWSettings());
        var batch = PackedBatch.Pack(Documents, PackedBatch.Plan([.. Documents.Select(d => d.Length)], 24), padId: 0);
        var first = step.Run([batch], 5e-3);
        Assert.InRange(first, Math.Log(90) - 0.5, Math.Log(90) + 0.5);        // a fresh model guesses evenly
        var last = 0.0;
        for (var i = 0; i < 150; i++) last = step.Run([batch], 5e-3);
        Assert.True(last < 0.1 * first, $"{first} to {last}");
    }
}
