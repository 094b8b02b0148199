namespace NotebookKit.Tracking;

/// <summary>Tells several listeners. One that fails to write is told no more, the others hear why, and the run goes on.</summary>
/// <param name="listeners">Who is told, in this order.</param>
public sealed class Listeners(params IProgress<TrainingProgress>[] listeners) : IProgress<TrainingProgress>
{
    private readonly List<IProgress<TrainingProgress>> _listeners = [.. listeners];

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        var failed = new List<(IProgress<TrainingProgress> Listener, string Why)>();
        foreach (var listener in _listeners)
        {
            try { listener.Report(value); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { failed.Add((listener, e.Message)); }
        }
        foreach (var (listener, why) in failed)
        {
            _listeners.Remove(listener);
            Report(new TrainingProgress("log", value.Step, value.TotalSteps, value.Epoch, value.Loss, value.ValidationMetric, value.Elapsed, $"{listener.GetType().Name} could not be written and is told no more: {why}"));
        }
    }
}
