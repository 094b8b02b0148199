namespace NotebookKit.Schedules;

/// <summary>Up in a straight line, then down along a cosine (Loshchilov &amp; Hutter 2017, https://arxiv.org/abs/1608.03983).</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="Cycles">Whole waves; 0.5 goes down once. Default 0.5.</param>
/// <param name="EndFactor">The lowest factor. Default 0.</param>
public sealed record CosineSchedule(int WarmupSteps, int TotalSteps, double Cycles = 0.5, double EndFactor = 0) : Schedule
{
    /// <summary>First factor of a warm-up that reaches the full rate one step earlier; <c>null</c> begins at 0. The cosine then begins one step earlier, too.</summary>
    public double? WarmupFrom { get; init; }

    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        if (step < WarmupSteps) return WarmupFrom is { } from ? from + (1 - from) * step / Math.Max(1, WarmupSteps - 1) : Warmup(step, WarmupSteps);
        var progress = (step - WarmupSteps + (WarmupFrom is null ? 0 : 1)) / (double)Math.Max(1, TotalSteps - WarmupSteps);
        return Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * Cycles * 2 * progress)) * (1 - EndFactor) + EndFactor);
    }
}

/// <summary>Up in a straight line, then down along a cosine several times, starting again at the full rate.</summary>
/// <param name="WarmupSteps">Steps until the full rate, at least 0.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="Cycles">How often it goes down, at least 1.</param>
public sealed record CosineRestartsSchedule(int WarmupSteps, int TotalSteps, int Cycles = 1) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        if (step < WarmupSteps) return Warmup(step, WarmupSteps);
        var progress = (step - WarmupSteps) / (double)Math.Max(1, TotalSteps - WarmupSteps);
        return progress >= 1 ? 0 : Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * (Cycles * progress % 1))));
    }
}

/// <summary>Down and up along a cosine, again and again.</summary>
/// <param name="Steps">Steps from the top to the bottom.</param>
/// <param name="EndFactor">The bottom.</param>
public sealed record CosineWaveSchedule(int Steps, double EndFactor = 0) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step) => CosineBetween(1, EndFactor, step / (double)Steps);
}

/// <summary>Down along a cosine and back to the top, each time longer (SGDR; Loshchilov &amp; Hutter 2017).</summary>
/// <param name="First">Steps of the first way down.</param>
/// <param name="Growth">Factor on the length of each next, at least 1.</param>
/// <param name="EndFactor">The bottom.</param>
public sealed record WarmRestartsSchedule(int First, int Growth = 1, double EndFactor = 0) : Schedule
{
    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        var length = First;
        for (; step >= length; length *= Growth) step -= length;
        return CosineBetween(1, EndFactor, step / (double)length);
    }
}

/// <summary>The line along which a schedule goes up or down.</summary>
public enum RampShape
{
    /// <summary>A straight line.</summary>
    Linear,
    /// <summary>Half a cosine.</summary>
    Cosine,
    /// <summary>1 − √ of the share left or gone.</summary>
    OneMinusSquareRoot,
}

/// <summary>Warm-up, stable, decay (Hu et al. 2024, https://arxiv.org/abs/2404.06395): most of the run at the full rate, so that it can be prolonged.</summary>
/// <param name="WarmupSteps">Steps up.</param>
/// <param name="StableSteps">Steps at the full rate.</param>
/// <param name="DecaySteps">Steps down.</param>
/// <param name="EndFactor">Where it begins and ends. Default 0.</param>
public sealed record WarmupStableDecaySchedule(int WarmupSteps, int StableSteps, int DecaySteps, double EndFactor = 0) : Schedule
{
    /// <summary>Way up. Default linear.</summary>
    public RampShape Up { get; init; }

    /// <summary>Way down. Default cosine.</summary>
    public RampShape Down { get; init; } = RampShape.Cosine;

    /// <summary>Waves of a cosine decay; 0.5 goes down once. Default 0.5.</summary>
    public double Cycles { get; init; } = 0.5;

    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        if (step < WarmupSteps)
        {
            var gone = Warmup(step, WarmupSteps);
            return Lifted(Up switch { RampShape.Linear => gone, RampShape.Cosine => 0.5 * (1 - Math.Cos(Math.PI * gone)), _ => 1 - Math.Sqrt(1 - gone) });
        }
        step -= WarmupSteps + StableSteps;
        if (step < 0) return 1;
        if (step >= DecaySteps) return EndFactor;
        var way = step / (double)Math.Max(1, DecaySteps);
        return Lifted(Down switch { RampShape.Linear => 1 - way, RampShape.Cosine => 0.5 * (1 + Math.Cos(Math.PI * Cycles * 2 * way)), _ => 1 - Math.Sqrt(way) });
    }

    private double Lifted(double factor) => Math.Max(0, factor * (1 - EndFactor) + EndFactor);
}
