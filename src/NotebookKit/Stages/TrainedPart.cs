using NotebookKit.Adapters;

namespace NotebookKit.Stages;

/// <summary>What a stage trains.</summary>
public enum TrainedKind
{
    /// <summary>The whole model.</summary>
    All,
    /// <summary>The head, by a regression on the frozen encoder's features.</summary>
    Probe,
    /// <summary>The head and so many of the upper layers, by steps.</summary>
    TopLayers,
    /// <summary>An adapter beside the frozen model.</summary>
    Adapter,
}

/// <summary>What a stage trains.</summary>
public sealed record TrainedPart
{
    /// <summary>The whole model.</summary>
    public static TrainedPart All { get; } = new();

    /// <summary>The head, by a regression on the frozen encoder's features: the optimum at once.</summary>
    public static TrainedPart Probe { get; } = new() { Kind = TrainedKind.Probe };

    /// <summary>The head alone, by steps.</summary>
    public static TrainedPart Head { get; } = Top(0);

    /// <summary>The head and the upper layers.</summary>
    /// <param name="layers">How many, from the top; at least 0.</param>
    public static TrainedPart Top(int layers) => layers >= 0 ? new() { Kind = TrainedKind.TopLayers, Layers = layers } : throw new ArgumentOutOfRangeException(nameof(layers), layers, "Layers are at least 0.");

    /// <summary>An adapter, which becomes a part of the weights before a later stage trains something else.</summary>
    public static TrainedPart With(AdapterSettings adapter) => new() { Kind = TrainedKind.Adapter, Adapter = adapter };

    /// <summary>Which.</summary>
    public TrainedKind Kind { get; init; }

    /// <summary>Layers from the top, for <see cref="TrainedKind.TopLayers"/>.</summary>
    public int Layers { get; init; }

    /// <summary>The adapter, for <see cref="TrainedKind.Adapter"/>.</summary>
    public AdapterSettings? Adapter { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        TrainedKind.All => "all", TrainedKind.Probe => "head (regression)", TrainedKind.TopLayers => Layers == 0 ? "head" : $"head and top {Layers} layer{(Layers == 1 ? "" : "s")}", _ => $"adapter: {Adapter?.Method}",
    };
}
