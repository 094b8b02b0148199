namespace NotebookKit.Training;

/// <summary>Where a training run stands.</summary>
/// <param name="Phase">What is being done, such as <c>finetune</c>.</param>
/// <param name="Step">Optimiser steps taken.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="Epoch">Epoch, from 1.</param>
/// <param name="Loss">Mean training loss of the epoch so far.</param>
/// <param name="ValidationMetric">Best validation accuracy so far, or <c>null</c> before the first.</param>
/// <param name="Elapsed">Time since the run began.</param>
/// <param name="Message">A remark, or <c>null</c>.</param>
public sealed record TrainingProgress(string Phase, int Step, int TotalSteps, int Epoch, double Loss, double? ValidationMetric, TimeSpan Elapsed, string? Message = null);
