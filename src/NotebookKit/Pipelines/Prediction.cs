namespace NotebookKit.Pipelines;

/// <summary>What a classifier says of one text.</summary>
/// <param name="Text">The text.</param>
/// <param name="Label">Name of the most probable class.</param>
/// <param name="Probability">Its probability, in [0, 1].</param>
public sealed record Prediction(string Text, string Label, double Probability);
