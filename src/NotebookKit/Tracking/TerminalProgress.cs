using System.Globalization;

namespace NotebookKit.Tracking;

/// <summary>Tells a run in the terminal: one line that is rewritten, or, where output goes to a file, a line an epoch.</summary>
/// <param name="writer">Where; by default standard error, so that a program's output stays its own.</param>
/// <param name="rewrites">Whether the line is rewritten; by default where there is a terminal.</param>
public sealed class TerminalProgress(TextWriter? writer = null, bool? rewrites = null) : IProgress<TrainingProgress>
{
    private readonly TextWriter _writer = writer ?? Console.Error;
    private readonly bool _rewrites = rewrites ?? (writer is null && !Console.IsErrorRedirected);
    private int _width;
    private TimeSpan _last = TimeSpan.MinValue;

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        var keeps = value is RunStarted or EpochEnded or RunEnded || value.Message is not null;
        if (!keeps && (!_rewrites || value.Elapsed - _last < TimeSpan.FromMilliseconds(250))) return;
        _last = value.Elapsed;
        var line = value switch
        {
            RunStarted { Run: var run } => $"{run.Name}: {value.TotalSteps} steps, seed {run.Seed}, on {run.Machine}",
            EpochEnded { Measured: var e } => string.Create(CultureInfo.InvariantCulture, $"epoch {e.Epoch}: training loss {e.TrainLoss:F3}")
                + (e.ValidationAccuracy is { } accuracy ? string.Create(CultureInfo.InvariantCulture, $", validation loss {e.ValidationLoss:F3}, accuracy {accuracy * 100:F1} %") : ""),
            { Message: { } message } => $"{value.Phase}: {message}",
            _ => string.Create(CultureInfo.InvariantCulture, $"step {value.Step} of {value.TotalSteps}, loss {value.Loss:F3}, {Left(value):F0} s left"),
        };
        if (_rewrites) _writer.Write('\r' + line.PadRight(_width) + (keeps ? "\n" : ""));
        else _writer.WriteLine(line);
        _width = keeps ? 0 : line.Length;
        _writer.Flush();
    }

    private static double Left(TrainingProgress at) => at.Step == 0 ? 0 : at.Elapsed.TotalSeconds / at.Step * (at.TotalSteps - at.Step);
}
