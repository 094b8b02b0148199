using System.Numerics.Tensors;
using NotebookKit.Adapters;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.ContinualLearning;

/// <summary>One task of a sequence.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Train">What is learned. Its classes may be new, or known.</param>
/// <param name="Test">What is judged.</param>
public sealed record ContinualTask(string Name, TextDataset Train, TextDataset Test);

/// <summary>What holds a model while it learns a further task.</summary>
public enum Holding
{
    /// <summary>Nothing.</summary>
    Nothing,
    /// <summary><see cref="ContinualLearning.L2Sp"/>.</summary>
    L2Sp,
    /// <summary><see cref="ContinualLearning.Ewc"/>, every earlier task held.</summary>
    Ewc,
    /// <summary><see cref="ContinualLearning.Distillation"/> over the classes known before.</summary>
    Distillation,
}

/// <summary>How a sequence of tasks is learned.</summary>
/// <param name="Name">Shown in tables.</param>
public sealed record ContinualMethod(string Name)
{
    /// <summary>How the first task is learned. Default: the kit's.</summary>
    public FinetuneSettings First { get; init; } = new();

    /// <summary>How further tasks are learned; the head begins as it is, since a regression on the new classes alone would forget the old. Default: the kit's.</summary>
    public FinetuneSettings Further { get; init; } = new() { HeadStart = HeadStart.Random };

    /// <summary>Share of every earlier task's examples that is learned again beside a new one's, in [0, 1]. Default 0.</summary>
    public double ReplayShare { get; init; }

    /// <summary>Which these are. Default <see cref="ReplaySelection.ClassBalanced"/>.</summary>
    public ReplaySelection Selection { get; init; } = ReplaySelection.ClassBalanced;

    /// <summary>What holds the model. Default nothing.</summary>
    public Holding Holds { get; init; }

    /// <summary>How strongly; <c>null</c> takes the method's default. Default <c>null</c>.</summary>
    public double? Strength { get; init; }

    /// <summary>WiSE-FT: share of the new weights in the average of before and after, in (0, 1]; 1 is none. Default 1.</summary>
    public double NewShare { get; init; } = 1;

    /// <summary>An adapter that learns a further task in the model's place and is merged after it; <c>null</c> is none. Default <c>null</c>.</summary>
    public AdapterSettings? Adapter { get; init; }

    internal void Validate()
    {
        if (ReplayShare is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(ReplayShare), ReplayShare, "ReplayShare is in [0, 1].");
        if (NewShare is not (> 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(NewShare), NewShare, "NewShare is in (0, 1].");
        if (Adapter is not null && Holds is not Holding.Nothing and not Holding.Distillation) throw new ArgumentException($"{Holds} holds the weights that an adapter leaves as they are: leave Holds or Adapter out.", nameof(Holds));
        if (Adapter is PromptSettings or PrefixSettings or BottleneckSettings) throw new ArgumentException($"A {Adapter.Method} adapter cannot be merged, which is how a sequence goes on: use LoRA.", nameof(Adapter));
        if (Further.HeadStart != HeadStart.Random) throw new ArgumentException("Further.HeadStart is Random: the head begins as the task before left it.", nameof(Further));
    }
}

/// <summary>Learns tasks one after the other and measures all of them after each.</summary>
public static class TaskSequence
{
    /// <summary>Runs a sequence. New classes are added to the head when their task comes; until then a task of unknown classes counts as answered wrongly.</summary>
    /// <param name="make">Makes the classifier for the first task's classes.</param>
    /// <param name="tasks">At least two.</param>
    /// <param name="method">How.</param>
    /// <param name="seed">Seed of order, dropout, replay and fresh rows.</param>
    /// <param name="progress">Is told of every step.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public static TaskMatrix Run(Func<LabelSet, TextClassifier> make, IReadOnlyList<ContinualTask> tasks, ContinualMethod method, int seed = 0, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        method.Validate();
        using var first = Begin(make, tasks, method.First, seed, progress, cancellation);
        return GoOn(make, tasks, method, first, seed, progress, cancellation);
    }

    /// <summary>Learns the first task, which is the same for all methods that learn it alike.</summary>
    internal static FirstTask Begin(Func<LabelSet, TextClassifier> make, IReadOnlyList<ContinualTask> tasks, FinetuneSettings settings, int seed, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (tasks.Count < 2) throw new ArgumentException($"A sequence has at least two tasks; got {tasks.Count}.", nameof(tasks));
        using var classifier = make(tasks[0].Train.Labels);
        var before = Measured(classifier, tasks);
        new Finetuner(settings with { Seed = seed }).Run(classifier, Own(tasks[0], classifier), null, progress, cancellation);
        return new FirstTask(ModelWeights.Of(classifier), before, Measured(classifier, tasks));
    }

    /// <summary>Learns the others, by a method that has been validated.</summary>
    internal static TaskMatrix GoOn(Func<LabelSet, TextClassifier> make, IReadOnlyList<ContinualTask> tasks, ContinualMethod method, FirstTask first, int seed, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        var (classifier, rows, memory) = (make(tasks[0].Train.Labels), new List<Accuracy[]> { first.After }, new List<Example>());
        using var ewc = method.Holds == Holding.Ewc ? Ewc(method) : null;
        try
        {
            first.Weights.PutInto(classifier);
            for (var i = 1; i < tasks.Count; i++)
            {
                var last = Own(tasks[i - 1], classifier);
                ewc?.Hold(classifier, last, seed: seed);
                if (method.ReplayShare > 0) memory.AddRange(Kept(last, method, classifier, seed));
                var (task, known) = (tasks[i], classifier.Labels.Count);
                string[] fresh = [.. task.Train.Labels.Names.Where(n => !classifier.Labels.Contains(n))];
                if (fresh.Length > 0)
                {
                    var wider = classifier.WithClasses(fresh, seed);
                    classifier.Dispose();
                    classifier = wider;
                }
                var own = Own(task, classifier);
                Further(classifier, memory.Count == 0 ? own : own.With($"{own.Name} and {memory.Count} old", own.Concat(memory)), method, ewc, known, seed, progress, cancellation);
                rows.Add(Measured(classifier, tasks));
            }
            TaskMatrix Matrix(Func<Accuracy, double> figure, TaskMatrix? within = null) => new([.. tasks.Select(t => t.Name)], [.. first.Before.Select(figure)], [.. rows.Select(r => r.Select(figure).ToArray())]) { WithinTasks = within };
            return Matrix(a => a.Among, Matrix(a => a.Within));
        }
        finally { classifier.Dispose(); }
    }

    /// <summary>A dataset's classes as tasks that come one after the other.</summary>
    /// <param name="data">Its training part is learned, its test part judged.</param>
    /// <param name="count">Number of tasks, at least 2; each has at least two classes.</param>
    /// <param name="perClass">Training examples per class, or as many as there are.</param>
    /// <param name="seed">Seed of the order of classes and of the draw.</param>
    public static IReadOnlyList<ContinualTask> ByClasses(DatasetSplits data, int count, int perClass, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2);
        var names = data.Labels.Names.ToArray();
        if (names.Length < 2 * count) throw new ArgumentException($"{count} tasks need at least {2 * count} classes; '{data.Name}' has {names.Length}.", nameof(count));
        new Random(seed).Shuffle(names);
        var drawn = data.Train.SamplePerClass(perClass, seed, orAll: true);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var own = new LabelSet(names.Where((_, place) => place % count == i).Order(StringComparer.Ordinal));
            TextDataset Of(TextDataset part) => new($"task {i + 1}", part.Where(e => own.Contains(e.Label)), own);
            return new ContinualTask($"task {i + 1}", Of(drawn), Of(data.Test));
        })];
    }

    private static void Further(TextClassifier classifier, TextDataset train, ContinualMethod method, Ewc? ewc, int known, int seed, IProgress<TrainingProgress>? progress, CancellationToken cancellation)
    {
        using var before = method.NewShare < 1 ? ModelWeights.Of(classifier) : null;
        using var own = method.Holds switch
        {
            Holding.L2Sp => method.Strength is { } s ? new L2Sp(s) : new L2Sp(),
            Holding.Distillation => new Distillation(method.Strength ?? 1, oldClasses: known),
            _ => default(Retention),
        };
        using var adapter = method.Adapter is null ? null : Adapter.Add(classifier.Model, method.Adapter, seed);
        new Finetuner(method.Further with { Seed = seed }, own ?? ewc).Run(classifier, train, null, progress, cancellation);
        adapter?.Merge();
        before?.MixInto(classifier, method.NewShare);
    }

    /// <summary>The share of a task's examples that is kept for later, chosen as soon as it is learned.</summary>
    private static IReadOnlyList<Example> Kept(TextDataset own, ContinualMethod method, TextClassifier classifier, int seed)
    {
        var memory = new ReplayMemory(Math.Max(1, (int)Math.Round(method.ReplayShare * own.Count)), method.Selection, seed);
        memory.Add(own, classifier);
        return memory.Examples;
    }

    private static Ewc Ewc(ContinualMethod method) => method.Strength is { } strength ? new Ewc(strength) : new Ewc();

    /// <summary>A task's examples with the classifier's classes.</summary>
    private static TextDataset Own(ContinualTask task, TextClassifier classifier) => new(task.Name, task.Train, classifier.Labels);

    private static Accuracy[] Measured(TextClassifier classifier, IReadOnlyList<ContinualTask> tasks) => [.. tasks.Select(t => Measured(classifier, t.Test))];

    private static Accuracy Measured(TextClassifier classifier, TextDataset test)
    {
        bool[] ofTask = [.. classifier.Labels.Names.Select(test.Labels.Contains)];
        var (among, within) = (0, 0);
        classifier.EachLogits(test.Texts, (i, logits) =>
        {
            if (!classifier.Labels.Contains(test[i].Label)) return;
            var right = classifier.Labels.IndexOf(test[i].Label);
            if (TensorPrimitives.IndexOfMax<float>(logits) == right) among++;
            for (var c = 0; c < logits.Length; c++)
                if (!ofTask[c]) logits[c] = float.NegativeInfinity;
            if (TensorPrimitives.IndexOfMax<float>(logits) == right) within++;
        });
        return new Accuracy(among / (double)test.Count, within / (double)test.Count);
    }

    /// <summary>Share answered rightly among all classes known, and among those of the task.</summary>
    internal readonly record struct Accuracy(double Among, double Within);

    /// <summary>The first task as learned: the weights, and what they reach on all tasks.</summary>
    internal sealed record FirstTask(ModelWeights Weights, Accuracy[] Before, Accuracy[] After) : IDisposable
    {
        public void Dispose() => Weights.Dispose();
    }
}
