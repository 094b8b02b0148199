using NotebookKit.Tracking;

namespace NotebookKit.Tests;

/// <summary>Tells a test of every event, at once and on the thread that reports it.</summary>
internal sealed class Listener(Action<TrainingProgress> tell) : IProgress<TrainingProgress>
{
    public void Report(TrainingProgress value) => tell(value);
}
