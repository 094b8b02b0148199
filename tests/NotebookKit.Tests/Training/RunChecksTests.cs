using NotebookKit.Data;
using NotebookKit.Models.Adapting;
using NotebookKit.Models.Layers;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Tracking;
using NotebookKit.Training;
using NotebookKit.Training.Runs;
using TorchSharp;
using static NotebookKit.Tests.Training.FinetunerTests;

namespace NotebookKit.Tests.Training;

/// <summary>Each check stays silent on a sound run and stops one that is not.</summary>
public sealed class RunChecksTests
{
    [Fact]
    public void A_sound_run_passes_all_checks_and_ends_as_without_them()
    {
        float[][] Train(TrainingChecks checks)
        {
            using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
            new Finetuner(new FinetuneSettings { Epochs = 12, BatchSize = 4, Checks = checks }).Run(classifier, Animals);
            return classifier.Logits(Animals.Texts);
        }
        // Expected: equality, since a check draws nothing and changes no weight.
        Assert.Equal(Train(new()), Train(TrainingChecks.All));
    }

    [Fact]
    public void A_weight_that_is_no_number_is_named_with_step_and_examples()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        using (torch.no_grad()) classifier.Model.named_parameters().First(p => p.name.EndsWith("layer.1.intermediate.dense.weight", StringComparison.Ordinal)).parameter.fill_(float.NaN);
        var error = Assert.Throws<InvalidOperationException>(() => new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, BatchSize = 4 }).Run(classifier, Animals));
        Assert.Contains("at step 1", error.Message);
        Assert.Contains("layer.1.intermediate.dense.weight", error.Message);
        Assert.Matches(@"examples \d \('.+'\); \d \('.+'\); \d \('.+'\) and 1 more: \d of 'animals'", error.Message);
    }

    [Fact]
    public void A_layer_that_overflows_is_the_first_named()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        using (torch.no_grad()) classifier.Model.named_parameters().First(p => p.name.EndsWith("layer.0.attention.self.value.weight", StringComparison.Ordinal)).parameter.fill_(3e38f);
        var error = Assert.Throws<InvalidOperationException>(() => new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, BatchSize = 4 }).Run(classifier, Animals));
        Assert.Contains("layer.0.attention.self.value' is the first", error.Message);
        Assert.All(classifier.Model.modules().OfType<IAdaptable>(), l => Assert.Null(l.Adapter));
    }

    [Fact]
    public void Labels_and_rows_that_do_not_line_up_are_found()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        var checks = new RunChecks(TrainingChecks.All, classifier, Animals);
        Batch Of(int[] texts, long[] labels) => Batch.Pad([.. texts.Select(i => classifier.Tokenizer.Encode(Animals[i].Text, classifier.MaximumLength))], classifier.Tokenizer.PadId, labels);
        var ids = Animals.LabelIds();
        checks.Labels([2, 5], [Of([2, 5], [ids[2], ids[5]])]);
        Assert.Contains("has label", Assert.Throws<InvalidOperationException>(() => checks.Labels([2, 5], [Of([2, 5], [ids[5], ids[2]])])).Message);
        Assert.Contains("does not hold the tokens of example 5", Assert.Throws<InvalidOperationException>(() => checks.Labels([2, 5], [Of([2, 6], [ids[2], ids[5]])])).Message);
    }

    [Fact]
    public void Parts_that_do_not_add_up_are_found()
    {
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        using var step = new TrainStep(classifier, new AdamWSettings());
        var checks = new RunChecks(TrainingChecks.All, classifier, Animals);
        Batch Of(int from, int count) => Batch.Pad([.. Enumerable.Range(from, count).Select(i => classifier.Tokenizer.Encode(Animals[i].Text, classifier.MaximumLength))], classifier.Tokenizer.PadId, [.. Animals.LabelIds().Skip(from).Take(count).Select(l => (long)l)]);
        checks.Accumulation(step, [Of(0, 8)], [Of(0, 3), Of(3, 5)]);
        Assert.Contains("do not add up", Assert.Throws<InvalidOperationException>(() => checks.Accumulation(step, [Of(0, 8)], [Of(0, 3), Of(3, 4)])).Message);
        Assert.All(classifier.Model.parameters(), p => Assert.Null(p.grad));
    }

    [Fact]
    public async Task Tensors_kept_from_step_to_step_are_found()
    {
        // Other tests make tensors, too: a process of its own.
        if (!Cards.OwnProcess.IsHere)
        {
            await Cards.OwnProcess.RunAsync(nameof(Tensors_kept_from_step_to_step_are_found));
            return;
        }
        using var classifier = TextClassifier.FromScratch(Tiny, Animals.Labels, seed: 3);
        var kept = new List<torch.Tensor>();
        var settings = new FinetuneSettings { Epochs = 40, BatchSize = 4, Checks = new TrainingChecks { LiveTensors = 5 } };
        var error = Assert.Throws<InvalidOperationException>(() => new Finetuner(settings).Run(classifier, Animals, null, new Listener(_ => kept.Add(torch.zeros(1)))));
        Assert.Contains("after step 20 it were", error.Message);
        Assert.Matches("After step 2[4-6]", error.Message);                    // five tensors on, one a report
        foreach (var one in kept) one.Dispose();
        new Finetuner(settings).Run(classifier, Animals);
    }
}
