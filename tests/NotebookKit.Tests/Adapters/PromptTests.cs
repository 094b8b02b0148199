using System.Text.Json.Nodes;
using NotebookKit.Adapters;
using NotebookKit.Generation;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Adapters;

/// <summary>What stands before a sequence: prompts and prefixes, read and written with.</summary>
public class PromptTests
{
    /// <summary>Expected: the way without a cache, which computes every token anew.</summary>
    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama-gqa")]
    [InlineData("gpt-neox")]
    [InlineData("qwen3")]
    public void Text_is_written_with_an_adapter_with_and_without_a_cache_in_a_batch_and_alone(string name)
    {
        int[][] prompts = [[5, 17, 42, 9], [8, 3], [3, 8, 13, 18, 23, 28]];
        foreach (var settings in new AdapterSettings[] { new LoraSettings { Rank = 2 }, new PromptSettings { Tokens = 3 }, new PrefixSettings { Tokens = 3 } })
        {
            using var model = Open(name);
            var greedy = new GenerationSettings { MaximumNewTokens = 12 };
            var alone = SequenceGenerator.Run(model, prompts, greedy).Select(s => s.Ids).ToArray();
            using var adapter = Adapter.Add(model, settings, seed: 2);
            using (no_grad())
                foreach (var (_, parameter) in adapter.Parameters()) parameter.add_(randn_like(parameter) * 0.5);
            var written = SequenceGenerator.Run(model, prompts, greedy).Select(s => s.Ids).ToArray();
            Assert.NotEqual(alone, written);
            Assert.Equal(written, SequenceGenerator.Run(model, prompts, greedy with { UseCache = false }).Select(s => s.Ids));
            for (var row = 0; row < prompts.Length; row++) Assert.Equal(written[row], SequenceGenerator.Run(model, [prompts[row]], greedy)[0].Ids);
            adapter.Deactivate();
            Assert.Equal(alone, SequenceGenerator.Run(model, prompts, greedy).Select(s => s.Ids));
        }
    }

    /// <summary>Expected: PEFT's definition, by hand. The prompt's vectors, as they are, stand before the source's in the encoder alone; the decoder sees them in what the encoder gives.</summary>
    [Theory]
    [InlineData("t5-v1.0")]
    [InlineData("bart")]
    [InlineData("mbart")]
    public void A_prompt_stands_before_the_source_of_an_encoder_decoder(string name)
    {
        using var scope = NewDisposeScope();
        using var model = (EncoderDecoderModel)Open(name);
        var (ids, target) = (tensor(new long[] { 5, 17, 42, 9 }).unsqueeze(0), tensor(new long[] { 2, 8, 3 }).unsqueeze(0));
        using var adapter = Adapter.Add(model, new PromptSettings { Tokens = 2 }, seed: 4);
        var table = model.OwnParameters().First(p => p.Name.EndsWith("shared.weight", StringComparison.Ordinal)).Parameter;
        Tensor with;
        using (no_grad())
        {
            // The vectors are those of tokens 30 and 31, times what the model multiplies its tokens by: then the prompt is these tokens.
            var scale = model.Config.Flag("scale_embedding", false) ? Math.Sqrt(table.size(1)) : 1;
            adapter.Parameters().Single().Parameter.narrow(0, 0, 2).copy_(table.narrow(0, 30, 2) * scale);
            with = model.forward(new EncoderInputs(ids), target);
        }
        Assert.Equal(4, adapter.Parameters().Single().Parameter.size(0));
        var written = SequenceGenerator.Run(model, [[5, 17, 42, 9], [8, 3]], new GenerationSettings { MaximumNewTokens = 6 }).Select(s => s.Ids).ToArray();
        adapter.Deactivate();
        using var noGradient = no_grad();
        Near(model.forward(new EncoderInputs(tensor(new long[] { 30, 31, 5, 17, 42, 9 }).unsqueeze(0)), target), with);
        Assert.Equal(SequenceGenerator.Run(model, [[30, 31, 5, 17, 42, 9], [30, 31, 8, 3]], new GenerationSettings { MaximumNewTokens = 6 }).Select(s => s.Ids), written);
    }

    /// <summary>Expected: PEFT's definition: the table with its factor gives the text's vectors, the prompt's stand as they are beside them.</summary>
    [Fact]
    public void A_prompt_of_a_model_that_multiplies_its_embeddings_is_not_multiplied()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var model = (DecoderModel)Open("gemma3");
        using var adapter = Adapter.Add(model, new PromptSettings { Tokens = 2 });
        var table = model.OwnParameters().First(p => p.Name.EndsWith("embed_tokens.weight", StringComparison.Ordinal)).Parameter;
        adapter.Parameters().Single().Parameter.copy_(table.narrow(0, 30, 2) * Math.Sqrt(table.size(1)));                       // then the prompt is tokens 30 and 31
        var with = model.forward(new DecoderInputs(tensor(new long[] { 5, 17, 42, 9 }).unsqueeze(0)));
        adapter.Deactivate();
        var tokens = model.forward(new DecoderInputs(tensor(new long[] { 30, 31, 5, 17, 42, 9 }).unsqueeze(0)));
        Near(tokens, with);
    }

    /// <summary>Expected: PEFT's definition, by hand: the vectors are doubled and cut into four a layer, of which the first two stand before the target's own keys and values, at places of their own.</summary>
    [Theory]
    [InlineData("t5-v1.0")]
    [InlineData("bart")]
    [InlineData("mbart")]
    [InlineData("marian")]
    public void A_prefix_of_an_encoder_decoder_stands_before_the_target(string name)
    {
        using var scope = NewDisposeScope();
        using var model = WithEqualHeads(name);
        int[][] prompts = [[5, 17, 42, 9], [8, 3]];
        var greedy = new GenerationSettings { MaximumNewTokens = 6 };
        var (ids, target) = (tensor(new long[] { 5, 17, 42, 9 }).unsqueeze(0), tensor(new long[] { 2, 8, 3 }).unsqueeze(0));
        using var adapter = Adapter.Add(model, new PrefixSettings { Tokens = 3 }, seed: 4);
        var vectors = adapter.Parameters().Single().Parameter;
        using (no_grad()) vectors.copy_(randn_like(vectors));
        var logits = model.forward(new EncoderInputs(ids), target);
        logits.sum().backward();
        Assert.True(vectors.grad!.abs().sum().item<float>() > 0);
        var written = SequenceGenerator.Run(model, prompts, greedy).Select(s => s.Ids).ToArray();
        Assert.Equal(written, SequenceGenerator.Run(model, prompts, greedy with { UseCache = false }).Select(s => s.Ids));
        for (var row = 0; row < prompts.Length; row++) Assert.Equal(written[row], SequenceGenerator.Run(model, [prompts[row]], greedy)[0].Ids);
        adapter.Deactivate();
        using var noGradient = no_grad();
        var (heads, width) = (model.Config.Int(["num_heads", "decoder_attention_heads"], 1), model.Config.Int("d_model"));
        var layers = (int)(vectors.size(1) / (2 * width));
        var one = vectors.view(1, 3, 2 * layers, heads, width / heads);
        var four = cat([one, one], 2).permute(2, 0, 3, 1, 4).split(4);                                                              // layers × (4, 1, H, 3, d)
        using var cache = new KeyValueCache([.. four.Select(l => (l[0][0], l[1][0]))], keeps: false);
        var source = new EncoderInputs(ids);
        var expected = model.Logits(model.Decode(new DecoderInputs(target, past: 3), model.Encode(source), source, cache));
        Near(expected, logits);
        Assert.True((logits - model.forward(source, target)).abs().max().item<float>() > 0.01);
    }

    private static LanguageModel Open(string name) => PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();

    /// <summary>A model like a tiny one, whose decoder has as many heads as its encoder.</summary>
    private static EncoderDecoderModel WithEqualHeads(string name)
    {
        var json = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(TestData.Fixture("checkpoints", "tiny", name), "config.json")))!;
        if (json["encoder_attention_heads"] is { } heads) json["decoder_attention_heads"] = heads.DeepClone();
        var config = new ConfigJson(name, json);
        manual_seed(3);
        var build = new ModelBuilder(new DropoutMask()) { Deviation = 0.3 };
        var model = (EncoderDecoderModel)Architectures.Build(config, Architectures.HeadOf(config), build);
        build.Initialise();
        model.eval();
        return model;
    }

    private static void Near(Tensor expected, Tensor got) => Assert.True((expected - got).abs().max().item<float>() < 1e-5, $"{(expected - got).abs().max().item<float>()} apart");
}
