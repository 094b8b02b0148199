using System.Diagnostics;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Schedules;
using NotebookKit.Tracking;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>One finetuning run: its state between steps, and how it goes on from a checkpoint.</summary>
internal sealed class FinetuneRun : IDisposable
{
    private readonly FinetuneSettings _settings;
    private readonly TextClassifier _classifier;
    private readonly TextDataset _train;
    private readonly TextDataset? _validation;
    private readonly IProgress<TrainingProgress>? _progress;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly RunCheckpoints? _checkpoints;
    private WeightSnapshot? _best;
    private WeightAverage? _average;
    private WeightSoup? _soup;
    private TrainStep? _step;
    private RunState _state = new();
    private IReadOnlyList<int> _averaged = [];
    private readonly HashSet<string> _frozen = [];                            // names, since converting a model makes new parameters
    private readonly string _firstWeights;
    private readonly Retention? _retention;

    public FinetuneRun(FinetuneSettings settings, TextClassifier classifier, TextDataset train, TextDataset? validation, IProgress<TrainingProgress>? progress, Retention? retention)
    {
        (_settings, _classifier, _train, _validation, _progress, _retention) = (settings, classifier, train, validation, progress, retention);
        _firstWeights = progress is null && settings.Checkpoints is null ? "" : TensorHash.Of(Weights());
        _checkpoints = settings.Checkpoints is { } kept && settings.Trained == Trained.All ? new RunCheckpoints(kept, Identity()) : null;
    }

    private EncoderModel Model => _classifier.Model;

    public TrainingHistory Run(CancellationToken cancellation)
    {
        var random = Runtime.Seed.Everything(_settings.Seed);
        Model.Dropout.Reseed(_settings.Seed);
        if (_settings.Trained == Trained.HeadOnly) return HeadAlone();

        var rows = _classifier.Tokenizer.EncodeAll(_train.Texts, _classifier.MaximumLength);
        var (lengths, labels) = (Array.ConvertAll(rows, r => r.Length), _train.LabelIds());
        var total = (rows.Length + _settings.BatchSize - 1) / _settings.BatchSize * _settings.Epochs;
        var schedule = _settings.Schedule.Make(total, (int)Math.Round(_settings.WarmupShare * total));
        var goesOn = _checkpoints is { IsEmpty: false };
        _retention?.Begin(_classifier, _train);
        if (!goesOn && _settings.HeadStart == HeadStart.LinearProbe) Probe();
        Freeze();
        var half = _settings.Precision == TrainingPrecision.BFloat16;
        using var start = half ? new WeightSnapshot(Model) : null;
        if (half) Model.ComputeIn(ScalarType.BFloat16);
        using var step = _step = new TrainStep(_classifier, _settings.Optimizer, _settings.Objective, _train.CountByLabel(), LayerRates.Of(Model, _settings), _settings.Seed, _retention);
        start?.Restore(step.Optimizer.Weights);                               // masters begin at the weights as they were, not as bf16 has them
        step.Optimizer.WriteBack();
        _best = new WeightSnapshot(step.Optimizer.Weights);
        _average = _settings.AverageDecay > 0 ? new WeightAverage(step.Optimizer.Weights, _settings.AverageDecay) : null;
        _soup = _settings.SoupSize > 1 && _validation is not null ? new WeightSoup([.. step.Optimizer.Weights], _settings.SoupSize) : null;
        if (half && !Runtime.MatrixProducts.BFloat16IsFast) _progress?.Report(Progress("precision", total, double.NaN, "this CPU computes bf16 no faster than fp32: Precision = Float32 would take less time"));
        var checks = new RunChecks(_settings.Checks, _classifier, _train);
        _progress?.Report(new RunStarted(Record(), total, _clock.Elapsed));
        (Model.Dropout.Probability, Model.RecomputesLayers) = (_settings.Dropout, _settings.RecomputesLayers);
        try
        {
            if (goesOn) Resume();
            for (var epoch = 1; epoch <= _settings.Epochs && !_state.StoppedEarly; epoch++)
            {
                var batches = BatchSampler.Shuffled(lengths, _settings.BatchSize, random, _settings.PoolBatches);
                if (epoch < _state.Epoch) continue;                         // the order of epochs that are done is drawn once more, so that this one's is the same
                Model.train();
                for (var at = _state.Batch; at < batches.Length; at++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var parts = Parts(batches[at], rows, labels);
                    checks.Labels(batches[at], parts);
                    if (_state.Steps == 0) checks.Accumulation(step, Parts(batches[at], rows, labels, batches[at].Length), _settings.MicroBatchSize is null ? Parts(batches[at], rows, labels, (batches[at].Length + 1) / 2) : parts);
                    var rate = _settings.LearningRate * schedule.FactorAt(_state.Steps);
                    var loss = Step(step, batches[at], parts, rate, checks);
                    _state.LossSum += loss * batches[at].Length;
                    _state.Seen += batches[at].Length;
                    _state.Steps++;
                    _state.Batch++;
                    _average?.Update(_state.Steps);
                    checks.LiveTensors(_state.Steps);
                    _progress?.Report(Progress("finetune", total, _state.LossSum / _state.Seen) with { BatchLoss = loss, LearningRate = rate, GradientNorm = step.GradientNorm });
                    if (_checkpoints?.IsDue(_state.Steps) == true && at + 1 < batches.Length) Save(total);
                }
                EndEpoch();
                _progress?.Report(new EpochEnded(_state.Epochs[^1], _state.Steps, total, Best, _clock.Elapsed));
                Save(total);
            }
            AverageBest(step);
        }
        finally
        {
            if (_validation is not null) _best.Restore(step.Optimizer.Weights);
            else _average?.Swap();
            if (half)
            {
                start!.Take(step.Optimizer.Weights);                          // what is frozen is as it was
                Model.ComputeIn(ScalarType.Float32);
                start.Restore(Model);
            }
            foreach (var (name, parameter) in Model.named_parameters()) parameter.requires_grad |= _frozen.Contains(name);
            (Model.Dropout.Probability, Model.RecomputesLayers) = (null, false);
            Model.eval();
        }
        _progress?.Report(new RunEnded(_state.BestEpoch, _state.StoppedEarly, _state.Steps, total, _state.Epochs[^1].Epoch, _state.Epochs[^1].TrainLoss, Best, _clock.Elapsed,
            _validation is null ? "done" : _averaged.Count > 1 ? $"done; average of epochs {string.Join(", ", _averaged)}" : _state.BestEpoch == 0 ? "done; the linear probe was best" : $"done; best epoch {_state.BestEpoch}"));
        return new TrainingHistory(_settings, _state.Epochs, _state.BestEpoch, _state.Steps, _state.StoppedEarly) { AveragedEpochs = _averaged };
    }

    public void Dispose()
    {
        _best?.Dispose();
        _average?.Dispose();
        _soup?.Dispose();
    }

    private static double Step(TrainStep step, int[] window, Batch[] parts, double rate, RunChecks checks)
    {
        try { return step.Run(parts, rate); }
        catch (InvalidOperationException e) { throw new InvalidOperationException($"{e.Message} {checks.Explain(window, parts)}", e); }
    }

    /// <summary>The best epochs' average takes the place of the best where it is no worse.</summary>
    private void AverageBest(TrainStep step)
    {
        if (_soup is not { Members.Count: > 1 }) return;
        Model.eval();
        var (epochs, accuracy, loss) = _soup.Average(() =>
        {
            step.Optimizer.WriteBack();
            return Finetuner.Measure(_classifier, _validation!);
        });
        step.Optimizer.WriteBack();
        if (!new SoupMember(0, accuracy, loss).IsNoWorseThan(new SoupMember(0, _state.BestAccuracy, _state.BestLoss))) return;      // the start was better than any epoch
        (_averaged, _state.BestAccuracy, _state.BestLoss) = (epochs, accuracy, loss);
        _best!.Take(step.Optimizer.Weights);
    }

    /// <summary>The probe is the optimum of the head already; a second optimiser would only come back to it.</summary>
    private TrainingHistory HeadAlone()
    {
        LinearProbe.FitHead(_classifier, _train, _settings.ProbeC);
        var (trainLoss, _) = Finetuner.Measure(_classifier, _train);
        var measured = _validation is null ? default((double Loss, double Accuracy)?) : Finetuner.Measure(_classifier, _validation);
        return new TrainingHistory(_settings, [new EpochRecord(1, trainLoss, measured?.Loss, measured?.Accuracy)], 1, 0, StoppedEarly: false);
    }

    private void Freeze()
    {
        if (_settings.FrozenLayers is not { } frozen) return;
        var layers = LayerRates.Count(Model.named_parameters().Select(p => p.name));
        if (frozen > layers) throw new ArgumentException($"FrozenLayers is {frozen}; the model has {layers} layers. Trained.HeadOnly trains the head alone.");
        foreach (var (name, parameter) in Model.named_parameters())
        {
            if (!parameter.requires_grad || !LayerRates.IsFrozen(name, frozen)) continue;
            (parameter.requires_grad, parameter.grad) = (false, null);
            _frozen.Add(name);
        }
    }

    private void Probe()
    {
        LinearProbe.FitHead(_classifier, _train, _settings.ProbeC);
        if (_validation is not null) (_state.BestLoss, _state.BestAccuracy) = Finetuner.Measure(_classifier, _validation);
    }

    private Batch[] Parts(int[] window, int[][] rows, int[] labels, int? size = null) =>
        [.. window.Chunk(size ?? _settings.MicroBatchSize ?? window.Length).Select(part => Batch.Of(part, rows, labels, _classifier.Tokenizer.PadId))];

    private void EndEpoch()
    {
        Model.eval();
        var (epoch, trainLoss) = (_state.Epoch, _state.LossSum / _state.Seen);
        if (_validation is null)
        {
            _state.Epochs.Add(new EpochRecord(epoch, trainLoss, null, null));
            _state.BestEpoch = epoch;
        }
        else
        {
            SwapAverage();
            var (loss, accuracy) = Finetuner.Measure(_classifier, _validation);
            _state.Epochs.Add(new EpochRecord(epoch, trainLoss, loss, accuracy));
            _soup?.Offer(new SoupMember(epoch, accuracy, loss));
            if (accuracy > _state.BestAccuracy || accuracy == _state.BestAccuracy && loss < _state.BestLoss)
            {
                (_state.BestEpoch, _state.BestAccuracy, _state.BestLoss) = (epoch, accuracy, loss);
                _best!.Take(_step!.Optimizer.Weights);
            }
            SwapAverage();
            _state.StoppedEarly = epoch - _state.BestEpoch >= _settings.Patience && epoch < _settings.Epochs;
        }
        (_state.Epoch, _state.Batch, _state.LossSum, _state.Seen) = (epoch + 1, 0, 0, 0);
    }

    private void SwapAverage()
    {
        if (_average is null) return;
        _average.Swap();
        _step!.Optimizer.WriteBack();
    }

    private double? Best => double.IsFinite(_state.BestAccuracy) ? _state.BestAccuracy : null;

    private TrainingProgress Progress(string phase, int total, double loss, string? message = null) =>
        new(phase, _state.Steps, total, Math.Min(_state.Epoch, _settings.Epochs), loss, Best, _clock.Elapsed, message);

    private void Say(int total, string message) => _progress?.Report(Progress("checkpoint", total, _state.Epochs.LastOrDefault()?.TrainLoss ?? double.NaN, message));

    private void Save(int total)
    {
        if (_checkpoints is null) return;
        (_state.Dropout, _state.Soup) = (Model.Dropout.State, _soup?.Members ?? []);
        if (_checkpoints.Save(_state.Steps, Tensors(), _state.ToText()) is { } warning) Say(total, warning);
    }

    private void Resume()
    {
        var found = _checkpoints!.TryRestore((text, read) =>
        {
            _state = RunState.Parse(text);
            _soup?.Restore(_state.Soup);
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            foreach (var (name, tensor) in Tensors())
                if (!name.StartsWith("optimizer.", StringComparison.Ordinal)) tensor.copy_(read(name));
            _step!.Optimizer.Restore(name => read("optimizer." + name), _state.Steps);
            Model.Dropout.State = _state.Dropout;
        });
        if (found is not { } from) return;
        Say(0, from.Warning ?? $"goes on from step {from.Step}");
    }

    /// <summary>All that a checkpoint holds; live tensors.</summary>
    private IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
        WeightSnapshot.Of(Model).Select(p => KeyValuePair.Create("model." + p.Name, p.Weights))
            .Concat(_step!.Optimizer.State.Select(s => KeyValuePair.Create("optimizer." + s.Key, s.Value)))
            .Concat(_validation is null ? [] : _best!.State.Select(s => KeyValuePair.Create("best." + s.Key, s.Value)))
            .Concat(_average?.State.Select(s => KeyValuePair.Create("average." + s.Key, s.Value)) ?? [])
            .Concat(_soup?.State.Select(s => KeyValuePair.Create("soup." + s.Key, s.Value)) ?? []);

    /// <summary>What makes two runs the same: settings, data in its order, first weights.</summary>
    private string Identity() => TensorHash.Of([], $"{_settings with { Checkpoints = null, Checks = new() }}\n{Text(_train)}\n{(_validation is null ? "" : Text(_validation))}\n{_firstWeights}\n{_retention}");

    private RunRecord Record()
    {
        var hashes = new Dictionary<string, string> { ["training data"] = TensorHash.Of([], Text(_train)), ["first weights"] = _firstWeights };
        if (_validation is not null) hashes["validation data"] = TensorHash.Of([], Text(_validation));
        return RunRecord.Now(_train.Name, _settings, _settings.Seed, hashes);
    }

    private IEnumerable<KeyValuePair<string, Tensor>> Weights() => Model.Held().Concat(Model.Adapter?.Added.Select(a => (a.Name, (Tensor)a.Parameter)) ?? []).Select(p => KeyValuePair.Create(p.Name, p.Item2));

    private static string Text(TextDataset data) => string.Join('\n', data.Select(e => $"{e.Label}\t{e.Text}"));
}
