using NotebookKit.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>Expected: the same logits and gradients as with the whole last layer, which the conformance cases hold against the reference.</summary>
public sealed class ShortLastLayerTests
{
    [Theory]
    [InlineData("bert-seqcls")]
    [InlineData("xlm-roberta-seqcls")]
    [InlineData("electra-seqcls")]
    public void A_classifier_of_the_first_token_needs_the_last_layer_there_alone(string name)
    {
        var folder = TestData.Fixture("checkpoints", "tiny", name);
        Assert.SkipUnless(Directory.Exists(folder), $"{name} is not among the fixtures");
        using var scope = NewDisposeScope();
        using var model = (EncoderModel)PretrainedModel.Open(folder).Load();
        var ids = tensor(new long[] { 5, 9, 11, 7, 6, 8, 12, 3, 10, 4, 1, 1 }, [2, 6]);
        var mask = tensor(new float[] { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0 }, [2, 6]);
        (Tensor Logits, Dictionary<string, Tensor> Gradients) Run(bool shortens)
        {
            model.ShortensLastLayer = shortens;
            var logits = model.forward(new EncoderInputs(ids, mask));
            logits.square().sum().backward();
            var gradients = model.named_parameters().Where(p => p.parameter.grad is not null).ToDictionary(p => p.name, p => p.parameter.grad!.clone());
            foreach (var (_, parameter) in model.named_parameters()) parameter.grad = null;
            return (logits, gradients);
        }
        var (whole, first) = (Run(false), Run(true));
        Assert.InRange((whole.Logits - first.Logits).abs().max().ToDouble(), 0, 1e-5);
        Assert.Equal(whole.Gradients.Keys.Order(), first.Gradients.Keys.Order());
        var largest = whole.Gradients.Values.Max(g => g.abs().max().ToDouble());
        Assert.All(whole.Gradients, g => Assert.InRange((g.Value - first.Gradients[g.Key]).abs().max().ToDouble(), 0, 1e-5 * largest));
    }
}
