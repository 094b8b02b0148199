using NotebookKit.Optimizers;
using NotebookKit.Schedules;
using System.Diagnostics;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Models.Encoders;
using NotebookKit.Pretraining.Corpora;
using NotebookKit.Runtime;
using NotebookKit.Text;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Pretraining;

/// <summary>Settings of masked-language-model pretraining.</summary>
public sealed record MaskedLMSettings
{
    /// <summary>Optimiser steps. Default 14,000.</summary>
    public int Steps { get; init; } = 14_000;

    /// <summary>Padded tokens per step. Default 4,096.</summary>
    public int TokensPerStep { get; init; } = 4096;

    /// <summary>Longest sequence. Default 128.</summary>
    public int MaximumLength { get; init; } = 128;

    /// <summary>Peak learning rate. Default 1e-3, as small encoders take.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Share of the steps on which the rate rises. Default 0.06 (RoBERTa).</summary>
    public double WarmupShare { get; init; } = 0.06;

    /// <summary>Share of the tokens to predict. Default 0.15 (BERT); of these 80 % become the mask, 10 % another token, 10 % stay.</summary>
    public double MaskedShare { get; init; } = 0.15;

    /// <summary>Steps between checkpoints. Default 500.</summary>
    public int CheckpointEvery { get; init; } = 500;

    /// <summary>Steps between measurements on held-out text. Default 1,000.</summary>
    public int EvaluateEvery { get; init; } = 1000;

    /// <summary>Seed of weights, order and masks. Default 1.</summary>
    public int Seed { get; init; } = 1;
}

/// <summary>One point of a pretraining curve.</summary>
/// <param name="Step">Optimiser steps so far.</param>
/// <param name="Tokens">Tokens seen so far, padding not counted.</param>
/// <param name="TrainLoss">Mean loss since the point before.</param>
/// <param name="HeldOutLoss">Loss on held-out text with fixed masks.</param>
public sealed record PretrainingPoint(int Step, long Tokens, double TrainLoss, double HeldOutLoss);

/// <summary>
/// Pretrains a BERT encoder on masked tokens (Devlin et al. 2019), matrix weights in bf16 with fp32 masters. Everything drawn depends on the seed and
/// the step alone, so a run that was killed goes on from its last checkpoint and ends where it would have ended.
/// </summary>
/// <param name="config">Shape of a fresh model.</param>
/// <param name="settings">How long and how fast.</param>
/// <param name="tokenizer">The vocabulary.</param>
/// <param name="train">Text to learn from.</param>
/// <param name="heldOut">Text to measure on.</param>
/// <param name="checkpointFolder">Where the run can go on from.</param>
/// <param name="start">A model to go on with. By default a fresh one.</param>
/// <param name="alongside">A second loss to learn at each step, a scalar for the step number.</param>
public sealed class MaskedLMPretrainer(BertConfig config, MaskedLMSettings settings, Tokenizer tokenizer, TokenizedCorpus train, TokenizedCorpus heldOut, string checkpointFolder, Bert? start = null,
    Func<int, Tensor>? alongside = null)
{
    /// <summary>Trains, or goes on from the last checkpoint. The caller disposes the model.</summary>
    public (Bert Model, IReadOnlyList<PretrainingPoint> Curve) Run(IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        TorchRuntime.EnsureLoaded();
        MatrixProducts.UseOneDnn();
        torch.random.manual_seed(settings.Seed);
        var model = start ?? Bert.Fresh(config with { HiddenDropout = 0, AttentionDropout = 0 }, new HeadSettings(ModelHead.MaskedLM), new DropoutMask(settings.Seed));
        model.ComputeIn(ScalarType.BFloat16, linearLayersOnly: true);
        var trained = model.named_parameters().ToArray();
        using var optimizer = new Optimizer(trained, new AdamWSettings { Beta2 = 0.98, Epsilon = 1e-6 });
        var schedule = new LinearSchedule((int)(settings.WarmupShare * settings.Steps), settings.Steps);
        var checkpoint = new PretrainingCheckpoint(checkpointFolder);
        var (tokens, curve) = checkpoint.TryRestore(optimizer, trained);

        var lengths = Enumerable.Range(0, train.Count).Select(train.LengthOf).ToArray();
        var clock = Stopwatch.StartNew();
        var (lossSum, lossCount, startStep, startTokens) = (0.0, 0, optimizer.Steps, tokens);
        foreach (var (epoch, window) in Windows(lengths, optimizer.Steps))
        {
            cancellation.ThrowIfCancellationRequested();
            var step = optimizer.Steps;
            if (step >= settings.Steps) break;
            var rows = window.Select(i => train[i]).ToArray();
            lossSum += Step(model, optimizer, rows, settings.LearningRate * schedule.FactorAt(step));
            lossCount++;
            tokens += rows.Sum(r => r.Length);
            step++;

            if (step % settings.EvaluateEvery == 0 || step == settings.Steps)
            {
                curve.Add(new PretrainingPoint(step, tokens, lossSum / lossCount, HeldOutLoss(model)));
                (lossSum, lossCount) = (0, 0);
                progress?.Report($"step {step:N0} of {settings.Steps:N0}, epoch {epoch}: train loss {curve[^1].TrainLoss:F3}, held-out {curve[^1].HeldOutLoss:F3} (perplexity {Math.Exp(curve[^1].HeldOutLoss):F1})");
            }
            else if (step % 100 == 0)
                progress?.Report($"step {step:N0} of {settings.Steps:N0}, loss {lossSum / lossCount:F3}, {(tokens - startTokens) / clock.Elapsed.TotalSeconds:N0} tokens/s, "
                    + $"{clock.Elapsed / (step - startStep) * (settings.Steps - step):hh\\:mm\\:ss} left");
            if (step % settings.CheckpointEvery == 0 || step == settings.Steps) checkpoint.Save(optimizer, trained, tokens, curve);
        }
        return (model, curve);
    }

    /// <summary>Mean loss on the held-out windows, masks fixed.</summary>
    public double HeldOutLoss(Bert model)
    {
        var loss = MaskedBatch.HeldOutLoss(model, [.. Enumerable.Range(0, heldOut.Count).Select(heldOut.LengthOf)], settings.TokensPerStep, (window, draws) => Mask([.. window.Select(i => heldOut[i])], draws));
        model.train();
        return loss;
    }

    private double Step(Bert model, Optimizer optimizer, int[][] rows, double rate)
    {
        using var scope = NewDisposeScope();
        var loss = Mask(rows, new Random(Draws(optimizer.Steps))).Loss(model);
        loss.backward();
        alongside?.Invoke(optimizer.Steps).backward();
        optimizer.Step(rate);
        return loss.ToDouble();
    }

    /// <summary>Seed of what is drawn for a step (or, below zero, for an epoch's order).</summary>
    private int Draws(int step) => unchecked((int)((uint)settings.Seed * 0x9E3779B1u + (uint)step * 0x85EBCA77u));

    private MaskedBatch Mask(int[][] rows, Random random) => MaskedBatch.Of(rows, tokenizer, settings.MaskedShare, random, WordPieceTrainer.SpecialTokens.Count);

    private IEnumerable<(int Epoch, int[] Window)> Windows(int[] lengths, int skip)
    {
        for (var epoch = 0; ; epoch++)
        {
            var random = new Random(Draws(-1 - epoch));
            var order = Enumerable.Range(0, lengths.Length).ToArray();
            random.Shuffle(order);
            var batches = order.Chunk(20_000).SelectMany(pool => BatchSampler.ByTokens([.. pool.Select(i => lengths[i])], settings.TokensPerStep)
                .Select(b => b.Select(i => pool[i]).ToArray())).ToArray();
            random.Shuffle(batches);
            foreach (var batch in batches)
                if (skip-- <= 0) yield return (epoch, batch);
        }
    }
}
