using NotebookKit.Adapters;
using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Schedules;
using NotebookKit.Stages;
using NotebookKit.Tests.Training;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.Tests.Stages;

/// <summary>Plans, gates and their folder; expected values follow from the definitions.</summary>
public sealed class StageTests
{
    private static readonly TextDataset Animals = FinetunerTests.Animals;
    private static readonly StageData Data = new(Animals, Animals);
    private static readonly FinetuneSettings Quick = new() { HeadStart = HeadStart.Random, Epochs = 2, BatchSize = 4, LearningRate = 1e-2 };

    [Fact]
    public void A_plan_is_read_back_as_it_was_written_and_prints_as_a_table()
    {
        var plan = new StagePlan("many", [
            new Stage { Name = "head", Trains = TrainedPart.Probe },
            new Stage { Name = "top", Trains = TrainedPart.Top(1), Data = DataSlice.PerClass(3, seed: 4), Settings = Quick with { RateFactors = [0, 0.1, 0.5, 1], Optimizer = new LionSettings { Beta1 = 0.8 } }, Gate = new Gate { MinimumGain = -0.01, ForgettingBudget = 0.02 } },
            new Stage { Name = "adapter", Data = DataSlice.Instalment(1, 2), Replay = new Replay(0.5) { Selection = ReplaySelection.Herding }, Trains = TrainedPart.With(new LoraSettings { Rank = 2, Targets = ModulePattern.Named("query") with { Layers = [0] }, RankPattern = new Dictionary<string, int> { ["key"] = 3 } }) },
            new Stage { Name = "easy", Data = DataSlice.Easiest(0.5, Difficulty.Loss), Settings = Quick with { Precision = TrainingPrecision.BFloat16, Objective = new() { LabelSmoothing = 0.1 }, Schedule = ScheduleShape.OneCycle } },
            new Stage { Name = "classes", Data = DataSlice.Classes(Animals.Labels[0], Animals.Labels[1]), Trains = TrainedPart.With(new Ia3Settings()) },
        ]);
        var again = StagePlan.FromJson(plan.ToJson());
        Assert.Equal(plan.ToJson(), again.ToJson());
        Assert.Equal(plan.Stages[1].Settings.RateFactors, again.Stages[1].Settings.RateFactors);
        Assert.Equal(new LionSettings { Beta1 = 0.8 }, again.Stages[1].Settings.Optimizer);
        Assert.Equal(3, ((LoraSettings)again.Stages[2].Trains.Adapter!).RankPattern["key"]);
        Assert.Equal([0], again.Stages[2].Trains.Adapter!.Targets!.Layers!);
        var text = plan.ToText();
        foreach (var part in new[] { "head (regression)", "head and top 1 layer", "adapter: LoRA", "part 1 of 2", "easiest 50 % by loss", "3 per class", "50 % of the old", "old task down by less than 2", "times 0 0.1 0.5 1" }) Assert.Contains(part, text);
        Assert.Contains("no plan", Assert.Throws<InvalidDataException>(() => StagePlan.FromJson("{}")).Message);
        Assert.Contains("Sprockets", Assert.Throws<InvalidDataException>(() => StagePlan.FromJson(plan.ToJson().Replace("\"MinimumGain\"", "\"Sprockets\"", StringComparison.Ordinal))).Message);
    }

    [Fact]
    public void What_cannot_be_done_is_refused_before_the_first_step_by_stage_and_field()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        var before = classifier.Logits(Animals.Texts);
        void Refused(Stage stage, string expected, StageData? data = null)
        {
            var plan = new StagePlan("p", [new Stage { Name = "first", Settings = Quick }, stage]);
            var message = Assert.Throws<ArgumentException>(() => new StagedFinetuner(plan).Run(classifier, data ?? Data)).Message;
            Assert.Contains("Stage 'second': ", message);
            Assert.Contains(expected, message);
            Assert.Equal(before, classifier.Logits(Animals.Texts));
        }
        var second = new Stage { Name = "second", Settings = Quick };
        Refused(second with { Settings = Quick with { RateFactors = [1, 1] } }, "Settings.RateFactors has 2 numbers; the model needs 4");
        Refused(second with { Settings = Quick with { RateFactors = [1, 1, 1, 0] }, Trains = TrainedPart.Head }, "would train nothing");
        Refused(second with { Trains = TrainedPart.Top(3) }, "Trains.Layers is 3; the model has 2 layers");
        Refused(second with { Trains = TrainedPart.With(new LoraSettings { Targets = ModulePattern.Named("q_proj") }) }, "Trains.Adapter: LoraSettings.Targets matches no layer: q_proj");
        Refused(second with { Gate = new Gate { Metric = "BLEU" } }, "Gate.Metric is 'BLEU', which is not measured. There are accuracy and macro-F1");
        Refused(second with { Gate = new Gate { ForgettingBudget = 0.01 } }, "StageData.OldValidation is null");
        Refused(second with { Data = DataSlice.Classes("dragons") }, "Data.Names holds 'dragons'");
        Refused(second with { Data = DataSlice.Easiest(0) }, "Data.Share is 0");
        Refused(second with { Data = DataSlice.Easiest(0.5, Difficulty.Kind) }, "which is no number");
        Refused(second with { Data = DataSlice.Instalment(3, 2) }, "Data.Index is 3 of 2");
        Refused(second with { Replay = new Replay(0) }, "Replay.Share is 0");
        Refused(second with { Settings = Quick with { Epochs = 0 } }, "Settings: ");
        Refused(second with { Settings = Quick with { FrozenLayers = 1 } }, "set Trains = TrainedPart.Top(layers)");
        Assert.Contains("two stages are called", Assert.Throws<ArgumentException>(() => new StagePlan("p", [second, second]).Check(classifier, Data)).Message);
        Assert.Contains("Stages is empty", Assert.Throws<ArgumentException>(() => new StagePlan("p", []).Check(classifier, Data)).Message);
        var prompted = new StagePlan("p", [new Stage { Name = "prompt", Trains = TrainedPart.With(new PromptSettings { Tokens = 2 }) }, second]);
        Assert.Contains("cannot be merged into the weights first", Assert.Throws<ArgumentException>(() => prompted.Check(classifier, Data)).Message);
    }

    /// <summary>A stage that learns turned labels is worse, so that its gate says no; the model is then bit for bit what the stage before left, and the next stage begins there.</summary>
    [Fact]
    public void A_stage_that_makes_it_worse_is_rolled_back_and_said_why()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        var turned = Animals.With("turned", Animals.Select(e => e with { Label = Animals.Labels.Names.First(n => n != e.Label) }));
        new StagedFinetuner(new StagePlan("good", [new Stage { Name = "all", Settings = Quick with { Epochs = 40 } }])).Run(classifier, Data);
        var good = classifier.Logits(Animals.Texts);
        var events = new List<TrainingProgress>();
        var bad = new Stage { Name = "turned", Settings = Quick with { Epochs = 40 }, Gate = new Gate() };
        // The stage before the gate keeps its best epoch by validation, so it is judged on a part that it was not chosen by.
        var history = new StagedFinetuner(new StagePlan("bad", [bad])).Run(classifier, new StageData(turned, turned) { Old = Animals, OldValidation = Animals }, new Listener(events.Add));
        Assert.True(history.Stages[0].Promoted, "on the turned task itself it is better");
        var gated = bad with { Gate = new Gate { ForgettingBudget = 0.05 } };
        using var again = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        new StagedFinetuner(new StagePlan("good", [new Stage { Name = "all", Settings = Quick with { Epochs = 40 } }])).Run(again, Data);
        Assert.Equal(good, again.Logits(Animals.Texts));
        history = new StagedFinetuner(new StagePlan("gated", [gated])).Run(again, new StageData(turned, turned) { OldValidation = Animals }, new Listener(events.Add));
        Assert.False(history.Stages[0].Promoted);
        Assert.Contains("the old task lost", history.Stages[0].Decision!.Reason);
        Assert.Equal(good, again.Logits(Animals.Texts));
        Assert.Contains("rolled back", history.ToText());
        Assert.Contains(events, e => e is StageEnded { Promoted: false });
        Assert.Contains("stage by stage", history.AsFigure().ToText());
    }

    /// <summary>Expected: for accuracy, the bootstrap of the mean of per-example differences, which <see cref="NotebookKit.Statistics.Intervals"/> has.</summary>
    [Fact]
    public void A_gate_reads_the_interval_of_paired_differences()
    {
        var random = new Random(1);
        var labels = Enumerable.Range(0, 300).Select(_ => random.Next(3)).ToArray();
        int[] Answers(double right) => [.. labels.Select(l => random.NextDouble() < right ? l : (l + 1) % 3)];
        var (weak, strong) = (Answers(0.6), Answers(0.8));
        var gate = new Gate();
        var up = gate.Decide(labels, weak, strong, null, 3);
        Assert.True(up.Promoted);
        var differences = labels.Select((l, i) => (strong[i] == l ? 1.0 : 0) - (weak[i] == l ? 1 : 0)).ToArray();
        var expected = NotebookKit.Statistics.Intervals.Bootstrap(differences);
        Assert.Equal(expected.Estimate, up.Gain.Estimate, 1e-9);
        Assert.Equal(expected.Lower, up.Gain.Lower, 0.02);
        Assert.Equal(expected.Upper, up.Gain.Upper, 0.02);
        var same = gate.Decide(labels, strong, strong, null, 3);
        Assert.False(same.Promoted);
        Assert.Contains("not surely more than 0.0", same.Reason);
        Assert.True((gate with { MinimumGain = -0.01 }).Decide(labels, strong, strong, null, 3).Promoted);
        var forgetful = (gate with { ForgettingBudget = 0.02 }).Decide(labels, weak, strong, (labels, strong, weak), 3);
        Assert.False(forgetful.Promoted);
        Assert.Contains("the old task lost", forgetful.Reason);
        Assert.True((gate with { ForgettingBudget = 0.02, Metric = "macro-F1" }).Decide(labels, weak, strong, (labels, strong, strong), 3).Promoted);
    }

    /// <summary>Expected: the run that was never ended, bit for bit; ended within a stage, between stages, and after an adapter's.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(9)]
    [InlineData(14)]
    public void A_plan_that_was_ended_goes_on_in_the_middle_of_its_stage(int endAt)
    {
        var plan = new StagePlan("four", [
            new Stage { Name = "head", Trains = TrainedPart.Probe },
            new Stage { Name = "lora", Trains = TrainedPart.With(new LoraSettings { Rank = 2, Dropout = 0.1 }), Settings = Quick with { Epochs = 3 }, Gate = new Gate { MinimumGain = -1 } },
            new Stage { Name = "never", Settings = Quick, Gate = new Gate { MinimumGain = 1 } },
            new Stage { Name = "top", Trains = TrainedPart.Top(1), Data = DataSlice.Instalment(1, 2), Replay = new Replay(0.5), Settings = Quick with { Epochs = 3 } },
        ]);
        float[][] Run(string? folder, int? endAt, List<string> told)
        {
            var steps = 0;
            using var stop = new CancellationTokenSource();
            using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
            try
            {
                new StagedFinetuner(plan, folder).Run(classifier, Data, new Listener(p =>
                {
                    if (p is StageEnded ended) told.Add($"{ended.Number} {ended.Promoted}");
                    if (p.BatchLoss is not null && ++steps == endAt) stop.Cancel();
                }), stop.Token);
            }
            catch (OperationCanceledException) when (endAt is not null) { return []; }
            finally { classifier.Model.Adapter?.Dispose(); }
            return classifier.Logits(Animals.Texts);
        }
        List<string> whole = [], first = [], second = [];
        var expected = Run(null, null, whole);
        using var folder = TestData.NewFolder();
        Assert.Empty(Run(folder["run"], endAt, first));
        Assert.True(first.Count < 4);
        var got = Run(folder["run"], null, second);
        Assert.Equal(whole, second);
        Assert.Equal(expected, got);
        Assert.Equal(["1 True", "2 True", "3 False", "4 True"], whole);
        Assert.Equal(expected, Run(folder["run"], null, []));                  // all done: nothing is trained again
        var other = plan with { Name = "another" };
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        Assert.Contains("its plan.json is another plan", Assert.Throws<InvalidOperationException>(() => new StagedFinetuner(other, folder["run"]).Run(classifier, Data)).Message);
    }

    [Fact]
    public void Slices_are_what_they_say()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
        var parts = Enumerable.Range(1, 3).Select(i => DataSlice.Instalment(i, 3).Of(Animals, classifier)).ToArray();
        Assert.Equal(Animals.Order(Comparer<Example>.Create((a, b) => string.CompareOrdinal(a.Text, b.Text))), parts.SelectMany(p => p).Order(Comparer<Example>.Create((a, b) => string.CompareOrdinal(a.Text, b.Text))));
        Assert.InRange(parts.Max(p => p.Count) - parts.Min(p => p.Count), 0, 1);
        var easy = DataSlice.Easiest(0.5).Of(Animals, classifier);
        var lengths = Animals.ToDictionary(e => e, e => classifier.Tokenizer.Encode(e.Text, 64).Length);
        Assert.Equal((Animals.Count + 1) / 2, easy.Count);
        Assert.True(easy.Max(e => lengths[e]) <= Animals.Except(easy).Min(e => lengths[e]));
        Assert.All(DataSlice.Classes(Animals.Labels[1]).Of(Animals, classifier), e => Assert.Equal(Animals.Labels[1], e.Label));
        Assert.Equal(2 * Animals.Labels.Count, DataSlice.PerClass(2).Of(Animals, classifier).Count);
        var kinds = Animals.With("k", Animals.Select((e, i) => e with { Kind = (100 - i).ToString(System.Globalization.CultureInfo.InvariantCulture) }));
        Assert.Equal(Animals.Skip(Animals.Count / 2).Select(e => e.Text), DataSlice.Easiest(0.5, Difficulty.Kind).Of(kinds, classifier).Select(e => e.Text));
    }

    [Fact]
    public void Ready_plans_run_and_train_what_they_say()
    {
        foreach (var plan in new[] { ReadyPlans.HeadThenAll(Quick), ReadyPlans.GradualUnfreezing(2, Quick), ReadyPlans.LayerwiseDecay(0.5, Quick), ReadyPlans.FineTune(2, Quick), ReadyPlans.Curriculum(2, Difficulty.Loss, Pacing.Root, Quick), ReadyPlans.Instalments(2, 0.5, Quick) })
        {
            using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, Animals.Labels, seed: 3);
            var history = new StagedFinetuner(plan).Run(classifier, Data);
            Assert.Equal(plan.Stages.Count, history.Stages.Count);
            Assert.All(history.Stages, s => Assert.True(s.Trainable > 0 && s.Examples > 0));
            Assert.Contains(plan.Name, history.ToText());
        }
        var ladder = ReadyPlans.GradualUnfreezing(2, Quick);
        Assert.Equal(["head", "top 1", "all"], ladder.Stages.Select(s => s.Name));
        Assert.All(ladder.Stages, s => Assert.Equal((ScheduleShape.SlantedTriangular, 1 / 2.6), (s.Settings.Schedule, s.Settings.LayerDecay)));
        // fastai: the embeddings learn at a hundredth of the head's rate
        var fine = ReadyPlans.FineTune(4).Stages[1].Settings;
        Assert.Equal(0.01, Math.Pow(fine.LayerDecay, 5), 1e-12);
        Assert.Equal(new FinetuneSettings().LearningRate / 2, fine.LearningRate);
        Assert.Equal([0.25, 0.5, 1], ReadyPlans.Curriculum(3, pacing: Pacing.Exponential).Stages.Skip(1).Select(s => s.Data.Share));
    }

    /// <summary>Expected: Adam's first step is as long as the rate, so that the largest change of each part is its factor times the rate.</summary>
    [Fact]
    public void Rates_one_by_one_reach_their_layers()
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Still, Animals.Labels, seed: 3);
        var before = classifier.Model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 1, BatchSize = 64, LearningRate = 1e-4, WarmupShare = 0, RateFactors = [0, 0.1, 0.5, 1], Optimizer = new AdamWSettings { WeightDecay = 0 } }).Run(classifier, Animals);
        double Moved(string part) => classifier.Model.named_parameters().Where(p => p.name.Contains(part, StringComparison.Ordinal)).Max(p => (p.parameter.detach() - before[p.name]).abs().max().item<float>());
        Assert.Equal(0, Moved("embeddings"));
        Assert.Equal(1e-5, Moved("layer.0."), 1e-7);
        Assert.Equal(5e-5, Moved("layer.1."), 5e-7);
        Assert.Equal(1e-4, Moved("classifier"), 1e-6);
    }
}
