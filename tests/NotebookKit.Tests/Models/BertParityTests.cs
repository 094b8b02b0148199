using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Tests.Models;

/// <summary>Expected values: transformers 5.23 on the same random checkpoints (golden files beside them). Tolerances: logits 1e-4, loss 1e-5, gradients 1e-4 of the largest entry.</summary>
public sealed class BertParityTests
{
    [Fact]
    public void Hidden_states_and_mean_pooling_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var folder = TestData.Fixture("checkpoints", "bert-model");
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
        var model = new BertModel(BertConfig.Load(folder), new DropoutMask());
        Load(model, folder);
        model.eval();
        var (ids, bias, mask, segments) = Inputs(golden, "hidden");
        var hidden = model.Encode(ids, bias, segments);
        AssertClose(golden.Read("hidden/last_hidden_state") * mask, hidden * mask, 1e-4);
        AssertClose(golden.Read("hidden/mean_pooled"), model.Pool(hidden, mask, Pooling.Mean), 1e-4);
    }

    [Fact]
    public void Masked_LM_logits_and_loss_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        var folder = TestData.Fixture("checkpoints", "bert-mlm");
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
        var model = new BertForMaskedLM(BertConfig.Load(folder), new DropoutMask());
        Load(model, folder);
        model.eval();
        var (ids, bias, mask, segments) = Inputs(golden, "batch");
        var logits = model.Logits(model.Encoder.Encode(ids, bias, segments));
        AssertClose(golden.Read("batch/logits") * mask, logits * mask, 1e-4);
        var loss = F.cross_entropy(logits.view(-1, logits.size(2)), golden.Read("batch/labels").view(-1), ignore_index: -100);
        Assert.Equal(golden.Read("batch/loss").ToDouble(), loss.ToDouble(), 1e-5);
    }

    [Fact]
    public void Classifier_logits_loss_and_gradients_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        using var golden = Golden();
        var model = Classifier();
        var (ids, bias, mask, segments) = Inputs(golden, "batch");
        var logits = model.Classify(model.Encoder.Encode(ids, bias, segments), mask);
        AssertClose(golden.Read("batch/logits"), logits, 1e-4);
        var loss = F.cross_entropy(logits, golden.Read("batch/labels"));
        Assert.Equal(golden.Read("batch/loss").ToDouble(), loss.ToDouble(), 1e-5);

        loss.backward();
        var compared = 0;
        foreach (var (name, parameter) in model.named_parameters())
        {
            var expected = golden.Read("grad/" + name);
            Assert.True((expected - parameter.grad!).abs().max().ToDouble() <= 1e-4 * Math.Max(1e-3, expected.abs().max().ToDouble()), $"gradient of {name}");
            compared++;
        }
        Assert.Equal(golden.Tensors.Keys.Count(k => k.StartsWith("grad/", StringComparison.Ordinal)), compared);
    }

    [Fact]
    public void A_row_alone_equals_the_row_in_its_batch()
    {
        using var scope = NewDisposeScope();
        using var golden = Golden();
        var model = Classifier();
        var (ids, bias, mask, segments) = Inputs(golden, "single");
        AssertClose(golden.Read("single/logits"), model.Classify(model.Encoder.Encode(ids, bias, segments), mask), 1e-4);
        AssertClose(golden.Read("batch/logits")[1].unsqueeze(0), model.Classify(model.Encoder.Encode(ids, bias, segments), mask), 1e-4);
    }

    /// <summary>torch's AdamW with clipping and transformers' linear schedule over ten batches; losses within 1e-4, final logits within 1e-3.</summary>
    [Fact]
    public void Ten_training_steps_equal_the_reference()
    {
        using var scope = NewDisposeScope();
        using var golden = Golden();
        var trained = JsonDocument.Parse(File.ReadAllText(TestData.Fixture("checkpoints", "bert-seqcls", "golden.json"))).RootElement.GetProperty("cases").GetProperty("trained");
        var model = Classifier();
        using var optimizer = new AdamW(model.named_parameters(), new AdamWSettings { WeightDecay = 0.01, ClipNorm = 1 });
        var schedule = new LinearWarmup(3, 12);
        for (var step = 0; step < 10; step++)
        {
            var (ids, bias, mask, _) = Inputs(golden, $"train{step}");
            var loss = F.cross_entropy(model.forward(ids, bias, mask), golden.Read($"train{step}/labels"));
            Assert.Equal(trained.GetProperty("losses")[step].GetDouble(), loss.ToDouble(), 1e-4);
            loss.backward();
            Assert.Equal(trained.GetProperty("lrs")[step].GetDouble(), 2e-3 * schedule.FactorAt(step), 1e-12);
            Assert.Equal(trained.GetProperty("grad_norms")[step].GetDouble(), optimizer.Step(2e-3 * schedule.FactorAt(step)), 1e-3);
        }
        var (lastIds, lastBias, lastMask, segments) = Inputs(golden, "trained");
        AssertClose(golden.Read("trained/logits"), model.Classify(model.Encoder.Encode(lastIds, lastBias, segments), lastMask), 1e-3);
    }

    /// <summary>Expected values: sentence-transformers' all-MiniLM-L6-v2, computed in fp32 (shared data; skipped where it is absent).</summary>
    [Fact]
    public void MiniLM_sentence_embeddings_equal_the_reference()
    {
        var folder = TestData.RequireShared("reference/checkpoints/real/all-MiniLM-L6-v2");
        using var scope = NewDisposeScope();
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
        var encoder = PretrainedEncoder.Open(folder);
        var texts = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json"))).RootElement.GetProperty("texts").EnumerateArray().Select(t => t.GetString()!).ToArray();
        var ids = golden.Read("input_ids").data<long>().ToArray();
        var lengths = golden.Read("attention_mask").sum(1).data<long>().ToArray();
        for (var i = 0; i < texts.Length; i++)
            Assert.Equal(ids.AsSpan(i * ids.Length / texts.Length, (int)lengths[i]).ToArray(), encoder.Tokenizer.Encode(texts[i], 128).Select(t => (long)t));
        var embeddings = NotebookKit.Pretraining.TeacherEmbeddings.Embed(encoder.LoadEncoder(), encoder.Tokenizer, texts, maximumLength: 128);
        AssertClose(golden.Read("embeddings"), embeddings, 1e-4);
    }

    private static SafetensorsFile Golden() => SafetensorsFile.Open(TestData.Fixture("checkpoints", "bert-seqcls", "golden.safetensors"));

    private static BertForSequenceClassification Classifier()
    {
        var folder = TestData.Fixture("checkpoints", "bert-seqcls");
        var model = new BertForSequenceClassification(BertConfig.Load(folder), 3, new DropoutMask());
        Load(model, folder);
        model.eval();
        return model;
    }

    private static void Load(nn.Module model, string folder)
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        var prefix = model is BertModel ? "bert." : "";
        var report = ParameterLoader.Load(model.named_parameters().Select(p => (prefix + p.name, p.parameter)), file, "bert.");
        Assert.Empty(report.Missing);
    }

    private static (Tensor Ids, Tensor Bias, Tensor Mask, Tensor? Segments) Inputs(SafetensorsFile golden, string name)
    {
        var mask = golden.Read($"{name}/attention_mask").to(ScalarType.Float32);
        var segments = golden.Tensors.ContainsKey($"{name}/token_type_ids") ? golden.Read($"{name}/token_type_ids") : null;
        return (golden.Read($"{name}/input_ids"), ((mask - 1) * 1e9f).view(mask.size(0), 1, 1, mask.size(1)), mask.unsqueeze(2), segments);
    }

    private static void AssertClose(Tensor expected, Tensor got, double tolerance)
    {
        Assert.Equal(expected.shape, got.shape);
        var worst = (expected - got).abs().max().ToDouble();
        Assert.True(worst <= tolerance, $"worst deviation {worst:E2}, allowed {tolerance:E2}");
    }
}
