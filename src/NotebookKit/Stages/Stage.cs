using NotebookKit.ContinualLearning;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Training;

namespace NotebookKit.Stages;

/// <summary>One stage of finetuning: which data, what is trained, at what rates, how long, and whether the result is taken over.</summary>
public sealed record Stage
{
    /// <summary>Its name, for tables and messages.</summary>
    public required string Name { get; init; }

    /// <summary>Which examples. Default all.</summary>
    public DataSlice Data { get; init; } = DataSlice.All;

    /// <summary>Old examples among the new ones; <c>null</c> is none. Default <c>null</c>.</summary>
    public Replay? Replay { get; init; }

    /// <summary>What is trained. Default all.</summary>
    public TrainedPart Trains { get; init; } = TrainedPart.All;

    /// <summary>How: rates, schedule, length, objective. <see cref="FinetuneSettings.Trained"/> and <see cref="FinetuneSettings.FrozenLayers"/> follow from <see cref="Trains"/> and stay as they are here. By default the head begins as it is.</summary>
    public FinetuneSettings Settings { get; init; } = new() { HeadStart = HeadStart.Random };

    /// <summary>Whether the result is taken over; <c>null</c> always takes it. Default <c>null</c>.</summary>
    public Gate? Gate { get; init; }
}

/// <summary>Old examples among new ones.</summary>
/// <param name="Share">Share of the old examples, in (0, 1]. Old are those of <see cref="StageData.Old"/>, and those of earlier stages that this stage's slice leaves out.</param>
public sealed record Replay(double Share)
{
    /// <summary>Which are taken. Default <see cref="ReplaySelection.ClassBalanced"/>.</summary>
    public ReplaySelection Selection { get; init; } = ReplaySelection.ClassBalanced;

    /// <summary>Seed of what is drawn. Default 0.</summary>
    public int Seed { get; init; }
}

/// <summary>The data of a plan.</summary>
/// <param name="Train">Examples to learn from.</param>
/// <param name="Validation">Examples that epochs and gates are judged by.</param>
public sealed record StageData(TextDataset Train, TextDataset Validation)
{
    /// <summary>Examples of what the model knew before, for replay; <c>null</c> is none.</summary>
    public TextDataset? Old { get; init; }

    /// <summary>Examples that forgetting is judged by; <c>null</c> does not judge it.</summary>
    public TextDataset? OldValidation { get; init; }

    /// <summary>Texts of the domain without labels, for stages that learn masked tokens of them; <c>null</c> is none.</summary>
    public IReadOnlyList<string>? DomainTexts { get; init; }

    /// <summary>Where the classifier's encoder came from: its masked-token head is what such stages begin with; <c>null</c> allows none of them.</summary>
    public PretrainedEncoder? Encoder { get; init; }
}
