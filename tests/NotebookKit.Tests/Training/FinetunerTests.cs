using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Schedules;
using NotebookKit.Text;
using NotebookKit.Tracking;
using NotebookKit.Training;
using TorchSharp;

namespace NotebookKit.Tests.Training;

/// <summary>The mathematics of the loop on a tiny encoder; expected values follow from the definitions.</summary>
public sealed class FinetunerTests
{
    internal static readonly PretrainedEncoder Tiny = new("", new ConfigJson("a test", new BertConfig { VocabularySize = 60, HiddenSize = 16, Layers = 2, Heads = 2, IntermediateSize = 32, MaximumPositions = 32 }.ToJson("BertModel")), TinyTokenizer());

    /// <summary>The same without dropout.</summary>
    internal static readonly PretrainedEncoder Still = Tiny with { Config = new ConfigJson("a test", new BertConfig { VocabularySize = 60, HiddenSize = 16, Layers = 2, Heads = 2, IntermediateSize = 32, MaximumPositions = 32, HiddenDropout = 0, AttentionDropout = 0 }.ToJson("BertModel")) };

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
            new Listener(_ => { if (++steps == 3) cancel.Cancel(); }), cancel.Token));
        Assert.Equal(3, steps);
    }

    [Fact]
    public void Steps_do_not_leak_tensors()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 2);
        long live = 0;
        var steps = 0;
        new Finetuner(new FinetuneSettings { Epochs = 60, BatchSize = 2 }).Run(classifier, Animals, null, new Listener(_ =>
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

    /// <summary>Expected: the gradients of a batch are the sum of its parts', so that both runs differ by rounding alone (fp32, 12 steps).</summary>
    [Theory]
    [InlineData(0, ClassWeighting.None, 0)]
    [InlineData(0.1, ClassWeighting.Balanced, 0)]
    [InlineData(0, ClassWeighting.SquareRoot, 2)]
    public void A_batch_in_parts_trains_as_in_one_piece(double smoothing, ClassWeighting weighting, double gamma)
    {
        float[] Train(int? part)
        {
            using var classifier = TextClassifier.FromScratch(Still, Animals.Labels, seed: 4);
            var uneven = Animals.With("uneven", Animals.Take(7));
            new Finetuner(new FinetuneSettings
            {
                Epochs = 6, BatchSize = 4, MicroBatchSize = part, HeadStart = HeadStart.Random, LearningRate = 1e-3,
                Objective = new ClassificationObjective { LabelSmoothing = smoothing, Weighting = weighting, FocalGamma = gamma },
            }).Run(classifier, uneven);
            return [.. classifier.Logits(Animals.Texts).SelectMany(l => l)];
        }
        var (whole, parts) = (Train(null), Train(3));
        Assert.All(whole.Zip(parts), p => Assert.Equal(p.First, p.Second, 2e-4));
    }

    /// <summary>Expected by the definition: decay per layer from the head (1) down, embeddings below the first layer.</summary>
    [Fact]
    public void Rates_fall_layer_by_layer()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 4);
        var rates = LayerRates.Of(classifier.Model.named_parameters().Select(p => p.name), 0.5);
        Assert.Equal(1, rates("classifier.weight"));
        Assert.Equal(0.5, rates("bert.encoder.layer.1.output.dense.weight"));
        Assert.Equal(0.25, rates("bert.encoder.layer.0.output.dense.weight"));
        Assert.Equal(0.125, rates("bert.embeddings.word_embeddings.weight"));
    }

    /// <summary>
    /// bf16 with fp32 masters against fp32 over 1,000 steps: the mean loss of every hundred steps lies within the spread of five fp32 seeds (their mean ± 3 standard deviations, and what
    /// eight bits of mantissa leave open). The trained model is fp32 again.
    /// </summary>
    [Fact]
    public void Bf16_follows_fp32_within_the_noise_of_seeds_over_1000_steps()
    {
        double[] Curve(TrainingPrecision precision, int seed)
        {
            using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed);
            var losses = new List<double>();
            var noisy = Animals.With("noisy", Animals.Concat(Animals.Select((e, i) => e with { Label = i % 3 == 0 ? Animals.Labels[1 - Animals.Labels.IndexOf(e.Label)] : e.Label })));
            new Finetuner(new FinetuneSettings { Epochs = 250, BatchSize = 4, LearningRate = 5e-4, HeadStart = HeadStart.Random, Seed = seed, Precision = precision })
                .Run(classifier, noisy, null, new Listener(p => { if (p is EpochEnded) losses.Add(p.Loss); }));
            Assert.All(classifier.Model.parameters(), p => Assert.Equal(torch.ScalarType.Float32, p.dtype));
            return [.. losses.Chunk(25).Select(c => c.Average())];
        }
        var fp32 = Enumerable.Range(0, 5).Select(s => Curve(TrainingPrecision.Float32, s)).ToArray();
        var bf16 = Enumerable.Range(0, 5).Select(s => Curve(TrainingPrecision.BFloat16, s)).ToArray();
        for (var part = 0; part < 10; part++)
        {
            var mean = fp32.Average(c => c[part]);
            var deviation = Math.Sqrt(fp32.Sum(c => (c[part] - mean) * (c[part] - mean)) / 4);
            Assert.InRange(bf16.Average(c => c[part]), mean - 3 * deviation - 0.004, mean + 3 * deviation + 0.004);
        }
        Assert.True(fp32.Average(c => c[^1]) < 0.8 * fp32.Average(c => c[0]), "the runs learn something");
    }

    [Theory]
    [InlineData(TrainingPrecision.Float32)]
    [InlineData(TrainingPrecision.BFloat16)]
    public void Frozen_layers_stay_bit_for_bit_as_they_were(TrainingPrecision precision)
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 4);
        Dictionary<string, float[]> Weights() => classifier.Model.named_parameters().ToDictionary(p => p.name, p => p.parameter.data<float>().ToArray());
        var before = Weights();
        new Finetuner(new FinetuneSettings { Epochs = 2, BatchSize = 4, FrozenLayers = 1, Precision = precision }).Run(classifier, Animals);
        var after = Weights();
        // Not compared: a bias of keys, whose gradient is zero but for rounding.
        bool IsFrozen(string name) => name.Contains("embeddings", StringComparison.Ordinal) || name.Contains("layer.0.", StringComparison.Ordinal);
        // Not compared: a bias of keys, whose gradient is zero but for rounding, and the pooler, which this model does not use.
        var compared = before.Keys.Where(k => !k.Contains("pooler", StringComparison.Ordinal) && !k.EndsWith("key.bias", StringComparison.Ordinal));
        Assert.Equal(compared.Where(IsFrozen), compared.Where(k => before[k].SequenceEqual(after[k])));
        Assert.All(classifier.Model.parameters(), p => Assert.True(p.requires_grad));
        Assert.Contains("2 layers", Assert.Throws<ArgumentException>(() => new Finetuner(new FinetuneSettings { FrozenLayers = 3 }).Run(classifier, Animals)).Message);
    }

    /// <summary>Expected: 10,000 steps hold as many tensors as 500, and resident memory stays within 2 %, garbage collected and one-time growth of the heap aside: the middle of the last
    /// five of twenty measurements against that of the first five (Linux, a process of its own).</summary>
    [Fact]
    public async Task Ten_thousand_steps_need_no_more_memory_than_one()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "resident memory is read from /proc");
        if (!Cards.OwnProcess.IsHere)
        {
            await Cards.OwnProcess.RunAsync(nameof(Ten_thousand_steps_need_no_more_memory_than_one));
            return;
        }
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 2);
        var (live, resident, steps) = (new List<long>(), new List<double>(), 0);
        new Finetuner(new FinetuneSettings { Epochs = 2600, BatchSize = 2 }).Run(classifier, Animals, null, new Listener(p =>
        {
            if (++steps % 500 != 0) return;
            resident.Add(Cards.OwnProcess.Resident());
            live.Add(torch.Tensor.TotalCount);
        }));
        Assert.True(steps >= 10_000);
        Assert.Single(live.Distinct());
        Assert.InRange(Cards.OwnProcess.Middle(resident.TakeLast(5)), 0, 1.02 * Cards.OwnProcess.Middle(resident.Take(5)));
    }

    [Fact]
    public void A_rate_is_suggested_and_the_model_is_as_it_was()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        var before = classifier.Logits(Animals.Texts);
        var curve = LearningRateFinder.Run(classifier, Animals, new FinetuneSettings { BatchSize = 4 }, new LearningRateSearch { End = 10 });
        Assert.Equal(before, classifier.Logits(Animals.Texts));
        Assert.Equal(curve.Tried.Select(t => t.Rate).Order(), curve.Tried.Select(t => t.Rate));
        Assert.InRange(curve.Suggestion, 1e-5, curve.Lowest);
        // A run at that rate learns the set; at the last rate tried it does not.
        Assert.Equal(1, Accuracy(curve.Suggestion));
        Assert.True(Accuracy(curve.Tried[^1].Rate) < 1);

        double Accuracy(double rate)
        {
            using var fresh = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
            try { new Finetuner(new FinetuneSettings { Epochs = 60, BatchSize = 4, LearningRate = rate, HeadStart = HeadStart.Random }).Run(fresh, Animals); }
            catch (InvalidOperationException) { return 0; }                  // the loss is no number any more
            return Finetuner.Measure(fresh, Animals).Accuracy;
        }
    }

    [Fact]
    public void Every_recipe_learns_a_small_set()
    {
        FinetuneSettings usual = new() { Epochs = 40, BatchSize = 4, LearningRate = 5e-3, HeadStart = HeadStart.Random };
        foreach (var settings in new[]
        {
            usual with { Optimizer = new LionSettings(), LearningRate = 1e-3 }, usual with { Optimizer = new AdafactorSettings { ScalesWithParameter = false } }, usual with { Optimizer = new SgdSettings(), LearningRate = 5e-2 },
            usual with { Schedule = ScheduleShape.OneCycle }, usual with { Schedule = ScheduleShape.SlantedTriangular }, usual with { AverageDecay = 0.9 }, usual with { Precision = TrainingPrecision.BFloat16, AverageDecay = 0.9 }, usual with { LayerDecay = 0.9 },
            usual with { Objective = new ClassificationObjective { RDropAlpha = 1 } }, usual with { Objective = new ClassificationObjective { FocalGamma = 2 } },
            usual with { Objective = new ClassificationObjective { MixupAlpha = 0.2 } }, usual with { Objective = new ClassificationObjective { TokenCutoff = 0.15 } }, usual with { Dropout = 0.3 }, usual with { Checks = TrainingChecks.All, MicroBatchSize = 3 },
            usual with { RecomputesLayers = true }, usual with { RecomputesLayers = true, Precision = TrainingPrecision.BFloat16 },
        })
        {
            using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
            new Finetuner(settings).Run(classifier, Animals);
            Assert.True(Finetuner.Measure(classifier, Animals).Accuracy == 1, settings.ToString());
        }
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
}
