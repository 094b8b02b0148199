namespace NotebookKit.Training;

/// <summary>
/// What a run checks of itself while it goes; each check stops it with an error that says what is wrong. Whether numbers are finite is always checked: a run that meets one that is not says the step,
/// the layer and the examples of the batch.
/// </summary>
public sealed record TrainingChecks
{
    /// <summary>Every batch is compared with the dataset: each row has the tokens of an example's text and that example's label. Costs tokenising once more. Default no.</summary>
    public bool Labels { get; init; }

    /// <summary>Before the first step: the gradient of a batch in two parts (or in those of <c>MicroBatchSize</c>) equals that of the batch in one piece, within 1e-3 of its largest number (bf16: 0.1).
    /// Costs two passes. Default no.</summary>
    public bool Accumulation { get; init; }

    /// <summary>How many more tensors may live after a step than after step 20, at least 0; <c>null</c> does not count. Tensors that other threads make count, too. Default <c>null</c>.</summary>
    public int? LiveTensors { get; init; }

    /// <summary>All checks; no tensor more may live.</summary>
    public static TrainingChecks All { get; } = new() { Labels = true, Accumulation = true, LiveTensors = 0 };
}
