namespace NotebookKit.Schedules;

/// <summary>Settings of <see cref="PlateauRate"/>; the defaults are torch's.</summary>
public sealed record PlateauSettings
{
    /// <summary>Whether smaller is better. Default <c>true</c>.</summary>
    public bool SmallerIsBetter { get; init; } = true;

    /// <summary>Factor on the rate, in (0, 1). Default 0.1.</summary>
    public double Factor { get; init; } = 0.1;

    /// <summary>Measurements without improvement that are borne. Default 10.</summary>
    public int Patience { get; init; } = 10;

    /// <summary>What counts as better. Default 1e-4.</summary>
    public double Threshold { get; init; } = 1e-4;

    /// <summary>Whether <see cref="Threshold"/> is a share of the best value, not a difference. Default <c>true</c>.</summary>
    public bool IsRelative { get; init; } = true;

    /// <summary>Measurements after a reduction that do not count. Default 0.</summary>
    public int Cooldown { get; init; }

    /// <summary>Rate below which it does not go. Default 0.</summary>
    public double LowestRate { get; init; }

    /// <summary>Changes smaller than this are not made. Default 1e-8.</summary>
    public double SmallestChange { get; init; } = 1e-8;
}

/// <summary>A rate that goes down when a measure no longer improves. It depends on what was measured, so that it has a state and is no <see cref="Schedule"/>.</summary>
/// <param name="rate">The first rate.</param>
/// <param name="settings">When and how far.</param>
public sealed class PlateauRate(double rate, PlateauSettings? settings = null)
{
    private readonly PlateauSettings _settings = settings ?? new();
    private double? _best;
    private int _bad, _cooling;

    /// <summary>The rate in force.</summary>
    public double Rate { get; private set; } = rate;

    /// <summary>Takes a measurement and answers with the rate from now on.</summary>
    public double Report(double measured)
    {
        if (_best is not { } best || IsBetter(measured, best)) (_best, _bad) = (measured, 0);
        else _bad++;
        if (_cooling > 0)
        {
            _cooling--;
            _bad = 0;
        }
        if (_bad > _settings.Patience)
        {
            var next = Math.Max(Rate * _settings.Factor, _settings.LowestRate);
            if (Rate - next > _settings.SmallestChange) Rate = next;
            (_cooling, _bad) = (_settings.Cooldown, 0);
        }
        return Rate;
    }

    private bool IsBetter(double measured, double best)
    {
        var margin = _settings.IsRelative ? _settings.Threshold * best : _settings.Threshold;
        return _settings.SmallerIsBetter ? measured < best - margin : measured > best + margin;
    }
}
