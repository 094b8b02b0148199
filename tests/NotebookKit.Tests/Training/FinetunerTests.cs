using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Pipelines;
using NotebookKit.Text;
using NotebookKit.Training;
using TorchSharp;

namespace NotebookKit.Tests.Training;

/// <summary>The mathematics of the loop on a tiny encoder; expected values follow from the definitions.</summary>
public sealed class FinetunerTests
{
    private static readonly PretrainedEncoder Tiny = new("", new ConfigJson("a test", new BertConfig { VocabularySize = 60, HiddenSize = 16, Layers = 2, Heads = 2, IntermediateSize = 32, MaximumPositions = 32 }.ToJson("BertModel")), TinyTokenizer());

    [Fact]
    public void A_small_set_can_be_overfitted()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        var history = new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 80, BatchSize = 4, LearningRate = 5e-3 }).Run(classifier, Animals);
        Assert.Equal(1.0, Finetuner.Measure(classifier, Animals).Accuracy);
        Assert.True(history.Epochs[^1].TrainLoss < 0.2 * history.Epochs[0].TrainLoss);
    }

    [Fact]
    public void Same_seed_same_run_bit_for_bit()
    {
        float[][] Train(int seed)
        {
            using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed);
            new Finetuner(new FinetuneSettings { Epochs = 3, BatchSize = 3, Seed = seed }).Run(classifier, Animals);
            return classifier.Logits(Animals.Texts);
        }
        var (first, second, other) = (Train(5), Train(5), Train(6));
        Assert.Equal(first, second);
        Assert.NotEqual(first, other);
    }

    [Fact]
    public void Best_weights_on_validation_are_restored()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 1);
        var history = new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 12, BatchSize = 4, LearningRate = 2e-2 }).Run(classifier, Animals, Animals);
        var best = history.Epochs.OrderByDescending(e => e.ValidationAccuracy).ThenBy(e => e.ValidationLoss).First();
        Assert.Equal(best.Epoch, history.BestEpoch);
        var (loss, accuracy) = Finetuner.Measure(classifier, Animals);
        Assert.Equal(best.ValidationAccuracy, accuracy);
        Assert.Equal(best.ValidationLoss!.Value, loss, 1e-6);
    }

    /// <summary>On a validation part with swapped labels every step makes things worse, so the start stays the best and patience runs out.</summary>
    [Fact]
    public void Patience_stops_a_run_that_gets_worse_and_the_start_is_restored()
    {
        var swapped = Animals.With("swapped", Animals.Select(e => e with { Label = e.Label == "cat" ? "dog" : "cat" }));
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 5);
        var history = new Finetuner(new FinetuneSettings { Epochs = 50, Patience = 2, LearningRate = 3e-3, BatchSize = 2 }).Run(classifier, Animals, swapped);
        Assert.True(history.StoppedEarly);
        Assert.Equal((0, 2), (history.BestEpoch, history.Epochs.Count));

        using var probe = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 5);
        LinearProbe.FitHead(probe, Animals);
        Assert.Equal(probe.Logits(Animals.Texts), classifier.Logits(Animals.Texts));
    }

    [Fact]
    public void Head_only_training_leaves_the_encoder_as_it_was()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 2);
        var before = classifier.Features(Animals.Texts);
        new Finetuner(new FinetuneSettings { Trained = Trained.HeadOnly }).Run(classifier, Animals);
        Assert.Equal(before, classifier.Features(Animals.Texts));
        Assert.True(Finetuner.Measure(classifier, Animals).Accuracy > 0.9, "a probe on random features of eight short texts separates them");
    }

    [Fact]
    public void A_cancelled_run_throws_and_reports_were_made()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 2);
        using var cancel = new CancellationTokenSource();
        var steps = 0;
        Assert.Throws<OperationCanceledException>(() => new Finetuner(new FinetuneSettings { Epochs = 100 }).Run(classifier, Animals, null,
            new Progress(_ => { if (++steps == 3) cancel.Cancel(); }), cancel.Token));
        Assert.Equal(3, steps);
    }

    [Fact]
    public void Steps_do_not_leak_tensors()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 2);
        long live = 0;
        var steps = 0;
        new Finetuner(new FinetuneSettings { Epochs = 60, BatchSize = 2 }).Run(classifier, Animals, null, new Progress(_ =>
        {
            if (++steps == 20)
            {
                // What other tests left to the finalizer goes first, else it would go while this one counts.
                for (var i = 0; i < 2; i++)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
                live = torch.Tensor.TotalCount;
            }
            else if (steps == 200) Assert.Equal(live, torch.Tensor.TotalCount);
        }));
        Assert.True(steps >= 200);
    }

    [Fact]
    public void Classes_of_another_task_are_refused()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, new LabelSet(["x", "y"]), seed: 2);
        Assert.Contains("animals", Assert.Throws<ArgumentException>(() => new Finetuner(new FinetuneSettings()).Run(classifier, Animals)).Message);
    }

    [Fact]
    public void Settings_out_of_range_are_refused_by_name()
    {
        Assert.Contains("LearningRate", Assert.Throws<ArgumentOutOfRangeException>(() => new FinetuneSettings { LearningRate = 0 }.Validate()).Message);
        Assert.Contains("Patience", Assert.Throws<ArgumentOutOfRangeException>(() => new FinetuneSettings { Patience = 0 }.Validate()).Message);
    }

    internal static TextDataset Animals { get; } = new("animals",
    [
        new("a cat sat", "cat"), new("my cat is old", "cat"), new("the cat ran", "cat"), new("cat on a mat", "cat"),
        new("a dog sat", "dog"), new("my dog is old", "dog"), new("the dog ran", "dog"), new("dog on a mat", "dog"),
    ]);

    internal static Tokenizer TinyTokenizer() => Tokenizer.FromVocabulary(
        [.. WordPieceTrainer.SpecialTokens, "a", "cat", "dog", "my", "is", "old", "the", "ran", "on", "mat", "sat", .. "bcefghijklmnpqrstuvwxyz".Select(c => c.ToString()), .. "abcdefghijklmnopqrstuvwxyz".Take(21).Select(c => "##" + c)]);

    private sealed class Progress(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
