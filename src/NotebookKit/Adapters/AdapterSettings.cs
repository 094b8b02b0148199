using System.Text.Json.Serialization;

namespace NotebookKit.Adapters;

/// <summary>What is added to a frozen model and trained in its place.</summary>
[JsonDerivedType(typeof(LoraSettings), "LoRA")]
[JsonDerivedType(typeof(Ia3Settings), "IA3")]
[JsonDerivedType(typeof(BitFitSettings), "BitFit")]
[JsonDerivedType(typeof(BottleneckSettings), "Bottleneck")]
[JsonDerivedType(typeof(PromptSettings), "Prompt")]
[JsonDerivedType(typeof(PrefixSettings), "Prefix")]
public abstract record AdapterSettings
{
    private protected AdapterSettings()
    {
    }

    /// <summary>Which layers; <c>null</c> takes what is usual for the method and the architecture. Default <c>null</c>.</summary>
    public ModulePattern? Targets { get; init; }

    /// <summary>Modules that are trained as a whole and saved with the adapter, by the end of their path; <c>null</c> takes a classifier's head. Default <c>null</c>.</summary>
    public IReadOnlyList<string>? ModulesToSave { get; init; }

    /// <summary>The method's usual name.</summary>
    [JsonIgnore]
    public abstract string Method { get; }

    internal virtual void Validate()
    {
        if (ModulesToSave?.Any(m => m.Length == 0) == true) throw new ArgumentException("ModulesToSave holds an empty name.");
    }
}

/// <summary>Which biases are trained beside an adapter.</summary>
public enum TrainedBiases
{
    /// <summary>None.</summary>
    None,
    /// <summary>Those of the layers that carry the adapter.</summary>
    Adapted,
    /// <summary>All of the model.</summary>
    All,
}

/// <summary>
/// LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685): W x + α/r B A x, with A (r, from) drawn at random and B (to, r) zero. Merges into the weights.
/// </summary>
public sealed record LoraSettings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => (RankStabilised, DecomposesWeights) switch { (_, true) => "DoRA", (true, _) => "rsLoRA", _ => "LoRA" };

    /// <summary>Rank r of the change, at least 1. Default 8.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>α; the change is multiplied by α / r. Default 16: twice the rank.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Other ranks for some layers, by a regular expression for the end of their path. Default none.</summary>
    public IReadOnlyDictionary<string, int> RankPattern { get; init; } = new Dictionary<string, int>();

    /// <summary>Other α for some layers. Default none.</summary>
    public IReadOnlyDictionary<string, double> AlphaPattern { get; init; } = new Dictionary<string, double>();

    /// <summary>Share of the adapter's inputs that is dropped in training, in [0, 1). Default 0.</summary>
    public double Dropout { get; init; }

    /// <summary>rsLoRA: the factor is α / √r, so that large ranks learn as fast as small ones (Kalajdzievski 2023, https://arxiv.org/abs/2312.03732). Default no.</summary>
    public bool RankStabilised { get; init; }

    /// <summary>DoRA: a weight's direction is changed by LoRA and its length, row by row (of a table, column by column), trained apart (Liu et al. 2024, https://arxiv.org/abs/2402.09353). Default no.</summary>
    public bool DecomposesWeights { get; init; }

    /// <summary>LoRA+: how many times faster B learns than A (Hayou et al. 2024, https://arxiv.org/abs/2402.12354, who recommend 16); 1 is plain LoRA. Default 1.</summary>
    public double RateRatio { get; init; } = 1;

    /// <summary>Which biases are trained, too. Default none.</summary>
    public TrainedBiases Biases { get; init; }

    internal override void Validate()
    {
        base.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(Rank, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Alpha);
        ArgumentOutOfRangeException.ThrowIfNegative(Dropout);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Dropout, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(RateRatio);
        foreach (var (key, rank) in RankPattern)
            if (rank < 1) throw new ArgumentOutOfRangeException(nameof(RankPattern), rank, $"RankPattern['{key}'] is at least 1.");
    }
}

/// <summary>(IA)³ (Liu et al. 2022, https://arxiv.org/abs/2205.05638): keys, values and inner activations are multiplied by vectors that begin at 1. Merges into the weights.</summary>
public sealed record Ia3Settings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => "(IA)³";

    /// <summary>Which of the layers have their input multiplied rather than their output: feed-forward layers; <c>null</c> takes what is usual for the architecture. Default <c>null</c>.</summary>
    public ModulePattern? FeedForward { get; init; }
}

/// <summary>BitFit (Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199): biases alone are trained.</summary>
public sealed record BitFitSettings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => "BitFit";
}

/// <summary>Bottleneck adapters (Houlsby et al. 2019, https://arxiv.org/abs/1902.00751): y + W₂ relu(W₁ y) after a layer, W₂ zero at first. Cannot be merged.</summary>
public sealed record BottleneckSettings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => "bottleneck";

    /// <summary>Numbers in the middle, at least 1. Default 32.</summary>
    public int Width { get; init; } = 32;

    internal override void Validate()
    {
        base.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(Width, 1);
    }
}

/// <summary>Prompt tuning (Lester et al. 2021, https://arxiv.org/abs/2104.08691): vectors in front of every sequence's, drawn from the vocabulary's at first. Changes outputs from the start; cannot be merged.</summary>
public sealed record PromptSettings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => "prompt tuning";

    /// <summary>Number of vectors, at least 1. Default 16.</summary>
    public int Tokens { get; init; } = 16;

    internal override void Validate()
    {
        base.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(Tokens, 1);
    }
}

/// <summary>Prefix tuning (Li &amp; Liang 2021, https://arxiv.org/abs/2101.00190), without its reparametrisation: keys and values in every layer that all tokens see (of an encoder-decoder, those of the target). Changes outputs from the start; cannot be merged.</summary>
public sealed record PrefixSettings : AdapterSettings
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override string Method => "prefix tuning";

    /// <summary>Number of keys, at least 1. Default 16.</summary>
    public int Tokens { get; init; } = 16;

    internal override void Validate()
    {
        base.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(Tokens, 1);
    }
}
