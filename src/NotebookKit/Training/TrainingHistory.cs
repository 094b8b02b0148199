namespace NotebookKit.Training;

/// <summary>One epoch of a run.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="TrainLoss">Mean cross-entropy over the epoch's examples, in nats.</param>
/// <param name="ValidationLoss">Mean cross-entropy on the validation part, or <c>null</c> without one.</param>
/// <param name="ValidationAccuracy">Share right on the validation part, or <c>null</c> without one.</param>
public sealed record EpochRecord(int Epoch, double TrainLoss, double? ValidationLoss, double? ValidationAccuracy);

/// <summary>What a finetuning run did.</summary>
/// <param name="Settings">The settings it ran with.</param>
/// <param name="Epochs">One record per epoch.</param>
/// <param name="BestEpoch">The epoch whose weights the model has now: the most accurate on the validation part (of several, the one of lowest loss), or the last without one. 0 is the start (the linear probe).</param>
/// <param name="Steps">Optimiser steps taken.</param>
/// <param name="StoppedEarly">Whether patience ran out.</param>
public sealed record TrainingHistory(FinetuneSettings Settings, IReadOnlyList<EpochRecord> Epochs, int BestEpoch, int Steps, bool StoppedEarly);
