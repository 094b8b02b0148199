namespace NotebookKit.Schedules;

/// <summary>Schedules that are known by their shape alone; the run says how many steps there are.</summary>
public enum ScheduleShape
{
    /// <summary><see cref="LinearSchedule"/>.</summary>
    Linear,
    /// <summary><see cref="CosineSchedule"/>.</summary>
    Cosine,
    /// <summary><see cref="OneCycleSchedule"/>; it has a warm-up of its own.</summary>
    OneCycle,
    /// <summary><see cref="SlantedTriangularSchedule"/>; it has a warm-up of its own.</summary>
    SlantedTriangular,
    /// <summary><see cref="ConstantSchedule"/>.</summary>
    Constant,
    /// <summary><see cref="InverseSquareRootSchedule"/>.</summary>
    InverseSquareRoot,
}

/// <summary>Makes schedules from shapes.</summary>
public static class ScheduleShapes
{
    /// <summary>The schedule of a run.</summary>
    /// <param name="shape">Its shape.</param>
    /// <param name="totalSteps">Steps of the whole run.</param>
    /// <param name="warmupSteps">Steps on which the rate rises, where the shape has no share of its own.</param>
    public static Schedule Make(this ScheduleShape shape, int totalSteps, int warmupSteps) => shape switch
    {
        ScheduleShape.Linear => new LinearSchedule(warmupSteps, totalSteps),
        ScheduleShape.Cosine => new CosineSchedule(warmupSteps, totalSteps),
        ScheduleShape.OneCycle => new OneCycleSchedule(Math.Max(totalSteps, 4)),
        ScheduleShape.SlantedTriangular => new SlantedTriangularSchedule(totalSteps),
        ScheduleShape.Constant => new ConstantSchedule(warmupSteps),
        ScheduleShape.InverseSquareRoot => new InverseSquareRootSchedule(warmupSteps),
        _ => throw new ArgumentOutOfRangeException(nameof(shape), shape, "No schedule has this shape."),
    };
}
