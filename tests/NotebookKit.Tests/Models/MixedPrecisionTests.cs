using NotebookKit.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>Expected: what the model gives in fp32, within what the eight bits of bf16 leave; gradients arrive everywhere that fp32's do, and are finite.</summary>
public sealed class MixedPrecisionTests
{
    public static TheoryData<string> Names => [.. Directory.GetDirectories(TestData.Fixture("checkpoints", "tiny")).Select(f => Path.GetFileName(f)!).Where(n => n.EndsWith("-seqcls", StringComparison.Ordinal) && n != "gpt2-seqcls")];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_encoder_trains_in_bf16(string name)
    {
        using var scope = NewDisposeScope();
        using var model = (EncoderModel)PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        var ids = tensor(new long[] { 5, 9, 11, 7, 6, 8, 12, 3, 10, 4, 1, 1 }, [2, 6]);
        var mask = tensor(new float[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0 }, [2, 6]);
        (Tensor Logits, HashSet<string> Reached) Run()
        {
            var logits = model.forward(new EncoderInputs(ids, mask, attentionType: model.DataType));
            logits.to(ScalarType.Float32).square().sum().backward();
            var reached = model.named_parameters().Where(p => p.parameter.grad is not null).Select(p => p.name).ToHashSet();
            Assert.All(model.named_parameters().Where(p => p.parameter.grad is not null), p => Assert.True(p.parameter.grad!.isfinite().all().item<bool>(), p.name));
            foreach (var (_, parameter) in model.named_parameters()) parameter.grad = null;
            return (logits, reached);
        }
        var exact = Run();
        model.ComputeIn(ScalarType.BFloat16);
        var rounded = Run();
        Assert.Equal(exact.Reached.Order(), rounded.Reached.Order());
        Assert.InRange((exact.Logits - rounded.Logits).abs().max().ToDouble(), 0, 0.1 * Math.Max(1, exact.Logits.abs().max().ToDouble()));
        model.train();
        _ = Run();
    }
}
