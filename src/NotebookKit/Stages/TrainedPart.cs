using NotebookKit.Adapters;
using NotebookKit.Pretraining;

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
    /// <summary>The encoder on its own objective, masked tokens, without labels.</summary>
    Pretraining,
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

    /// <summary>The encoder on its own objective, masked tokens, before labels are learned (Gururangan et al. 2020, https://arxiv.org/abs/2004.10964).</summary>
    /// <param name="settings">How; <c>null</c> is the default.</param>
    /// <param name="domain">Whether the texts are those of <see cref="StageData.DomainTexts"/>; else they are the stage's slice.</param>
    public static TrainedPart MaskedTokens(FurtherPretrainingSettings? settings = null, bool domain = false) => new() { Kind = TrainedKind.Pretraining, Pretraining = settings ?? new(), OnDomain = domain };

    /// <summary>Which.</summary>
    public TrainedKind Kind { get; init; }

    /// <summary>Layers from the top, for <see cref="TrainedKind.TopLayers"/>.</summary>
    public int Layers { get; init; }

    /// <summary>The adapter, for <see cref="TrainedKind.Adapter"/>.</summary>
    public AdapterSettings? Adapter { get; init; }

    /// <summary>How masked tokens are learned, for <see cref="TrainedKind.Pretraining"/>.</summary>
    public FurtherPretrainingSettings? Pretraining { get; init; }

    /// <summary>Whether the texts are those of the domain, for <see cref="TrainedKind.Pretraining"/>.</summary>
    public bool OnDomain { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        TrainedKind.All => "all", TrainedKind.Probe => "head (regression)", TrainedKind.TopLayers => Layers == 0 ? "head" : $"head and top {Layers} layer{(Layers == 1 ? "" : "s")}", TrainedKind.Pretraining => OnDomain ? "encoder, masked tokens of the domain" : "encoder, masked tokens", _ => $"adapter: {Adapter?.Method}",
    };
}
