using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>From text to vector, tokenizer included; logits, losses, gradients and generation of every architecture are checked by the tool's conformance tests.</summary>
public sealed class SentenceEmbeddingTests
{
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

    private static void AssertClose(Tensor expected, Tensor got, double tolerance)
    {
        Assert.Equal(expected.shape, got.shape);
        var worst = (expected - got).abs().max().ToDouble();
        Assert.True(worst <= tolerance, $"worst deviation {worst:E2}, allowed {tolerance:E2}");
    }
}
