namespace NotebookKit.Checkpoints;

/// <summary>What loading did with every key of a checkpoint and every parameter of a model.</summary>
/// <param name="Matched">Parameters that were read.</param>
/// <param name="Missing">Parameters the checkpoint has nothing for; they keep their fresh weights.</param>
/// <param name="Unexpected">Keys of the checkpoint that the model has no place for.</param>
public sealed record LoadReport(IReadOnlyList<string> Matched, IReadOnlyList<string> Missing, IReadOnlyList<string> Unexpected)
{
    /// <summary>Parameters of a head whose shape in the checkpoint is another; they keep their fresh weights. Each with both shapes.</summary>
    public IReadOnlyList<string> Reshaped { get; init; } = [];

    /// <summary>Keys that hold a second copy of a tensor the model has once, such as an output matrix that is the embedding table.</summary>
    public IReadOnlyList<string> Tied { get; init; } = [];

    /// <summary>Parameters that stood under another name: model's ← checkpoint's.</summary>
    public IReadOnlyList<string> Renamed { get; init; } = [];

    /// <summary>SHA-256 over names and bytes of all tensors read, in the order of their names; empty where it was not asked for.</summary>
    public string Hash { get; init; } = "";

    /// <summary>A few lines for a person.</summary>
    public override string ToString() =>
        $"{Matched.Count} parameters read"
        + Part("new", Missing) + Part("another shape, so new", Reshaped) + Part("tied", Tied) + Part("not used", Unexpected)
        + (Renamed.Count == 0 ? "" : $"; {Renamed.Count} under an older name, such as {Renamed[0]}")
        + (Hash.Length == 0 ? "" : $"; SHA-256 {Hash[..16]}…");

    private static string Part(string what, IReadOnlyList<string> names) => names.Count == 0 ? "" : $"; {what}: {string.Join(", ", names)}";
}
