using NotebookKit.Optimizers;
using NotebookKit.Schedules;
using System.Diagnostics;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Runtime;
using NotebookKit.Text;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Pretraining;

/// <summary>Settings of the distillation of sentence embeddings.</summary>
public sealed record DistillationSettings
{
    /// <summary>Optimiser steps. Default 9,000.</summary>
    public int Steps { get; init; } = 9000;

    /// <summary>Padded tokens per step. Default 4,096.</summary>
    public int TokensPerStep { get; init; } = 4096;

    /// <summary>Texts to learn on. Default 1,200,000.</summary>
    public int Texts { get; init; } = 1_200_000;

    /// <summary>Texts held out to measure on. Default 2,000.</summary>
    public int HeldOutTexts { get; init; } = 2000;

    /// <summary>Longest text in the student's tokens. Default 64.</summary>
    public int MaximumLength { get; init; } = 64;

    /// <summary>Peak learning rate. Default 7e-4.</summary>
    public double LearningRate { get; init; } = 7e-4;

    /// <summary>Share of the steps on which the rate rises. Default 0.05.</summary>
    public double WarmupShare { get; init; } = 0.05;

    /// <summary>Steps between measurements, and between checkpoints. Default 500.</summary>
    public int EvaluateEvery { get; init; } = 500;

    /// <summary>Seed of texts and order. Default 2.</summary>
    public int Seed { get; init; } = 2;
}

/// <summary>
/// Teaches a small encoder the sentence embeddings of a larger one (Reimers &amp; Gurevych 2020): the student's mean-pooled states, at unit length,
/// are drawn to the teacher's. Loss: squared distance of unit vectors, 2 − 2·cosine. Resumes from its last checkpoint.
/// </summary>
public sealed class SentenceDistiller(DistillationSettings settings, Bert student, Tokenizer tokenizer, IReadOnlyList<string> texts, TeacherEmbeddings teacher, string checkpointFolder)
{
    private readonly int[][] rows = texts.AsParallel().AsOrdered().Select(t => tokenizer.Encode(t, settings.MaximumLength)).ToArray();
    private (IEnumerator<int[]> Batches, int Step)? reader;

    /// <summary>Trains the student in place. Losses are mean 1 − cosine.</summary>
    public IReadOnlyList<PretrainingPoint> Run(IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        MatrixProducts.UseOneDnn();
        student.ComputeIn(ScalarType.BFloat16, linearLayersOnly: true);
        student.train();
        // The encoder alone; a head that stands on it stays as it is.
        var trained = student.named_parameters().Where(p => p.name.StartsWith(student.BasePrefix, StringComparison.Ordinal)).Select(p => (p.name[student.BasePrefix.Length..], p.parameter)).ToArray();
        using var optimizer = new Optimizer(trained, new AdamWSettings { Beta2 = 0.98, Epsilon = 1e-6 });
        var schedule = new LinearSchedule((int)(settings.WarmupShare * settings.Steps), settings.Steps);
        var checkpoint = new PretrainingCheckpoint(checkpointFolder);
        var (tokens, curve) = checkpoint.TryRestore(optimizer, trained);

        var clock = Stopwatch.StartNew();
        var (lossSum, lossCount, startStep) = (0.0, 0, optimizer.Steps);
        foreach (var batch in Batches(optimizer.Steps))
        {
            cancellation.ThrowIfCancellationRequested();
            if (optimizer.Steps >= settings.Steps) break;
            using (NewDisposeScope())
            {
                var loss = Distance(batch);
                (loss * 2).backward();
                optimizer.Step(settings.LearningRate * schedule.FactorAt(optimizer.Steps));
                lossSum += loss.ToDouble();
                lossCount++;
                tokens += batch.Sum(i => rows[i].Length);
            }
            var step = optimizer.Steps;
            if (step % settings.EvaluateEvery != 0 && step != settings.Steps) continue;
            curve.Add(new PretrainingPoint(step, tokens, lossSum / lossCount, HeldOutLoss()));
            (lossSum, lossCount) = (0, 0);
            checkpoint.Save(optimizer, trained, tokens, curve);
            progress?.Report($"step {step:N0} of {settings.Steps:N0}: cosine to the teacher {1 - curve[^1].TrainLoss:F4}, held-out {1 - curve[^1].HeldOutLoss:F4}, "
                + $"{clock.Elapsed / (step - startStep) * (settings.Steps - step):hh\\:mm\\:ss} left");
        }
        return curve;
    }

    /// <summary>Squared distance to the teacher, 2 − 2·cosine, on the batch of a step that follows this stage's own: a scalar to learn with another loss.</summary>
    public Tensor LossAt(int step)
    {
        if (reader is not { } open || open.Step != step) open = (Batches(settings.Steps + step).GetEnumerator(), step);
        open.Batches.MoveNext();
        reader = (open.Batches, step + 1);
        return 2 * Distance(open.Batches.Current);
    }

    private Tensor Distance(int[] batch)
    {
        using var inputs = new EncoderInputs(Batch.Pad([.. batch.Select(i => rows[i])], tokenizer.PadId), student.DataType);
        var pooled = EncoderModel.Mean(student.Encode(inputs).to(ScalarType.Float32), inputs.Mask);
        return 1 - (pooled / pooled.norm(1, keepdim: true) * teacher.Rows(batch)).sum(1).mean();
    }

    /// <summary>Mean 1 − cosine to the teacher on the held-out texts.</summary>
    public double HeldOutLoss()
    {
        using var noGradient = no_grad();
        student.eval();
        var sum = 0.0;
        foreach (var batch in BatchSampler.ByTokens([.. rows.Take(settings.HeldOutTexts).Select(r => r.Length)], settings.TokensPerStep))
        {
            using var scope = NewDisposeScope();
            sum += Distance(batch).ToDouble() * batch.Length;
        }
        student.train();
        return sum / settings.HeldOutTexts;
    }

    private IEnumerable<int[]> Batches(int skip)
    {
        var training = Enumerable.Range(settings.HeldOutTexts, rows.Length - settings.HeldOutTexts).ToArray();
        for (var epoch = 0; ; epoch++)
        {
            var random = new Random(unchecked(settings.Seed * 7919 + epoch));
            var order = (int[])training.Clone();
            random.Shuffle(order);
            var batches = order.Chunk(20_000).SelectMany(pool => BatchSampler.ByTokens([.. pool.Select(i => rows[i].Length)], settings.TokensPerStep)
                .Select(b => b.Select(i => pool[i]).ToArray())).ToArray();
            random.Shuffle(batches);
            foreach (var batch in batches)
                if (skip-- <= 0) yield return batch;
        }
    }
}
