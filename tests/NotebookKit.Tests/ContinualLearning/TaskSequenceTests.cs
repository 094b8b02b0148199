using NotebookKit.Adapters;
using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.Tests.ContinualLearning;

/// <summary>A sequence on a tiny encoder; expected values follow from what each method is.</summary>
public sealed class TaskSequenceTests
{
    private static readonly FinetuneSettings Quick = new() { HeadStart = HeadStart.Random, Epochs = 30, BatchSize = 4, LearningRate = 1e-2 };

    private static readonly TextDataset Animals = FinetunerTests.Animals;

    /// <summary>The animals, then the same texts turned round under two new classes: what is learned second contradicts the first.</summary>
    private static readonly ContinualTask[] Contradicting =
    [
        new("first", Animals, Animals),
        new("second", Other, Other),
    ];

    private static TextDataset Other => new("second", Animals.Select(e => e with { Label = "new " + e.Label }));

    private static TextDataset Third => new("third", Animals.Select(e => e with { Label = "third " + e.Label }));

    [Fact]
    public void Without_anything_the_first_task_is_forgotten_and_full_replay_keeps_some_of_it()
    {
        var forgotten = Run(new ContinualMethod("nothing"));
        Assert.Equal(1, forgotten[0, 0], 0.01);
        Assert.Equal(0, forgotten[0, 1]);                                        // unknown classes count as wrong
        Assert.Equal(1, forgotten[1, 1], 0.1);
        Assert.InRange(forgotten[1, 0], 0, 0.1);
        Assert.True(forgotten.BackwardTransfer < -0.8);
        Assert.Equal(forgotten.WithinTasks![0, 0], forgotten[0, 0]);             // there are no other classes yet
        Assert.Equal(0, forgotten.WithinTasks[0, 1]);
        var replayed = Run(new ContinualMethod("replay") { ReplayShare = 1 });
        Assert.True(replayed[1, 0] > forgotten[1, 0] + 0.2, $"{replayed[1, 0]}");
        // Every text has two right answers there, one of each task: among all classes a guess between them, among a task's own classes known.
        Assert.Equal(1, replayed[1, 0] + replayed[1, 1], 0.01);
        Assert.Equal([1, 1], new[] { replayed.WithinTasks![1, 0], replayed.WithinTasks[1, 1] });
    }

    [Theory]
    [InlineData(Holding.L2Sp)]
    [InlineData(Holding.Ewc)]
    [InlineData(Holding.Distillation)]
    public void Every_hold_runs_over_three_tasks_with_and_without_new_classes(Holding hold)
    {
        var tasks = Contradicting.Append(new ContinualTask("again", Animals, Animals)).ToArray();
        var matrix = TaskSequence.Run(Make, tasks, new ContinualMethod("x") { First = Quick, Further = Quick with { Epochs = 3 }, Holds = hold, NewShare = 0.9, ReplayShare = 0.2, Selection = ReplaySelection.Herding });
        Assert.Equal(3, matrix.Tasks.Count);
        Assert.All(Enumerable.Range(0, 3), i => Assert.InRange(matrix[2, i], 0, 1));
    }

    [Fact]
    public void An_adapter_learns_a_further_task_and_the_first_heads_rows_stay_in_the_sequence()
    {
        var matrix = Run(new ContinualMethod("LoRA") { Adapter = new LoraSettings { Rank = 2 } });
        Assert.Equal(1, matrix[1, 1], 0.15);
    }

    [Fact]
    public void Tasks_by_classes_share_no_class_and_leave_none_out()
    {
        var data = DatasetCatalog.Load("support-intents");
        var tasks = TaskSequence.ByClasses(data, 5, perClass: 3, seed: 2);
        Assert.Equal(data.Labels.Names, tasks.SelectMany(t => t.Train.Labels.Names).Order(StringComparer.Ordinal));
        Assert.All(tasks, t => Assert.All(t.Train.CountByLabel(), c => Assert.Equal(3, c)));
        Assert.Equal(data.Test.Count, tasks.Sum(t => t.Test.Count));
        Assert.Contains("has 27", Assert.Throws<ArgumentException>(() => TaskSequence.ByClasses(data, 14, 3, 0)).Message);
    }

    [Fact]
    public void What_does_not_go_together_is_refused_by_field()
    {
        Assert.Contains("Holds", Assert.Throws<ArgumentException>(() => Run(new ContinualMethod("x") { Holds = Holding.Ewc, Adapter = new LoraSettings() })).Message);
        Assert.Contains("cannot be merged", Assert.Throws<ArgumentException>(() => Run(new ContinualMethod("x") { Adapter = new PromptSettings() })).Message);
        Assert.Contains("ReplayShare", Assert.Throws<ArgumentOutOfRangeException>(() => Run(new ContinualMethod("x") { ReplayShare = 2 })).Message);
        var made = 0;
        var study = new ContinualStudy(_ => Contradicting, (labels, seed) => { made++; return TextClassifier.FromScratch(FinetunerTests.Tiny, labels, seed); }, [new("good"), new("bad") { NewShare = 0 }], Seeds: 2);
        Assert.Contains("NewShare", Assert.Throws<ArgumentOutOfRangeException>(() => study.Run()).Message);
        Assert.Equal(0, made);                                                   // refused before anything is made or trained
        Assert.Contains("at least two tasks", Assert.Throws<ArgumentException>(() => TaskSequence.Run(Make, Contradicting[..1], new ContinualMethod("x"))).Message);
    }

    /// <summary>Expected: half of each earlier task's 8 examples beside a new one's 8, so 2, 3 and 4 batches of four.</summary>
    [Fact]
    public void A_memory_keeps_its_share_of_every_task()
    {
        var batches = new List<int>();
        var once = Quick with { Epochs = 1 };
        TaskSequence.Run(Make, [.. Contradicting, new("third", Third, Third)], new ContinualMethod("x") { First = once, Further = once, ReplayShare = 0.5 }, progress: new Listener(p => { if (p is RunStarted started) batches.Add(started.TotalSteps); }));
        Assert.Equal([2, 3, 4], batches);
    }

    [Fact]
    public void A_study_compares_methods_on_the_same_tasks()
    {
        var study = new ContinualStudy(_ => Contradicting, (labels, seed) => TextClassifier.FromScratch(FinetunerTests.Tiny, labels, seed), [new("nothing") { First = Quick, Further = Quick }, new("replay") { First = Quick, Further = Quick, ReplayShare = 1 }], Seeds: 2);
        var result = study.Run();
        Assert.Equal(4, result.Runs.Count);
        Assert.Equal(2, result.Values("replay", m => m.AverageAccuracy).Length);
        Assert.Contains("2 tasks, mean over 2 seeds", result.ToText());
        Assert.NotNull(result.Compare("replay", "nothing").Verdict);
var within = result.Compare("replay", "nothing", m => m.WithinTasks!.EarlierAccuracy);
        Assert.Equal(result.Values("replay", m => m.WithinTasks![1, 0]).Average() - result.Values("nothing", m => m.WithinTasks![1, 0]).Average(), within.Difference.Estimate, 1e-12);
        // The first task is learned once for both methods; the figures are those of methods run alone.
        var alone = TaskSequence.Run(labels => TextClassifier.FromScratch(FinetunerTests.Tiny, labels, 1), Contradicting, study.Methods[1], seed: 1);
        Assert.Equal([alone[0, 0], alone[1, 0], alone[1, 1], alone.WithinTasks![1, 0]], new[] { (0, 0), (1, 0), (1, 1) }.Select(p => result.Values("replay", m => m[p.Item1, p.Item2])[1]).Append(result.Values("replay", m => m.WithinTasks![1, 0])[1]));
    }

    private static TextClassifier Make(LabelSet labels) => TextClassifier.FromScratch(FinetunerTests.Tiny, labels, seed: 3);

    private static TaskMatrix Run(ContinualMethod method) => TaskSequence.Run(Make, Contradicting, method with { First = Quick, Further = Quick });
}
