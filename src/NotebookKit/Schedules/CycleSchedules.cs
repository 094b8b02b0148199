namespace NotebookKit.Schedules;

/// <summary>One cycle (Smith &amp; Topin 2018, https://arxiv.org/abs/1708.07120) as torch has it: up to the full rate and down far below the first, momentum the other way round.</summary>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="RiseShare">Share of the steps on which the rate rises. Default 0.3.</param>
/// <param name="Div">The first rate is the full rate divided by this. Default 25.</param>
/// <param name="FinalDiv">The last rate is the first divided by this. Default 1e4.</param>
public sealed record OneCycleSchedule(int TotalSteps, double RiseShare = 0.3, double Div = 25, double FinalDiv = 1e4) : Schedule
{
    /// <summary>Whether it goes along cosines, not straight lines. Default <c>true</c>.</summary>
    public bool Cosine { get; init; } = true;

    /// <summary>Whether the way down first mirrors the way up. Default <c>false</c>.</summary>
    public bool ThreePhases { get; init; }

    /// <summary>Lowest momentum, at the full rate. Default 0.85.</summary>
    public double LowMomentum { get; init; } = 0.85;

    /// <summary>Highest momentum, at the first and last rate. Default 0.95.</summary>
    public double HighMomentum { get; init; } = 0.95;

    /// <inheritdoc/>
    public override double FactorAt(int step) => At(step, 1 / Div, 1, 1 / Div / FinalDiv);

    /// <inheritdoc/>
    public override double? MomentumAt(int step) => At(step, HighMomentum, LowMomentum, HighMomentum);

    private double At(int step, double first, double top, double last)
    {
        var rise = RiseShare * TotalSteps - 1;
        double Between(double from, double to, double begin, double end)
        {
            var share = Math.Clamp((step - begin) / (end - begin), 0, 1);
            return Cosine ? CosineBetween(from, to, share) : from + (to - from) * share;
        }
        if (step <= rise) return Between(first, top, 0, rise);
        if (!ThreePhases) return Between(top, last, rise, TotalSteps - 1);
        var mirrored = 2 * RiseShare * TotalSteps - 2;
        return step <= mirrored ? Between(top, first, rise, mirrored) : Between(first, last, mirrored, TotalSteps - 1);
    }
}

/// <summary>One cycle as fastai has it (Howard &amp; Gugger 2020, https://arxiv.org/abs/2002.04688): positions count over the whole run, and the last rate is a share of the full one.</summary>
/// <param name="TotalSteps">Steps of the whole run.</param>
/// <param name="RiseShare">Share of the steps on which the rate rises. Default 0.25.</param>
/// <param name="Div">The first rate is the full rate divided by this. Default 25.</param>
/// <param name="FinalDiv">The last rate is the full rate divided by this. Default 1e5.</param>
public sealed record FastaiOneCycleSchedule(int TotalSteps, double RiseShare = 0.25, double Div = 25, double FinalDiv = 1e5) : Schedule
{
    /// <summary>Momentum at the beginning, at the full rate and at the end. Default 0.95, 0.85, 0.95.</summary>
    public (double First, double Low, double Last) Momenta { get; init; } = (0.95, 0.85, 0.95);

    /// <inheritdoc/>
    public override double FactorAt(int step) => At(step, 1 / Div, 1, 1 / FinalDiv);

    /// <inheritdoc/>
    public override double? MomentumAt(int step) => At(step, Momenta.First, Momenta.Low, Momenta.Last);

    private double At(int step, double first, double top, double last)
    {
        var x = Math.Min(1, step / (double)TotalSteps);
        return x < RiseShare ? CosineBetween(first, top, x / RiseShare) : CosineBetween(top, last, (x - RiseShare) / (1 - RiseShare));
    }
}

/// <summary>Up and down in straight lines between a low and the full rate (Smith 2017, https://arxiv.org/abs/1506.01186).</summary>
/// <param name="LowFactor">The low rate, as a factor on the full one.</param>
/// <param name="StepsUp">Steps up.</param>
/// <param name="StepsDown">Steps down; <c>null</c> as many.</param>
public sealed record CyclicSchedule(double LowFactor, int StepsUp, int? StepsDown = null) : Schedule
{
    /// <summary>Factor on the height of each next triangle. Default 1; 0.5 is <c>triangular2</c>.</summary>
    public double HeightPerCycle { get; init; } = 1;

    /// <summary>Factor on the height for every step, <c>exp_range</c>. Default 1.</summary>
    public double HeightPerStep { get; init; } = 1;

    /// <inheritdoc/>
    public override double FactorAt(int step)
    {
        double length = StepsUp + (StepsDown ?? StepsUp), up = StepsUp / length;
        var cycle = Math.Floor(1 + step / length);
        var x = 1 + step / length - cycle;
        var height = x <= up ? x / up : (x - 1) / (up - 1);
        return LowFactor + (1 - LowFactor) * height * Math.Pow(HeightPerCycle, cycle - 1) * Math.Pow(HeightPerStep, step);
    }
}
