namespace NotebookKit.Training;

/// <summary>Where a run keeps what it can go on from. A run that was ended at any moment goes on from its last checkpoint and ends bit for bit where it would have ended.</summary>
/// <param name="Folder">A folder for this run alone. When it holds checkpoints of the same run, the run goes on from there; of another run, it is refused.</param>
public sealed record CheckpointSettings(string Folder)
{
    /// <summary>Steps between checkpoints, at least 1; <c>null</c> is after every epoch only. Default <c>null</c>.</summary>
    public int? EverySteps { get; init; }

    /// <summary>Checkpoints that are kept, at least 1; the one before the last is what a damaged last one falls back to. Default 2.</summary>
    public int KeepLast { get; init; } = 2;
}
