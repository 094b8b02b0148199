namespace NotebookKit.Training;

/// <summary>The usual finetuning schedule: up in a straight line from 0, then down in a straight line to 0 (Devlin et al. 2019).</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
public sealed record LinearWarmup(int WarmupSteps, int TotalSteps)
{
    /// <summary>Factor in [0, 1] on the learning rate in force during a step, counted from 0. Past the end it is 0.</summary>
    public double FactorAt(int step) => step < WarmupSteps
        ? step / (double)Math.Max(1, WarmupSteps)
        : Math.Max(0, (TotalSteps - step) / (double)Math.Max(1, TotalSteps - WarmupSteps));
}
