using NotebookKit.Adapters;
using NotebookKit.Data;
using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Adapters;

/// <summary>Expected: what a model computes whose matrices hold the rounded numbers.</summary>
public sealed class Int8BaseTests
{
    private static readonly TextDataset Animals = FinetunerTests.Animals;

    [Theory]
    [InlineData("bert-seqcls")]
    [InlineData("gpt2")]
    [InlineData("llama-gqa")]
    [InlineData("t5-v1.0")]
    public void Answers_and_an_adapters_gradients_are_those_of_rounded_weights(string name)
    {
        using var scope = NewDisposeScope();
        using var held = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        using var rounded = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", name)).Load();
        var exact = Answer(held).detach();
        var matrices = held.modules().OfType<IAdaptable>().Distinct().Where(l => l.Kind != LayerKind.Table).Sum(l => l.Weight.numel());
        var free = Int8Base.Hold(held);
        Assert.InRange(free, 2.2 * matrices, 3 * matrices);                      // three of four bytes, less the factors, which weigh more in matrices this small
        using (no_grad())
            foreach (var (one, other) in held.modules().OfType<IAdaptable>().Zip(rounded.modules().OfType<IAdaptable>()))
                if (one.Int8 is not null)
                {
                    var dimension = one.Kind == LayerKind.Transposed ? 0 : 1;
                    var factors = other.Weight.abs().amax([dimension], keepdim: true) / 127;
                    other.Weight.copy_((other.Weight / factors).round() * factors);
                }
        using var mine = Adapter.Add(held, new LoraSettings { Rank = 2 }, seed: 1);
        using var theirs = Adapter.Add(rounded, new LoraSettings { Rank = 2 }, seed: 1);
        using (no_grad())
            foreach (var (one, other) in mine.Parameters().Zip(theirs.Parameters())) { one.Parameter.add_(0.05); other.Parameter.add_(0.05); }
        var (got, expected) = (Answer(held), Answer(rounded));
        Assert.True((got - expected).abs().max().ToDouble() < 1e-5);
        Assert.NotEqual(0, (got - exact).abs().max().ToDouble());
        var weights = rand_like(got);
        (got * weights).sum().backward();
        (expected * weights).sum().backward();
        var compared = 0;
        foreach (var (one, other) in mine.Parameters().Zip(theirs.Parameters()))
        {
            if (one.Parameter.grad is not { } gradient) continue;
            Assert.True((gradient - other.Parameter.grad!).abs().max().ToDouble() <= 1e-4 * Math.Max(1, other.Parameter.grad!.abs().max().ToDouble()), one.Name);
            compared++;
        }
        Assert.True(compared > 4);
    }

    [Theory]
    [InlineData(TrainingPrecision.Float32)]
    [InlineData(TrainingPrecision.BFloat16)]
    public void An_adapter_learns_on_it_and_a_run_goes_on_bit_for_bit(TrainingPrecision precision)
    {
        using var folder = TestData.NewFolder();
        var settings = new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 30, BatchSize = 4, LearningRate = 1e-2, Precision = precision };
        (float[][] Logits, double Loss) Train(FinetuneSettings settings, int? stopAt = null)
        {
            using var stop = new CancellationTokenSource();
            using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
            Int8Base.Hold(classifier.Model);
            using var adapter = Adapter.Add(classifier.Model, new LoraSettings { Rank = 2 });
            var (first, last) = (double.NaN, double.NaN);
            try { new Finetuner(settings).Run(classifier, Animals, null, new Listener(p => { last = p.Loss; if (double.IsNaN(first) && p.BatchLoss is not null) first = p.Loss; if (p.Step == stopAt) stop.Cancel(); }), stop.Token); }
            catch (OperationCanceledException) when (stopAt is not null) { }
            return (classifier.Logits(Animals.Texts), last / first);
        }
        var whole = Train(settings);
        Assert.True(whole.Loss < 0.7, $"{whole.Loss}");
        var kept = settings with { Checkpoints = new CheckpointSettings(folder.Path) { EverySteps = 1 } };
        Train(kept, stopAt: 9);
        Assert.Equal(whole.Logits, Train(kept).Logits);
    }

    [Fact]
    public void An_adapter_trained_on_it_belongs_to_the_base_in_fp32_where_it_can_be_merged()
    {
        using var folder = TestData.NewFolder();
        float[] answer;
        using (var held = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", "bert-seqcls")).Load())
        {
            Int8Base.Hold(held);
            using var adapter = Adapter.Add(held, new LoraSettings { Rank = 2 });
            using (no_grad())
                foreach (var (_, parameter) in adapter.Parameters()) parameter.add_(0.05);
            answer = Numbers(held);
            Assert.Contains("too coarse", Assert.Throws<InvalidOperationException>(() => adapter.Merge()).Message);
            adapter.Save(folder.Path);
            adapter.Deactivate();
            Assert.Contains("save the adapter by itself", Assert.Throws<InvalidOperationException>(() => ModelFolder.Write(held, folder["model"])).Message);
            Assert.Contains("already", Assert.Throws<InvalidOperationException>(() => Int8Base.Hold(held)).Message);
        }
        using var model = PretrainedModel.Open(TestData.Fixture("checkpoints", "tiny", "bert-seqcls")).Load();
        using var loaded = Adapter.Load(model, folder.Path);
        Assert.Contains("in int8 first", Assert.Throws<InvalidOperationException>(() => Int8Base.Hold(model)).Message);
        var near = Numbers(model);
        Assert.All(answer.Zip(near), p => Assert.Equal(p.First, p.Second, 0.1));
        loaded.Merge();
        Assert.All(near.Zip(Numbers(model)), p => Assert.Equal(p.First, p.Second, 1e-5));
    }

    private static float[] Numbers(LanguageModel model)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return Answer(model).contiguous().data<float>().ToArray();
    }

    private static Tensor Answer(LanguageModel model)
    {
        var ids = tensor(new long[] { 5, 17, 42, 9, 30, 8, 21, 33 }, [2, 4]);
        return model switch
        {
            EncoderModel encoder => encoder.forward(new EncoderInputs(ids)),
            DecoderModel decoder => decoder.forward(new DecoderInputs(ids)),
            _ => ((EncoderDecoderModel)model).forward(new EncoderInputs(ids), ids),
        };
    }
}
