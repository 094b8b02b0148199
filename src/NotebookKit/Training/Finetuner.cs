using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Tracking;
using NotebookKit.Training.Runs;

namespace NotebookKit.Training;

/// <summary>
/// The finetuning loop: epochs over length-bucketed batches, the validation part measured after each, the best weights kept.
/// Deterministic on one machine for the same settings and data.
/// </summary>
/// <param name="settings">How.</param>
/// <param name="retention">What keeps the model from forgetting what it knew, or <c>null</c>.</param>
public sealed class Finetuner(FinetuneSettings settings, Retention? retention = null)
{
    /// <summary>Trains a classifier in place.</summary>
    /// <param name="classifier">What is trained; afterwards it has the weights of the best epoch.</param>
    /// <param name="train">Examples to learn from; of the classifier's classes.</param>
    /// <param name="validation">Examples to choose the epoch by; <c>null</c> keeps the last.</param>
    /// <param name="progress">Is told of the start, every step, every epoch and the end.</param>
    /// <param name="cancellation">Stops between steps; the classifier then has the best weights so far.</param>
    /// <exception cref="ArgumentException">The data's classes are not the classifier's.</exception>
    /// <exception cref="IOException">Checkpoints cannot be written.</exception>
    /// <exception cref="InvalidOperationException">The checkpoint folder belongs to another run. Or a loss or gradient is not finite; the message names the step.</exception>
    public TrainingHistory Run(TextClassifier classifier, TextDataset train, TextDataset? validation = null,
        IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        settings.Validate();
        if (retention is not null && settings.Trained == Trained.HeadOnly) throw new ArgumentException($"Trained is HeadOnly, a regression on fixed features, which has no place for {retention}. Use FrozenLayers to train the head by steps.");
        CheckLabels(classifier, train);
        if (validation is not null) CheckLabels(classifier, validation);
        using var run = new FinetuneRun(settings, classifier, train, validation, progress, retention);
        return run.Run(cancellation);
    }

    /// <summary>Mean cross-entropy and share right of a classifier on a dataset.</summary>
    public static (double Loss, double Accuracy) Measure(TextClassifier classifier, TextDataset data)
    {
        var labels = data.LabelIds();
        var (loss, right) = (0.0, 0);
        classifier.EachLogits(data.Texts, (i, logits) =>
        {
            loss += CrossEntropy(logits, labels[i]);
            if (Array.IndexOf(logits, logits.Max()) == labels[i]) right++;
        });
        return (loss / data.Count, (double)right / data.Count);
    }

    /// <summary>Cross-entropy of one example, in nats.</summary>
    internal static double CrossEntropy(float[] logits, int label)
    {
        var largest = logits.Max();
        return largest + Math.Log(logits.Sum(l => Math.Exp(l - largest))) - logits[label];
    }

    internal static void CheckLabels(TextClassifier classifier, TextDataset data)
    {
        if (!data.Labels.Names.SequenceEqual(classifier.Labels.Names))
            throw new ArgumentException($"Dataset '{data.Name}' has {data.Labels.Count} labels, the classifier {classifier.Labels.Count}, or in another order. "
                + "Build the classifier from the training data's Labels.");
    }
}
