using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Pretraining;
using NotebookKit.Stages;
using NotebookKit.Tests.Training;
using NotebookKit.Training;

namespace NotebookKit.Tests.Stages;

/// <summary>Stages of masked tokens before stages of labels, on the embedded encoder.</summary>
public sealed class DomainThenTaskTests
{
    private static readonly DatasetSplits Intents = DatasetCatalog.Load("support-intents");
    private static readonly PretrainedEncoder Encoder = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
    private static readonly TextDataset Few = Intents.Train.SamplePerClass(2, seed: 0);
    private static readonly StageData Data = new(Few, Intents.Validation.SamplePerClass(1, seed: 0)) { Encoder = Encoder, DomainTexts = [.. Intents.Train.Texts.Take(96)] };
    private static readonly FurtherPretrainingSettings Brief = new() { Epochs = 1 };

    /// <summary>Expected: the encoder that <see cref="FurtherPretraining.Run"/> writes from the same texts, bit for bit; the head untouched.</summary>
    [Fact]
    public void A_stage_of_masked_tokens_is_further_pretraining_in_place()
    {
        using var folder = TestData.NewFolder();
        var (expected, curve) = FurtherPretraining.Run(Encoder, Data.DomainTexts!, folder["encoder"], Brief, Data.Validation.Texts);
        using var classifier = TextClassifier.FromPretrained(Encoder, Intents.Labels, seed: 1);
        var history = new StagedFinetuner(new StagePlan("domain", [new Stage { Name = "domain", Trains = TrainedPart.MaskedTokens(Brief, domain: true) }])).Run(classifier, Data);
        using var other = TextClassifier.FromPretrained(expected, Intents.Labels, seed: 1);
        Assert.Equal(other.Logits(Few.Texts), classifier.Logits(Few.Texts));
        Assert.Equal(curve[1], Assert.Single(history.Stages[0].Epochs));
        Assert.Equal(96, history.Stages[0].Examples);
    }

    /// <summary>Expected: the run that was never ended, bit for bit, when ended in the second stage (54 texts are two batches a stage; the domain's 96 are three).</summary>
    [Fact]
    public void The_ready_plan_runs_reads_back_and_goes_on_after_an_end()
    {
        var plan = ReadyPlans.DomainThenTask(Brief, Brief, new FinetuneSettings { Epochs = 1 });
        Assert.Equal(plan.ToJson(), StagePlan.FromJson(plan.ToJson()).ToJson());
        Assert.Contains("encoder, masked tokens of the domain", plan.ToText());
        using var whole = TextClassifier.FromPretrained(Encoder, Intents.Labels, seed: 1);
        var history = new StagedFinetuner(plan).Run(whole, Data);
        Assert.Equal(["domain", "task", "head", "all"], history.Stages.Select(s => s.Name));
        Assert.All(history.Stages, s => Assert.True(s.Trainable > 0));
        Assert.Contains("domain", history.ToText());

        using var folder = TestData.NewFolder();
        using var stop = new CancellationTokenSource();
        var steps = 0;
        using (var first = TextClassifier.FromPretrained(Encoder, Intents.Labels, seed: 1))
            Assert.Throws<OperationCanceledException>(() => new StagedFinetuner(plan, folder["run"]).Run(first, Data, new Listener(p => { if (p.Phase == "masked tokens" && ++steps == 4) stop.Cancel(); }), stop.Token));
        using var second = TextClassifier.FromPretrained(Encoder, Intents.Labels, seed: 1);
        new StagedFinetuner(plan, folder["run"]).Run(second, Data);
        Assert.Equal(whole.Logits(Few.Texts), second.Logits(Few.Texts));
    }

    [Fact]
    public void What_cannot_be_done_is_refused_by_stage_and_field()
    {
        using var classifier = TextClassifier.FromPretrained(Encoder, Intents.Labels, seed: 1);
        void Refused(StageData data, Stage stage, string expected)
        {
            var message = Assert.Throws<ArgumentException>(() => new StagedFinetuner(new StagePlan("p", [stage])).Run(classifier, data)).Message;
            Assert.Contains("Stage 'masked': ", message);
            Assert.Contains(expected, message);
        }
        var stage = new Stage { Name = "masked", Trains = TrainedPart.MaskedTokens(Brief, domain: true) };
        Refused(Data with { Encoder = null }, stage, "set StageData.Encoder");
        Refused(Data with { DomainTexts = ["one text"] }, stage, "StageData.DomainTexts has 1 texts");
        Refused(Data, stage with { Trains = TrainedPart.MaskedTokens(Brief with { MaskedShare = 2 }) }, "MaskedShare is in (0, 1)");
        Refused(Data, stage with { Gate = new Gate() }, "Gate judges labels");
        using var tiny = TextClassifier.FromScratch(FinetunerTests.Tiny, Intents.Labels, seed: 1);
        Assert.Contains("StageData.Encoder", Assert.Throws<ArgumentException>(() => new StagePlan("p", [stage]).Check(tiny, Data)).Message);
    }
}
