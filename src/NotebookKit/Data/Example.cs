namespace NotebookKit.Data;

/// <summary>A text with its class.</summary>
/// <param name="Text">What a person wrote; never empty.</param>
/// <param name="Label">Name of the class.</param>
public sealed record Example(string Text, string Label)
{
    /// <summary>A tag to slice results by, such as how the text is written; <c>null</c> where the data has none.</summary>
    public string? Kind { get; init; }
}
