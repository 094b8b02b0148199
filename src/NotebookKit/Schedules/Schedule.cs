namespace NotebookKit.Schedules;

/// <summary>How the learning rate goes over a run: a factor on the peak (or base) rate for every step, counted from 0. A schedule has no state: the same step has the same rate, resumed or not.</summary>
public abstract record Schedule
{
    /// <summary>Factor on the learning rate in force during a step, counted from 0; steps past the end are answered, too.</summary>
    public abstract double FactorAt(int step);

    /// <summary>Momentum (the first beta) in force during a step, where the schedule has a say in it; else <c>null</c>.</summary>
    public virtual double? MomentumAt(int step) => null;

    /// <summary>Up in a straight line from 0, the full rate at <paramref name="warmupSteps"/>.</summary>
    private protected static double Warmup(int step, int warmupSteps) => step / (double)Math.Max(1, warmupSteps);

    /// <summary>Half a cosine from one value to another, at a share in [0, 1] of the way.</summary>
    private protected static double CosineBetween(double from, double to, double share) => to + (from - to) / 2 * (1 + Math.Cos(Math.PI * share));
}

/// <summary>Up in a straight line, then constant.</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
public sealed record ConstantSchedule(int WarmupSteps = 0) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => step < WarmupSteps ? Warmup(step, WarmupSteps) : 1;
}

/// <summary>The usual finetuning schedule: up in a straight line from 0, then down in a straight line to 0 (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
public sealed record LinearSchedule(int WarmupSteps, int TotalSteps) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => step < WarmupSteps ? Warmup(step, WarmupSteps) : Math.Max(0, (TotalSteps - step) / (double)Math.Max(1, TotalSteps - WarmupSteps));
}

/// <summary>Up in a straight line, then down by a power of the way left.</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0 and fewer than all.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="EndFactor">Where it ends, as a factor on the full rate. Default 1e-7.</param>
/// <param name="Power">1 is a straight line. Default 1.</param>
public sealed record PolynomialSchedule(int WarmupSteps, int TotalSteps, double EndFactor = 1e-7, double Power = 1) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        if (WarmupSteps == TotalSteps) throw new InvalidOperationException($"A polynomial schedule needs steps after its warm-up: {WarmupSteps} of {TotalSteps} are warm-up.");
        if (step < WarmupSteps) return Warmup(step, WarmupSteps);
        return step > TotalSteps ? EndFactor : (1 - EndFactor) * Math.Pow(1 - (step - WarmupSteps) / (double)(TotalSteps - WarmupSteps), Power) + EndFactor;
    }
}

/// <summary>Up in a straight line, then down by the inverse square root of the step (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
/// <param name="TimeScale">Steps in which the rate falls to 1/√2; <c>null</c> is the warm-up, or 10,000 without one.</param>
public sealed record InverseSquareRootSchedule(int WarmupSteps, int? TimeScale = null) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        if (step < WarmupSteps) return Warmup(step, WarmupSteps);
        var scale = TimeScale ?? (WarmupSteps > 0 ? WarmupSteps : 10_000);
        return 1 / Math.Sqrt((step + scale - WarmupSteps) / (double)scale);
    }
}

/// <summary>Up over the first steps, down over the rest in straight lines (Howard &amp; Ruder 2018, https://arxiv.org/abs/1801.06146, equation 3).</summary>
/// <param name="TotalSteps">T.</param>
/// <param name="CutShare">Share of the steps on which the rate rises. Default 0.1.</param>
/// <param name="Ratio">How much smaller the lowest rate is. Default 32.</param>
public sealed record SlantedTriangularSchedule(int TotalSteps, double CutShare = 0.1, double Ratio = 32) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        var cut = Math.Floor(TotalSteps * CutShare);
        var p = step < cut ? step / cut : 1 - (step - cut) / (cut * (1 / CutShare - 1));
        return cut > 0 ? (1 + p * (Ratio - 1)) / Ratio : 1 - Math.Min(1, step / (double)Math.Max(1, TotalSteps)) * (1 - 1 / Ratio);
    }
}

/// <summary>Down by a factor every step.</summary>
/// <param name="Gamma">The factor.</param>
public sealed record ExponentialSchedule(double Gamma) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => Math.Pow(Gamma, step);
}

/// <summary>Down by a factor at given steps.</summary>
/// <param name="Milestones">The steps; one that stands twice counts twice.</param>
/// <param name="Gamma">The factor.</param>
public sealed record MultiStepSchedule(IReadOnlyList<int> Milestones, double Gamma = 0.1) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => Math.Pow(Gamma, Milestones.Count(m => m <= step));
}

/// <summary>Down by a factor every so many steps.</summary>
/// <param name="Every">Steps between.</param>
/// <param name="Gamma">The factor.</param>
public sealed record StepSchedule(int Every, double Gamma = 0.1) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => Math.Pow(Gamma, step / Every);
}

/// <summary>From one factor to another in a straight line, then constant.</summary>
/// <param name="Start">First factor.</param>
/// <param name="End">Last factor.</param>
/// <param name="Steps">Steps between.</param>
public sealed record RampSchedule(double Start, double End, int Steps) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => Start + (End - Start) * Math.Min(1, step / (double)Math.Max(1, Steps));
}

/// <summary>A constant factor for some steps, then the full rate.</summary>
/// <param name="Factor">The factor.</param>
/// <param name="Steps">How long.</param>
public sealed record HeldSchedule(double Factor, int Steps) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => step < Steps ? Factor : 1;
}
