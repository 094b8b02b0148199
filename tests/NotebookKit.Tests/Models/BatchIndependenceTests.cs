using System.Text.Json.Nodes;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>Expected: what an example gives alone. Nothing it is batched with, and no padding, changes its logits or its gradient.</summary>
public sealed class BatchIndependenceTests
{
    private const string Shape = "\"vocab_size\":90,\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"intermediate_size\":64,\"id2label\":{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"}";

    [Theory]
    [InlineData("bert", "\"architectures\":[\"BertForSequenceClassification\"]")]
    [InlineData("roberta", "\"architectures\":[\"RobertaForSequenceClassification\"]")]
    [InlineData("electra", "\"architectures\":[\"ElectraForSequenceClassification\"],\"embedding_size\":16")]
    [InlineData("albert", "\"architectures\":[\"AlbertForSequenceClassification\"],\"embedding_size\":16")]
    [InlineData("mpnet", "\"architectures\":[\"MPNetForSequenceClassification\"]")]
    [InlineData("modernbert", "\"architectures\":[\"ModernBertForSequenceClassification\"]")]
    [InlineData("deberta-v2", "\"architectures\":[\"DebertaV2ForSequenceClassification\"],\"relative_attention\":true,\"pos_att_type\":[\"p2c\",\"c2p\"]")]
    [InlineData("distilbert", "\"architectures\":[\"DistilBertForSequenceClassification\"],\"dim\":32,\"n_layers\":2,\"n_heads\":4,\"hidden_dim\":64")]
    public void An_example_gives_the_same_alone_and_in_a_batch(string type, string fields)
    {
        var config = new ConfigJson("a test", (JsonObject)JsonNode.Parse($$"""{"model_type":"{{type}}",{{fields}},{{Shape}}}""")!);
        foreach (var pooling in new[] { Pooling.Pooler, Pooling.Mean })
        {
            var build = new ModelBuilder(new DropoutMask(1));
            using var model = (EncoderModel)Architectures.Build(config, new HeadSettings(ModelHead.SequenceClassification, 3, pooling), build);
            torch.random.manual_seed(5);
            build.Initialise();
            model.eval();
            int[] example = [5, 17, 33, 8];
            var (logits, gradients) = Of([example]);
            foreach (var batch in new[] { new[] { example, [40, 41], [9, 8, 7, 6, 5, 4, 3, 22] }, [example, [11, 12, 13, 14]] })
            {
                var (batched, other) = Of(batch);
                Assert.All(logits.Zip(batched), p => Assert.Equal(p.First, p.Second, 1e-5));
                var largest = gradients.Max(g => g.Value.Max(Math.Abs));
                foreach (var (name, values) in gradients) Assert.True(values.Zip(other[name], (a, b) => Math.Abs(a - b)).Max() <= 1e-5 * largest, $"{name}, {pooling}");
            }

            (float[] Logits, Dictionary<string, float[]> Gradients) Of(int[][] rows)
            {
                using var scope = NewDisposeScope();
                using var inputs = new EncoderInputs(Batch.Pad(rows, config.Int("pad_token_id", 0)));
                var first = model.forward(inputs)[0];                         // (C)
                nn.functional.cross_entropy(first.unsqueeze(0), tensor(new[] { 1L })).backward();
                var all = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!.data<float>().ToArray());
                foreach (var (_, p) in model.named_parameters()) p.grad = null;
                return (first.detach().data<float>().ToArray(), all);
            }
        }
    }

    [Fact]
    public void Batches_of_banking77_hold_less_than_five_percent_padding()
    {
        Assert.SkipUnless(DatasetCatalog.IsPresent("banking77"), "banking77 is not on this machine");
        var data = DatasetCatalog.Load("banking77").Train;
        var lengths = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder")).Tokenizer.EncodeAll(data.Texts, 64).Select(r => r.Length).ToArray();
        foreach (var size in new[] { 16, 32, 64 })
        {
            var batches = BatchSampler.Shuffled(lengths, size, new Random(1));
            Assert.InRange(1 - lengths.Sum() / (double)batches.Sum(b => b.Length * b.Max(i => lengths[i])), 0, 0.05);
        }
    }

    [Fact]
    public void A_list_of_texts_is_tokenised_once()
    {
        var tokenizer = Training.FinetunerTests.TinyTokenizer();
        string[] texts = ["a cat sat", "my dog is old"];
        var first = tokenizer.EncodeAll(texts, 16);
        Assert.Equal(texts.Select(t => tokenizer.Encode(t, 16)), first);
        Assert.Same(first, tokenizer.EncodeAll([.. texts], 16));
        Assert.NotSame(first, tokenizer.EncodeAll(texts, 8));
        Assert.Equal([tokenizer.Encode("a cat satmy dog is old", 16)], tokenizer.EncodeAll(["a cat satmy dog is old"], 16));
        foreach (var i in Enumerable.Range(0, 8)) tokenizer.EncodeAll([$"cat {i}"], 16);
        Assert.StartsWith("Text 2 of 3: ", Assert.Throws<ArgumentException>(() => tokenizer.EncodeAll(["a cat", "half a \ud800", "\udc00"], 16)).Message);
        Assert.NotSame(first, tokenizer.EncodeAll(texts, 16));                // only the last few lists are kept
    }
}
