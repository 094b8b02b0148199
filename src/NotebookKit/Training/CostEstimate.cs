using System.Diagnostics;
using System.Globalization;
using NotebookKit.Cards;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Pipelines;
using NotebookKit.Training.Runs;
using TorchSharp;

namespace NotebookKit.Training;

/// <summary>What a run will cost on this machine, before it is begun.</summary>
/// <param name="Time">All its epochs, the validation part measured after each; the linear probe at the start aside.</param>
/// <param name="Steps">Optimiser steps.</param>
/// <param name="SecondsPerStep">Mean over the run's steps.</param>
/// <param name="PaddingShare">Share of padding among the tokens of an epoch.</param>
/// <param name="Memory">Bytes beyond what the process takes: weights, gradients, optimiser, activations (<see cref="MemoryEstimate"/>).</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record CostEstimate(TimeSpan Time, int Steps, double SecondsPerStep, double PaddingShare, double Memory) : IShown
{
    /// <summary>Takes three steps, of a short, a middling and a long batch, and puts everything back. Time is taken to grow linearly with a batch's tokens.</summary>
    /// <param name="classifier">What would be trained; afterwards it is as it was.</param>
    /// <param name="train">What it would be trained on.</param>
    /// <param name="settings">How.</param>
    /// <param name="validation">What would be measured after each epoch, or <c>null</c>.</param>
    public static CostEstimate Of(TextClassifier classifier, TextDataset train, FinetuneSettings settings, TextDataset? validation = null)
    {
        settings.Validate();
        var model = classifier.Model;
        var rows = classifier.Tokenizer.EncodeAll(train.Texts, classifier.MaximumLength);
        var (lengths, labels, masks) = (Array.ConvertAll(rows, r => r.Length), train.LabelIds(), model.Dropout.State);
        var batches = BatchSampler.Shuffled(lengths, settings.BatchSize, Runtime.Seed.Everything(settings.Seed), settings.PoolBatches);
        int Tokens(int[] batch) => batch.Length * batch.Max(i => lengths[i]);
        var sorted = batches.OrderBy(Tokens).ToArray();
        var probes = new[] { sorted[sorted.Length / 6], sorted[sorted.Length / 2], sorted[sorted.Length - 1 - sorted.Length / 6] };
        var half = settings.Precision == TrainingPrecision.BFloat16;
        using var before = new WeightSnapshot(model);
        var times = new double[probes.Length];
        try
        {
            if (half) model.ComputeIn(torch.ScalarType.BFloat16);
            model.RecomputesLayers = settings.RecomputesLayers;
            model.train();
            using var step = new TrainStep(classifier, settings.Optimizer, settings.Objective, train.CountByLabel(), LayerRates.Of(model, settings));
            foreach (var timed in new[] { false, true })                       // the first round makes the kernels
                for (var i = 0; i < probes.Length; i++)
                {
                    var batch = Batch.Of(probes[i], rows, labels, classifier.Tokenizer.PadId);
                    var clock = Stopwatch.StartNew();
                    step.Run(batch, 1e-9);
                    if (timed) times[i] = clock.Elapsed.TotalSeconds;
                }
        }
        finally
        {
            model.RecomputesLayers = false;
            if (half) model.ComputeIn(torch.ScalarType.Float32);
            before.Restore(model);
            model.Dropout.State = masks;
            model.eval();
        }
        var (slope, start) = Line([.. probes.Select(p => (double)Tokens(p))], times);
        var epoch = batches.Sum(b => start + slope * Tokens(b));
        var measuring = validation is null ? 0 : Measuring(classifier, validation);
        var costs = new CostSettings { Batch = settings.MicroBatchSize ?? settings.BatchSize, Length = sorted[^1].Max(i => lengths[i]) };
        return new CostEstimate(TimeSpan.FromSeconds(settings.Epochs * (epoch + measuring)), settings.Epochs * batches.Length, epoch / batches.Length, 1 - lengths.Sum() / (double)batches.Sum(Tokens),
            ArchitectureCard.Of(model.Config, train.Name, costs).Memory.Finetune);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["this run will take", "about"],
    [
        ["time", Time.TotalMinutes >= 1.5 ? $"{Time.TotalMinutes.ToString("F0", CultureInfo.InvariantCulture)} min" : $"{Time.TotalSeconds.ToString("F0", CultureInfo.InvariantCulture)} s"],
        ["steps", Steps.ToString("N0", CultureInfo.InvariantCulture)], ["memory", $"{(Memory / 1e6).ToString("N0", CultureInfo.InvariantCulture)} MB"], ["padding", $"{(100 * PaddingShare).ToString("F1", CultureInfo.InvariantCulture)} %"],
    ]);

    private static double Measuring(TextClassifier classifier, TextDataset data)
    {
        var few = data.Texts.Where((_, i) => i % Math.Max(1, data.Count / 64) == 0).ToArray();
        classifier.Logits(few);
        var clock = Stopwatch.StartNew();
        classifier.Logits(few);
        return clock.Elapsed.TotalSeconds * data.Count / few.Length;
    }

    /// <summary>Least squares; a line that falls, which only noise makes, becomes the mean.</summary>
    private static (double Slope, double Start) Line(double[] x, double[] y)
    {
        var (meanX, meanY) = (x.Average(), y.Average());
        var spread = x.Sum(v => (v - meanX) * (v - meanX));
        var slope = spread == 0 ? 0 : Math.Max(0, x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum() / spread);
        var start = meanY - slope * meanX;
        return start < 0 ? (meanY / meanX, 0) : (slope, start);
    }
}
