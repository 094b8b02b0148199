namespace NotebookKit.Checkpoints;

/// <summary>What loading did with every key of a file and every parameter of a model.</summary>
/// <param name="Matched">Parameters that were read.</param>
/// <param name="Missing">Parameters the file has nothing for; they keep their fresh weights.</param>
/// <param name="Unexpected">Keys of the file that the model has no place for.</param>
public sealed record LoadReport(IReadOnlyList<string> Matched, IReadOnlyList<string> Missing, IReadOnlyList<string> Unexpected)
{
    /// <summary>One line for a person.</summary>
    public override string ToString() =>
        $"{Matched.Count} parameters read"
        + (Missing.Count == 0 ? "" : $"; new: {string.Join(", ", Missing)}")
        + (Unexpected.Count == 0 ? "" : $"; not used: {string.Join(", ", Unexpected)}");
}
