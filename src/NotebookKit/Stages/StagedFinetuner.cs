using NotebookKit.Adapters;
using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Pretraining;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.Stages;

/// <summary>
/// Runs a plan: each stage on its slice, its gate after it, the model put back where the gate says no. With a folder a plan that was ended, at any moment, goes on in the middle of the stage it was in (a stage of masked tokens begins again, and ends as it would have).
/// </summary>
/// <param name="plan">The plan.</param>
/// <param name="folder">Where weights, outcomes and checkpoints are kept; <c>null</c> keeps nothing.</param>
public sealed class StagedFinetuner(StagePlan plan, string? folder = null)
{
    /// <summary>Trains a classifier in place.</summary>
    /// <param name="classifier">What is trained; afterwards it is what the last promoted stage left. An adapter of the last stage takes part.</param>
    /// <param name="data">What it is trained and judged on.</param>
    /// <param name="progress">Is told of every stage, and of all that each run tells.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="ArgumentException">A stage cannot be done; the message names stage and field, and nothing has been trained.</exception>
    /// <exception cref="InvalidOperationException">The folder holds another plan, or the same on other data or another model.</exception>
    public StagedHistory Run(TextClassifier classifier, StageData data, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        plan.Check(classifier, data);
        using var run = new StageRun(plan, classifier, data, folder is null ? null : new StageFolder(folder, plan, classifier, data), progress);
        return run.Run(cancellation);
    }
}

/// <summary>One run of a plan.</summary>
internal sealed class StageRun(StagePlan plan, TextClassifier classifier, StageData data, StageFolder? folder, IProgress<TrainingProgress>? progress) : IDisposable
{
    private readonly List<StageOutcome> _outcomes = [];
    private readonly List<Example> _learned = [];
    private Adapter? _adapter;
    private Answers? _now;

    private sealed record Answers(int[] New, int[]? Old);

    public StagedHistory Run(CancellationToken cancellation)
    {
        Resume();
        for (var number = _outcomes.Count + 1; number <= plan.Stages.Count; number++)
        {
            var stage = plan.Stages[number - 1];
            progress?.Report(new StageStarted(stage.Name, number, plan.Stages.Count));
            var outcome = Run(stage, number, cancellation);
            _outcomes.Add(outcome);
            folder?.Keep(outcome, classifier);
            progress?.Report(new StageEnded(stage.Name, number, plan.Stages.Count, outcome.Promoted, outcome.Decision?.Reason ?? "taken"));
        }
        return new StagedHistory(plan, _outcomes) { Adapter = _adapter };
    }

    public void Dispose()
    {
        if (_adapter is { IsActive: false }) _adapter.Dispose();
    }

    private StageOutcome Run(Stage stage, int number, CancellationToken cancellation)
    {
        var before = _now ??= Answer();
        var slice = stage.Data.Of(data.Train, classifier);
        var (train, replayed) = WithOld(stage, slice);
        var own = Prepare(stage);
        try
        {
            using var weights = ModelWeights.Of(classifier);
            var settings = Settings(stage) with { Checkpoints = stage.Trains.Kind == TrainedKind.Probe ? null : folder?.CheckpointsOf(number) };
            var trainable = Trainable(stage);
            var epochs = stage.Trains.Pretraining is { } pretraining
                ? [.. FurtherPretraining.Learn(classifier, data.Encoder!, stage.Trains.OnDomain ? data.DomainTexts! : train.Texts, pretraining, data.Validation.Texts, progress, cancellation).Skip(1)]
                : new Finetuner(settings).Run(classifier, train, data.Validation, progress, cancellation).Epochs;
            var after = Answer();
            var labels = data.Validation.LabelIds();
            var old = data.OldValidation is null ? default((int[], int[], int[])?) : (data.OldValidation.LabelIds(), before.Old!, after.Old!);
            var decision = stage.Gate?.Decide(labels, before.New, after.New, old, classifier.Labels.Count);
            var outcome = new StageOutcome(number, stage.Name, stage.Trains.OnDomain ? data.DomainTexts!.Count : slice.Count, replayed, trainable, epochs, Measure(before), Measure(after), decision);
            if (outcome.Promoted)
            {
                _now = after;
                if (stage.Trains.Kind != TrainedKind.Pretraining) _learned.AddRange(slice);
            }
            else
            {
                weights.PutInto(classifier);
                if (own) DropAdapter();
            }
            return outcome;
        }
        catch when (own)
        {
            DropAdapter();
            throw;
        }
    }

    /// <summary>Makes the adapter of a stage, or makes an earlier one's part of the weights.</summary>
    /// <returns>Whether the stage has an adapter that was not there before.</returns>
    private bool Prepare(Stage stage)
    {
        var goesOn = _adapter is not null && stage.Trains.Kind == TrainedKind.Adapter && stage.Trains.Adapter == _adapter.Settings;
        if (goesOn) return false;
        if (_adapter is not null)
        {
            _adapter.Merge();
            _adapter.Dispose();
            _adapter = null;
        }
        if (stage.Trains.Kind != TrainedKind.Adapter) return false;
        _adapter = Adapter.Add(classifier.Model, stage.Trains.Adapter!, stage.Settings.Seed);
        return true;
    }

    private void DropAdapter()
    {
        _adapter?.Dispose();
        _adapter = null;
    }

    private FinetuneSettings Settings(Stage stage) => stage.Trains.Kind switch
    {
        TrainedKind.Probe => stage.Settings with { Trained = Trained.HeadOnly },
        TrainedKind.TopLayers => stage.Settings with { FrozenLayers = Layers - stage.Trains.Layers },
        _ => stage.Settings,
    };

    private int Layers => LayerRates.Count(classifier.Model.OwnParameters().Select(p => p.Name));

    private long Trainable(Stage stage) => stage.Trains.Kind == TrainedKind.Probe
        ? classifier.Model.Classifier.weight.numel() + (classifier.Model.Classifier.bias?.numel() ?? 0)
        : stage.Trains.Kind == TrainedKind.Pretraining ? classifier.Model.OwnParameters().Where(p => p.Name.StartsWith(classifier.Model.BasePrefix, StringComparison.Ordinal)).Sum(p => p.Parameter.numel())
        : classifier.Model.named_parameters().Where(p => p.parameter.requires_grad && !LayerRates.IsFrozen(p.name, Settings(stage).FrozenLayers)).Sum(p => p.parameter.numel());

    private (TextDataset Train, int Replayed) WithOld(Stage stage, TextDataset slice)
    {
        if (stage.Replay is not { } replay) return (slice, 0);
        var here = slice.ToHashSet();
        Example[] old = [.. data.Old ?? Enumerable.Empty<Example>(), .. _learned.Where(e => !here.Contains(e)).Distinct()];
        if (old.Length == 0) return (slice, 0);
        var memory = new ReplayMemory(Math.Max(1, (int)Math.Round(replay.Share * old.Length)), replay.Selection, replay.Seed);
        memory.Add(slice.With("old", old), classifier);
        return (memory.MixInto(slice), memory.Examples.Count);
    }

    private Answers Answer() => new(classifier.PredictIds(data.Validation.Texts), data.OldValidation is null ? null : classifier.PredictIds(data.OldValidation.Texts));

    private StageMeasure Measure(Answers answers)
    {
        var (labels, classes) = (data.Validation.LabelIds(), classifier.Labels.Count);
        var old = data.OldValidation?.LabelIds();
        return new StageMeasure(Gate.Measure("accuracy", labels, answers.New, classes), Gate.Measure("macro-F1", labels, answers.New, classes),
            old is null ? null : Gate.Measure("accuracy", old, answers.Old!, classes), old is null ? null : Gate.Measure("macro-F1", old, answers.Old!, classes));
    }

    /// <summary>Goes through the stages that are done, without training, so that the model and what it has learned are as they were.</summary>
    private void Resume()
    {
        if (folder is null) return;
        foreach (var outcome in folder.Done())
        {
            var stage = plan.Stages[outcome.Number - 1];
            if (outcome.Promoted)
            {
                var slice = stage.Data.Of(data.Train, classifier);
                Prepare(stage);
                folder.Restore(outcome.Number, classifier);
                if (stage.Trains.Kind != TrainedKind.Pretraining) _learned.AddRange(slice);
            }
            _outcomes.Add(outcome);
            progress?.Report(new StageEnded(stage.Name, outcome.Number, plan.Stages.Count, outcome.Promoted, "done before: " + (outcome.Decision?.Reason ?? "taken")));
        }
    }
}
