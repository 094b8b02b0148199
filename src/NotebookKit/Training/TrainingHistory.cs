using NotebookKit.Tracking;

namespace NotebookKit.Training;

/// <summary>What a finetuning run did.</summary>
/// <param name="Settings">The settings it ran with.</param>
/// <param name="Epochs">One record per epoch.</param>
/// <param name="BestEpoch">The epoch whose weights the model has now: the most accurate on the validation part (of several, the one of lowest loss), or the last without one. 0 is the start (the linear probe).</param>
/// <param name="Steps">Optimiser steps taken.</param>
/// <param name="StoppedEarly">Whether patience ran out.</param>
public sealed record TrainingHistory(FinetuneSettings Settings, IReadOnlyList<EpochRecord> Epochs, int BestEpoch, int Steps, bool StoppedEarly)
{
    /// <summary>Epochs whose average the model has now; empty where it is one epoch.</summary>
    public IReadOnlyList<int> AveragedEpochs { get; init; } = [];
}
