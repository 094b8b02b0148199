namespace NotebookKit.Tracking;

/// <summary>
/// What a training run reports: one stream for the display in a notebook, the terminal, logs and trackers. Each step is one; what happens more rarely is a type of its own:
/// <see cref="RunStarted"/>, <see cref="EpochEnded"/>, <see cref="RunEnded"/>.
/// </summary>
/// <param name="Phase">What is being done, such as <c>finetune</c>.</param>
/// <param name="Step">Optimiser steps taken.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="Epoch">Epoch, from 1.</param>
/// <param name="Loss">Mean training loss of the epoch so far.</param>
/// <param name="ValidationMetric">Best validation accuracy so far, or <c>null</c> before the first.</param>
/// <param name="Elapsed">Time since the run began.</param>
/// <param name="Message">A remark, or <c>null</c>.</param>
public record TrainingProgress(string Phase, int Step, int TotalSteps, int Epoch, double Loss, double? ValidationMetric, TimeSpan Elapsed, string? Message = null)
{
    /// <summary>Loss of this step's batch before the step, in nats.</summary>
    public double? BatchLoss { get; init; }

    /// <summary>Rate of this step.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Norm of this step's gradient before clipping.</summary>
    public double? GradientNorm { get; init; }
}

/// <summary>A run begins, or goes on from a checkpoint.</summary>
/// <param name="Run">What it is made of.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="Elapsed">Time since the run began.</param>
public sealed record RunStarted(RunRecord Run, int TotalSteps, TimeSpan Elapsed) : TrainingProgress("start", 0, TotalSteps, 1, double.NaN, null, Elapsed);

/// <summary>An epoch is done and measured.</summary>
/// <param name="Measured">Its figures.</param>
/// <param name="Step">Optimiser steps taken.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="BestAccuracy">Best validation accuracy so far, or <c>null</c>.</param>
/// <param name="Elapsed">Time since the run began.</param>
public sealed record EpochEnded(EpochRecord Measured, int Step, int TotalSteps, double? BestAccuracy, TimeSpan Elapsed)
    : TrainingProgress("epoch", Step, TotalSteps, Measured.Epoch, Measured.TrainLoss, BestAccuracy, Elapsed);

/// <summary>A run is done.</summary>
/// <param name="BestEpoch">The epoch whose weights were kept; 0 is the start.</param>
/// <param name="StoppedEarly">Whether patience ran out.</param>
/// <param name="Step">Optimiser steps taken.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run; where it stopped early, more than were taken.</param>
/// <param name="Epoch">The last epoch.</param>
/// <param name="Loss">Mean training loss of the last epoch.</param>
/// <param name="BestAccuracy">Best validation accuracy, or <c>null</c>.</param>
/// <param name="Elapsed">Time since the run began.</param>
/// <param name="Message">What was kept.</param>
public sealed record RunEnded(int BestEpoch, bool StoppedEarly, int Step, int TotalSteps, int Epoch, double Loss, double? BestAccuracy, TimeSpan Elapsed, string Message)
    : TrainingProgress("finetune", Step, TotalSteps, Epoch, Loss, BestAccuracy, Elapsed, Message);

/// <summary>A stage of a plan begins.</summary>
/// <param name="Stage">Its name.</param>
/// <param name="Number">From 1.</param>
/// <param name="Of">Stages of the plan.</param>
public sealed record StageStarted(string Stage, int Number, int Of) : TrainingProgress("stage", 0, 0, 0, double.NaN, null, TimeSpan.Zero, $"{Number} of {Of}: {Stage}");

/// <summary>A stage of a plan is done and judged.</summary>
/// <param name="Stage">Its name.</param>
/// <param name="Number">From 1.</param>
/// <param name="Of">Stages of the plan.</param>
/// <param name="Promoted">Whether its result was taken over.</param>
/// <param name="Reason">Why.</param>
public sealed record StageEnded(string Stage, int Number, int Of, bool Promoted, string Reason) : TrainingProgress("stage", 0, 0, 0, double.NaN, null, TimeSpan.Zero, $"{Number} of {Of}: {Stage} {(Promoted ? "promoted" : "rolled back")}: {Reason}");

/// <summary>One epoch of a run.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="TrainLoss">Mean cross-entropy over the epoch's examples, in nats.</param>
/// <param name="ValidationLoss">Mean cross-entropy on the validation part, or <c>null</c> without one.</param>
/// <param name="ValidationAccuracy">Share right on the validation part, or <c>null</c> without one.</param>
public sealed record EpochRecord(int Epoch, double TrainLoss, double? ValidationLoss, double? ValidationAccuracy);
