using NotebookKit.Data;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Statistics;
using NotebookKit.Training;
using NotebookKit.Training.Runs;
using TorchSharp;
using static NotebookKit.Tests.Training.FinetunerTests;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Training;

/// <summary>The mathematics of single recipes; expected values follow from their definitions.</summary>
public sealed class RecipeTests
{
    [Theory]
    [InlineData(0.2)]
    [InlineData(1.0)]
    [InlineData(3.0)]
    public void Shares_of_mixup_follow_a_beta_distribution(double alpha)
    {
        var random = new Random(5);
        var draws = Enumerable.Range(0, 40_000).Select(_ => TrainStep.Beta(alpha, random)).ToArray();
        var mean = draws.Average();
        // Beta(α, α): mean 1/2, variance 1 / (4 (2α + 1)); four standard errors, of the variance by the bound of its fourth moment.
        var variance = 1 / (4 * (2 * alpha + 1));
        Assert.InRange(mean, 0.5 - 4 * Math.Sqrt(variance / draws.Length), 0.5 + 4 * Math.Sqrt(variance / draws.Length));
        Assert.InRange(draws.Average(d => (d - 0.5) * (d - 0.5)), variance - 4 * 0.25 / Math.Sqrt(draws.Length), variance + 4 * 0.25 / Math.Sqrt(draws.Length));
        Assert.All(draws, d => Assert.InRange(d, 0, 1));
    }

    [Fact]
    public void An_example_mixed_with_itself_is_the_example()
    {
        using var classifier = TextClassifier.FromScratch(Still, Animals.Labels, seed: 3);
        double Loss(ClassificationObjective objective)
        {
            using var step = new TrainStep(classifier, new AdamWSettings(), objective);
            var row = classifier.Tokenizer.Encode("a cat sat", 16);
            return step.Run(Batch.Pad([row, row, row], classifier.Tokenizer.PadId, [0, 0, 0]), 0);
        }
        Assert.Equal(Loss(new()), Loss(new() { MixupAlpha = 0.5 }), 1e-6);
    }

    [Fact]
    public void A_mixed_loss_is_the_mixture_of_losses_where_the_head_is_all_that_sees_it()
    {
        // Two examples, so each is mixed with the other or itself; with a linear head, cross-entropy of mixed features against mixed labels, computed here from features.
        using var classifier = TextClassifier.FromScratch(Still, Animals.Labels, seed: 3);
        string[] texts = ["a cat sat", "the dog ran"];
        var (features, seed) = (classifier.Features(texts), 11);
        var random = new Random(unchecked(seed * 1_000_003));
        int[] partner = [0, 1];
        random.Shuffle(partner);
        var share = TrainStep.Beta(0.7, random);
        var head = classifier.Model.Classifier;
        var (w, b) = (head.weight.data<float>().ToArray(), head.bias!.data<float>().ToArray());
        double CrossEntropy(double[] f, int label)
        {
            var logits = Enumerable.Range(0, 2).Select(c => b[c] + f.Select((x, i) => x * w[c * f.Length + i]).Sum()).ToArray();
            return Math.Log(logits.Sum(Math.Exp)) - logits[label];
        }
        var expected = Enumerable.Range(0, 2).Average(i =>
        {
            var mixed = features[i].Zip(features[partner[i]], (x, y) => share * x + (1 - share) * y).ToArray();
            return share * CrossEntropy(mixed, i) + (1 - share) * CrossEntropy(mixed, partner[i]);
        });
        using var step = new TrainStep(classifier, new AdamWSettings(), new ClassificationObjective { MixupAlpha = 0.7 }, seed: seed);
        Assert.Equal(expected, step.Run(Batch.Pad([.. texts.Select(t => classifier.Tokenizer.Encode(t, 16))], classifier.Tokenizer.PadId, [0, 1]), 0), 1e-5);
    }

    [Fact]
    public void Cutting_all_tokens_but_the_first_reads_the_first_alone()
    {
        using var classifier = TextClassifier.FromScratch(Still, Animals.Labels, seed: 3);
        double Loss(int[] row, double cutoff)
        {
            using var step = new TrainStep(classifier, new AdamWSettings(), new ClassificationObjective { TokenCutoff = cutoff });
            return step.Run(Batch.Pad([row], classifier.Tokenizer.PadId, [0]), 0);
        }
        var row = classifier.Tokenizer.Encode("a cat sat on the mat", 16);
        Assert.Equal(Loss(row[..1], 0), Loss(row, 1 - 1e-12), 1e-5);
    }

    [Fact]
    public void Dropout_of_a_setting_takes_the_place_of_the_models_own_and_is_gone_after_the_run()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        var (x, dropout) = (ones(1000), classifier.Model.Dropout);
        double Kept(double p) => dropout.Apply(x, p).count_nonzero().item<long>() / 1000.0;
        dropout.Probability = 0.75;
        Assert.InRange(Kept(0.1), 0.2, 0.3);
        Assert.Equal(1, Kept(0));
        dropout.Probability = null;
        new Finetuner(new FinetuneSettings { Epochs = 1, BatchSize = 4, Dropout = 0.5, RecomputesLayers = true }).Run(classifier, Animals);
        Assert.Null(dropout.Probability);
        Assert.False(classifier.Model.RecomputesLayers);
        x.Dispose();
    }

    /// <summary>A single weight and the loss w²: members at 1, -1.2 and 5 average to 0.01 (1 and -1.2), and 5 would make it worse.</summary>
    [Fact]
    public void A_soup_takes_in_what_helps_and_no_more()
    {
        using var weight = tensor(new float[] { 0 });
        using var soup = new WeightSoup([("w", weight)], 3);
        double Loss() => Math.Pow(weight.ToDouble(), 2);
        foreach (var (epoch, at) in new[] { (1, 9f), (2, 1f), (3, 5f), (4, -1.2f) })
        {
            weight.fill_(at);
            soup.Offer(new SoupMember(epoch, 0, Loss()));
        }
        Assert.Equal([2, 4, 3], soup.Members.Select(m => m.Epoch));
        var (epochs, _, loss) = soup.Average(() => (Loss(), 0));
        Assert.Equal([2, 4], epochs);
        Assert.Equal(0.01, loss, 1e-6);
        Assert.Equal(-0.1, weight.ToDouble(), 1e-6);
    }

    [Fact]
    public void A_run_that_averages_is_no_worse_on_its_validation_part()
    {
        (double Loss, double Accuracy) Train(int size)
        {
            using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
            new Finetuner(new FinetuneSettings { Epochs = 12, BatchSize = 4, LearningRate = 3e-3, HeadStart = HeadStart.Random, SoupSize = size }).Run(classifier, Animals, Animals);
            return Finetuner.Measure(classifier, Animals);
        }
        var (one, many) = (Train(1), Train(4));
        Assert.True(many.Accuracy > one.Accuracy || many.Accuracy == one.Accuracy && many.Loss <= one.Loss);
    }

    [Fact]
    public async Task Twenty_folds_end_with_the_memory_they_began_with()
    {
        if (!Cards.OwnProcess.IsHere)
        {
            await Cards.OwnProcess.RunAsync(nameof(Twenty_folds_end_with_the_memory_they_began_with));
            return;
        }
        var data = new TextDataset("animals", [.. Enumerable.Repeat(Animals, 15).SelectMany((d, i) => d.Select(e => new Example($"{e.Text} {(char)('a' + i)}", e.Label)))]);
        var folds = StratifiedSplit.Folds(data, 20, seed: 1);
        var (tensors, memory) = (new List<long>(), new List<double>());
        foreach (var held in folds)
        {
            using (var classifier = TextClassifier.FromScratch(Tiny, data.Labels, seed: 3))
            {
                var rest = data.With("rest", folds.Where(f => f != held).SelectMany(f => f));
                new Finetuner(new FinetuneSettings { Epochs = 2 }).Run(classifier, rest, held);
            }
            memory.Add(Cards.OwnProcess.Resident());
            tensors.Add(Tensor.TotalCount);
        }
        // TorchSharp goes on counting the tensor that a parameter was made from, though it is gone: one a parameter, and no more.
        using var one = TextClassifier.FromScratch(Tiny, data.Labels, seed: 3);
        Assert.All(tensors.Zip(tensors.Skip(1)), t => Assert.Equal(one.Model.parameters().Count(), t.Second - t.First));
        Assert.InRange(Cards.OwnProcess.Middle(memory.TakeLast(5)), 0, 1.02 * Cards.OwnProcess.Middle(memory.Skip(2).Take(5)));      // the first folds fill libtorch's caches
    }

    [Fact]
    public void A_cost_is_near_what_the_run_then_takes_and_leaves_the_model_as_it_was()
    {
        var data = DatasetCatalog.Load("support-intents").Train.SamplePerClass(6, seed: 0);
        using var classifier = TextClassifier.FromPretrained(Models(), data.Labels, seed: 0);
        var (before, settings) = (classifier.Logits(data.Texts.Take(4).ToArray()), new FinetuneSettings { Epochs = 2, BatchSize = 16, HeadStart = HeadStart.Random });
        var estimate = CostEstimate.Of(classifier, data, settings);
        Assert.Equal(before, classifier.Logits(data.Texts.Take(4).ToArray()));
        Assert.Equal(22, estimate.Steps);
        Assert.InRange(estimate.PaddingShare, 0, 0.3);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        new Finetuner(settings).Run(classifier, data);
        // Machines are shared and tests run side by side: within a factor of three.
        Assert.InRange(estimate.Time.TotalSeconds / clock.Elapsed.TotalSeconds, 1 / 3.0, 3);
        Assert.Contains("memory", estimate.ToText());

        static NotebookKit.Models.PretrainedEncoder Models() => NotebookKit.Models.PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
    }
}
