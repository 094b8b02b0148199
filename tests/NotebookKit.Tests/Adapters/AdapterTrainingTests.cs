using NotebookKit.Adapters;
using NotebookKit.Data;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Adapters;

/// <summary>An adapter goes through the same loop as a model; expected values follow from what an adapter is.</summary>
public sealed class AdapterTrainingTests
{
    private static readonly TextDataset Animals = FinetunerTests.Animals;

    [Theory]
    [InlineData("lora")]
    [InlineData("dora")]
    [InlineData("ia3")]
    [InlineData("bottleneck")]
    [InlineData("bitfit")]
    [InlineData("prompt")]
    [InlineData("prefix")]
    public void An_adapter_learns_and_the_base_does_not_change_by_a_bit(string method)
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        var before = Base(classifier);
        using var adapter = Adapter.Add(classifier.Model, Method(method));
        var history = new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 60, BatchSize = 4, LearningRate = 2e-2 }).Run(classifier, Animals);
        Assert.True(history.Epochs[^1].TrainLoss < 0.8 * history.Epochs[0].TrainLoss, $"{history.Epochs[0].TrainLoss} to {history.Epochs[^1].TrainLoss}");
        adapter.Deactivate();
        Assert.Equal(before, Base(classifier));
    }

    /// <summary>Expected: the whole run's weights, bit for bit; masters, moments and the adapter's own dropout included.</summary>
    [Theory]
    [InlineData(TrainingPrecision.Float32)]
    [InlineData(TrainingPrecision.BFloat16)]
    public void A_run_that_is_stopped_goes_on_bit_for_bit(TrainingPrecision precision)
    {
        using var folder = TestData.NewFolder();
        var settings = new FinetuneSettings { Epochs = 4, BatchSize = 3, LearningRate = 1e-2, Precision = precision };
        float[][] Train(FinetuneSettings settings, int? stopAt = null)
        {
            using var stop = new CancellationTokenSource();
            using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
            using var adapter = Adapter.Add(classifier.Model, new LoraSettings { Rank = 2, Dropout = 0.2 });
            try { new Finetuner(settings).Run(classifier, Animals, null, new Listener(p => { if (p.Step == stopAt) stop.Cancel(); }), stop.Token); }
            catch (OperationCanceledException) when (stopAt is not null) { }
            return classifier.Logits(Animals.Texts);
        }
        var whole = Train(settings);
        var kept = settings with { Checkpoints = new CheckpointSettings(folder.Path) { EverySteps = 1 } };
        Assert.NotEqual(whole, Train(kept, stopAt: 5));
        Assert.Equal(whole, Train(kept));
    }

    /// <summary>Adam's first step is as long as the rate for every number, whatever its gradient.</summary>
    [Fact]
    public void LoRA_plus_lets_B_learn_faster()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        using var adapter = Adapter.Add(classifier.Model, new LoraSettings { Rank = 2, RateRatio = 16 });
        // A has no gradient while B is 0.
        using (no_grad())
            foreach (var (name, parameter) in adapter.Parameters().Where(p => p.Name.EndsWith("lora_B.weight", StringComparison.Ordinal))) parameter.add_(0.1);
        var before = adapter.Parameters().ToDictionary(p => p.Name, p => p.Parameter.detach().clone());
        new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 1, BatchSize = 64, LearningRate = 1e-4, WarmupShare = 0, Optimizer = new AdamWSettings { WeightDecay = 0 } }).Run(classifier, Animals);
        double Moved(string end) => adapter.Parameters().Where(p => p.Name.EndsWith(end, StringComparison.Ordinal)).Max(p => (p.Parameter.detach() - before[p.Name]).abs().max().ToDouble());
        Assert.Equal(16, Moved("lora_B.weight") / Moved("lora_A.weight"), 0.05);
        Assert.Equal(1e-4, Moved("lora_A.weight"), 1e-6);
    }

    [Fact]
    public void Frozen_layers_hold_for_an_adapter_too_and_are_thawed_as_they_were()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        using var adapter = Adapter.Add(classifier.Model, new LoraSettings { Rank = 2 });
        var asking = Asking(classifier);
        var low = adapter.Parameters().Where(p => p.Name.Contains("layer.0.", StringComparison.Ordinal)).ToDictionary(p => p.Name, p => p.Parameter.detach().data<float>().ToArray());
        Assert.NotEmpty(low);
        new Finetuner(new FinetuneSettings { Epochs = 2, BatchSize = 4, LearningRate = 1e-2, FrozenLayers = 1 }).Run(classifier, Animals);
        foreach (var (name, parameter) in adapter.Parameters())
            if (low.TryGetValue(name, out var values)) Assert.Equal(values, parameter.detach().data<float>().ToArray());
        Assert.Contains(adapter.Parameters(), p => p.Name.Contains("layer.1.", StringComparison.Ordinal) && p.Name.Contains("lora_B", StringComparison.Ordinal) && p.Parameter.abs().max().ToDouble() > 0);
        Assert.Equal(asking, Asking(classifier));                            // the base, frozen by the adapter, was not thawed
    }

    [Fact]
    public void Finder_and_estimate_put_an_adapter_back()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        using var adapter = Adapter.Add(classifier.Model, new LoraSettings { Rank = 2 });
        var before = classifier.Logits(Animals.Texts);
        foreach (var precision in Enum.GetValues<TrainingPrecision>())
        {
            var settings = new FinetuneSettings { BatchSize = 4, Precision = precision };
            _ = CostEstimate.Of(classifier, Animals, settings);
            Assert.Equal(before, classifier.Logits(Animals.Texts));
        }
        _ = LearningRateFinder.Run(classifier, Animals, new FinetuneSettings { BatchSize = 4 });
        Assert.Equal(before, classifier.Logits(Animals.Texts));
    }

    private static AdapterSettings Method(string name) => name switch
    {
        "lora" => new LoraSettings { Rank = 2 }, "dora" => new LoraSettings { Rank = 2, DecomposesWeights = true }, "ia3" => new Ia3Settings(), "bottleneck" => new BottleneckSettings { Width = 8 },
        "bitfit" => new BitFitSettings(), "prompt" => new PromptSettings { Tokens = 4 }, _ => new PrefixSettings { Tokens = 4 },
    };

    private static string[] Asking(TextClassifier classifier) => [.. classifier.Model.named_parameters().Where(p => p.parameter.requires_grad).Select(p => p.name)];

    private static Dictionary<string, float[]> Base(TextClassifier classifier) => classifier.Model.OwnParameters().ToDictionary(p => p.Name, p => p.Parameter.detach().data<float>().ToArray());
}
