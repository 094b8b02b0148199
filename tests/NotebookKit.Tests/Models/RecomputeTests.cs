using System.Text.Json.Nodes;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Tests.Cards;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>Expected: loss and gradients of the same step without recomputation, dropout included.</summary>
public sealed class RecomputeTests
{
    private const string Encoder = "\"vocab_size\":90,\"hidden_size\":32,\"num_hidden_layers\":3,\"num_attention_heads\":4,\"intermediate_size\":64";

    [Theory]
    [InlineData("bert", "\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{\"0\":\"a\",\"1\":\"b\"}," + Encoder)]
    [InlineData("mpnet", "\"architectures\":[\"MPNetForMaskedLM\"]," + Encoder)]
    [InlineData("deberta-v2", "\"architectures\":[\"DebertaV2ForMaskedLM\"],\"relative_attention\":true,\"pos_att_type\":[\"p2c\",\"c2p\"],\"norm_rel_ebd\":\"layer_norm\",\"share_att_key\":true,\"position_buckets\":16,\"position_biased_input\":false,\"type_vocab_size\":0," + Encoder)]
    [InlineData("albert", "\"architectures\":[\"AlbertForMaskedLM\"],\"embedding_size\":16," + Encoder)]
    [InlineData("modernbert", "\"architectures\":[\"ModernBertForMaskedLM\"]," + Encoder)]
    [InlineData("llama", "\"architectures\":[\"LlamaForCausalLM\"],\"num_key_value_heads\":2," + Encoder)]
    [InlineData("gpt2", "\"architectures\":[\"GPT2LMHeadModel\"],\"vocab_size\":90,\"n_embd\":32,\"n_layer\":3,\"n_head\":4")]
    [InlineData("t5", "\"architectures\":[\"T5ForConditionalGeneration\"],\"vocab_size\":90,\"d_model\":32,\"num_layers\":2,\"num_heads\":4,\"d_kv\":8,\"d_ff\":64,\"pad_token_id\":0,\"decoder_start_token_id\":0")]
    [InlineData("bart", "\"architectures\":[\"BartForConditionalGeneration\"],\"vocab_size\":90,\"d_model\":32,\"encoder_layers\":2,\"decoder_layers\":2,\"encoder_attention_heads\":4,\"decoder_attention_heads\":4,\"encoder_ffn_dim\":64,\"decoder_ffn_dim\":64,\"max_position_embeddings\":64,\"pad_token_id\":1,\"decoder_start_token_id\":2,\"bos_token_id\":0,\"eos_token_id\":2")]
    public void Gradients_are_the_same(string type, string fields)
    {
        using var model = Build($$"""{"model_type":"{{type}}",{{fields}}}""");
        var ids = randint(3, 89, [4, 12], dtype: ScalarType.Int64);
        (double Loss, Dictionary<string, float[]> Gradients) Step(bool recomputes)
        {
            model.Dropout.Reseed(4);
            model.RecomputesLayers = recomputes;
            using var scope = NewDisposeScope();
            var loss = Loss(model, ids);
            loss.backward();
            var gradients = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!.data<float>().ToArray());
            foreach (var (_, p) in model.named_parameters()) p.grad = null;
            return (loss.ToDouble(), gradients);
        }
        var (plain, again) = (Step(false), Step(true));
        Assert.Equal(plain.Loss, again.Loss);
        Assert.Equal(plain.Gradients.Keys.Order(), again.Gradients.Keys.Order());
        var largest = plain.Gradients.Max(g => g.Value.Max(Math.Abs));
        foreach (var (name, values) in plain.Gradients)                        // what layers share adds up in another order
            Assert.True(values.Zip(again.Gradients[name], (a, b) => Math.Abs(a - b)).Max() <= 1e-6 * largest, name);
        ids.Dispose();
    }

    [Fact]
    public async Task Activations_take_less_than_half_the_memory()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "peak memory is read from /proc");
        if (!OwnProcess.IsHere)
        {
            await OwnProcess.RunAsync(nameof(Activations_take_less_than_half_the_memory));
            return;
        }
        using var model = Build("""{"model_type":"bert","architectures":["BertForMaskedLM"],"vocab_size":500,"hidden_size":256,"num_hidden_layers":8,"num_attention_heads":4,"intermediate_size":1024}""");
        var ids = randint(3, 499, [16, 128], dtype: ScalarType.Int64);
        double Step(bool recomputes)
        {
            model.RecomputesLayers = recomputes;
            return MemoryTests.Peak(() =>
            {
                using var scope = NewDisposeScope();
                Loss(model, ids).backward();
            });
        }
        Step(false);
        Step(true);
        var (plain, less) = (Step(false), Step(true));
        TestContext.Current.TestOutputHelper?.WriteLine($"{plain / 1e6:F0} MB, recomputed {less / 1e6:F0} MB");
        Assert.True(less < 0.5 * plain, $"{plain / 1e6:F0} MB, recomputed {less / 1e6:F0} MB");
        ids.Dispose();
    }

    /// <summary>An exception there would end the process if it came through libtorch.</summary>
    [Fact]
    public void What_a_layer_needs_and_no_longer_has_is_an_error_and_not_the_end()
    {
        using var model = (EncoderModel)Build($$"""{"model_type":"bert","architectures":["BertForMaskedLM"],{{Encoder}}}""");
        model.RecomputesLayers = true;
        using var scope = NewDisposeScope();
        var ids = randint(3, 89, [2, 6], dtype: ScalarType.Int64);
        var inputs = new EncoderInputs(ids, tensor(new float[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0 }, [2, 6]));
        var loss = model.forward(inputs).sum();
        inputs.Dispose();                                                     // with the bias that every layer adds
        Assert.Contains("once more", Assert.Throws<InvalidOperationException>(() => model.Backward(loss, 1)).Message);
        model.Backward(model.forward(new EncoderInputs(ids)).sum(), 1);
    }

    private static LanguageModel Build(string json)
    {
        var config = new ConfigJson("a test", (JsonObject)JsonNode.Parse(json)!);
        var build = new ModelBuilder(new DropoutMask(1));
        var model = Architectures.Build(config, Architectures.HeadOf(config), build);
        random.manual_seed(2);
        build.Initialise();
        model.train();
        return model;
    }

    private static Tensor Loss(LanguageModel model, Tensor ids) => model switch
    {
        EncoderModel encoder => ModelLoss.Of(encoder.Head, encoder.forward(new EncoderInputs(ids)), encoder.Head.Head == ModelHead.MaskedLM ? ids : zeros(ids.size(0), dtype: ScalarType.Int64)),
        DecoderModel decoder => ModelLoss.Of(decoder.Head, decoder.forward(new DecoderInputs(ids)), ids),
        EncoderDecoderModel pair => ModelLoss.Of(pair.Head, pair.forward(new EncoderInputs(ids), ids), ids),
        _ => throw new InvalidOperationException(),
    };
}
