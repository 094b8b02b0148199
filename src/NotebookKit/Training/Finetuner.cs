using NotebookKit.Schedules;
using System.Diagnostics;
using NotebookKit.Baselines;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Training;

/// <summary>
/// The finetuning loop: epochs over length-bucketed batches, the validation part measured after each, the best weights kept.
/// Deterministic on one machine for the same settings and data.
/// </summary>
public sealed class Finetuner(FinetuneSettings settings)
{
    /// <summary>Trains a classifier in place.</summary>
    /// <param name="classifier">What is trained; afterwards it has the weights of the best epoch.</param>
    /// <param name="train">Examples to learn from; of the classifier's classes.</param>
    /// <param name="validation">Examples to choose the epoch by; <c>null</c> keeps the last.</param>
    /// <param name="progress">Reports after every step.</param>
    /// <param name="cancellation">Stops between steps; the classifier then has the best weights so far.</param>
    /// <exception cref="ArgumentException">The data's classes are not the classifier's.</exception>
    /// <exception cref="InvalidOperationException">A loss or gradient is not finite; the message names the step.</exception>
    public TrainingHistory Run(TextClassifier classifier, TextDataset train, TextDataset? validation = null,
        IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        settings.Validate();
        CheckLabels(classifier, train);
        if (validation is not null) CheckLabels(classifier, validation);
        var clock = Stopwatch.StartNew();
        var model = classifier.Model;
        var random = Runtime.Seed.Everything(settings.Seed);
        model.Dropout.Reseed(settings.Seed);

        if (settings.HeadStart == HeadStart.LinearProbe || settings.Trained == Trained.HeadOnly)
            LinearProbe.FitHead(classifier, train, settings.ProbeC);
        var epochs = new List<EpochRecord>();
        using var best = new WeightSnapshot(model);
        var (bestEpoch, bestAccuracy, bestLoss, steps) = (0, double.NegativeInfinity, double.PositiveInfinity, 0);
        if (settings.Trained == Trained.HeadOnly)
        {
            // The probe is the optimum of the head already; a second optimiser would only come back to it.
            var (trainLoss, _) = Measure(classifier, train);
            var (loss, accuracy) = validation is null ? (null, null) : AsNullable(Measure(classifier, validation));
            epochs.Add(new EpochRecord(1, trainLoss, loss, accuracy));
            return new TrainingHistory(settings, epochs, 1, 0, StoppedEarly: false);
        }

        var rows = train.Texts.AsParallel().AsOrdered().Select(t => classifier.Tokenizer.Encode(t, classifier.MaximumLength)).ToArray();
        var (lengths, labels) = (Array.ConvertAll(rows, r => r.Length), train.LabelIds());
        var stepsPerEpoch = (rows.Length + settings.BatchSize - 1) / settings.BatchSize;
        var total = stepsPerEpoch * settings.Epochs;
        var schedule = new LinearSchedule((int)Math.Round(settings.WarmupShare * total), total);
        if (validation is not null && settings.HeadStart == HeadStart.LinearProbe) (bestLoss, bestAccuracy) = Measure(classifier, validation);
        using var step = new TrainStep(classifier, settings.Optimizer);
        var stopped = false;
        for (var epoch = 1; epoch <= settings.Epochs && !stopped; epoch++)
        {
            model.train();
            var (lossSum, seen) = (0.0, 0);
            foreach (var window in BatchSampler.Shuffled(lengths, settings.BatchSize, random))
            {
                if (cancellation.IsCancellationRequested)
                {
                    if (validation is not null) best.Restore();
                    model.eval();
                    cancellation.ThrowIfCancellationRequested();
                }
                var batch = Batch.Pad([.. window.Select(i => rows[i])], classifier.Tokenizer.PadId, [.. window.Select(i => (long)labels[i])]);
                lossSum += step.Run(batch, settings.LearningRate * schedule.FactorAt(steps)) * window.Length;
                seen += window.Length;
                steps++;
                progress?.Report(new TrainingProgress("finetune", steps, total, epoch, lossSum / seen, double.IsFinite(bestAccuracy) ? bestAccuracy : null, clock.Elapsed));
            }
            model.eval();
            if (validation is null)
            {
                epochs.Add(new EpochRecord(epoch, lossSum / seen, null, null));
                bestEpoch = epoch;
                continue;
            }
            var (loss, accuracy) = Measure(classifier, validation);
            epochs.Add(new EpochRecord(epoch, lossSum / seen, loss, accuracy));
            if (accuracy > bestAccuracy || accuracy == bestAccuracy && loss < bestLoss)
            {
                (bestEpoch, bestAccuracy, bestLoss) = (epoch, accuracy, loss);
                best.Take();
            }
            stopped = epoch - bestEpoch >= settings.Patience && epoch < settings.Epochs;
        }
        if (validation is not null) best.Restore();
        progress?.Report(new TrainingProgress("finetune", steps, total, epochs.Count, epochs[^1].TrainLoss, validation is null ? null : bestAccuracy, clock.Elapsed,
            validation is null ? "done" : bestEpoch == 0 ? "done; the linear probe was best" : $"done; best epoch {bestEpoch}"));
        return new TrainingHistory(settings, epochs, bestEpoch, steps, stopped);
    }

    /// <summary>Mean cross-entropy and share right of a classifier on a dataset.</summary>
    public static (double Loss, double Accuracy) Measure(TextClassifier classifier, TextDataset data)
    {
        var (logits, labels) = (classifier.Logits(data.Texts), data.LabelIds());
        var (loss, right) = (0.0, 0);
        for (var i = 0; i < logits.Length; i++)
        {
            var largest = logits[i].Max();
            loss += largest + Math.Log(logits[i].Sum(l => Math.Exp(l - largest))) - logits[i][labels[i]];
            if (Array.IndexOf(logits[i], largest) == labels[i]) right++;
        }
        return (loss / data.Count, (double)right / data.Count);
    }

    private static (double?, double?) AsNullable((double Loss, double Accuracy) measured) => (measured.Loss, measured.Accuracy);

    private static void CheckLabels(TextClassifier classifier, TextDataset data)
    {
        if (!data.Labels.Names.SequenceEqual(classifier.Labels.Names))
            throw new ArgumentException($"Dataset '{data.Name}' has {data.Labels.Count} labels, the classifier {classifier.Labels.Count}, or in another order. "
                + "Build the classifier from the training data's Labels.");
    }
}
