using NotebookKit.Optimizers;
using NotebookKit.Schedules;

namespace NotebookKit.Training;

/// <summary>What part of a model is trained.</summary>
public enum Trained
{
    /// <summary>Encoder and head.</summary>
    All,
    /// <summary>The head alone; the encoder is read once and its features kept.</summary>
    HeadOnly,
}

/// <summary>How the classification head begins.</summary>
public enum HeadStart
{
    /// <summary>Small random weights (Devlin et al. 2019).</summary>
    Random,
    /// <summary>The logistic regression that fits the frozen encoder's features best, so that finetuning does not distort them (LP-FT, Kumar et al. 2022).</summary>
    LinearProbe,
}

/// <summary>What matrix products are computed in while training.</summary>
public enum TrainingPrecision
{
    /// <summary>fp32 throughout.</summary>
    Float32,
    /// <summary>bf16, with fp32 master weights and moments in the optimiser (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740; Kalamkar et al. 2019, https://arxiv.org/abs/1905.12322): about 1.5 times as fast
    /// where the CPU has bf16 products, slower where it has not. The trained model is fp32.</summary>
    BFloat16,
}

/// <summary>Settings of a finetuning run. They print themselves; vary them with <c>with</c>.</summary>
public sealed record FinetuneSettings
{
    /// <summary>What is trained. Default <see cref="Trained.All"/>.</summary>
    public Trained Trained { get; init; } = Trained.All;

    /// <summary>How the head begins. Default <see cref="HeadStart.LinearProbe"/>.</summary>
    public HeadStart HeadStart { get; init; } = HeadStart.LinearProbe;

    /// <summary>Passes over the training data, at least 1. Default 8.</summary>
    public int Epochs { get; init; } = 8;

    /// <summary>Examples per step, at least 1. Default 32.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Among how many batches of shuffled examples those of like length are put together, at least 1: more pads less and mixes less; 1 leaves batches as drawn. Default 50.</summary>
    public int PoolBatches { get; init; } = 50;

    /// <summary>Peak learning rate of encoder and head. Default 2e-4, which small encoders take (BERT-base: 2e-5 to 5e-5).</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>Share of the steps on which the rate rises from 0, in [0, 1). Default 0.1.</summary>
    public double WarmupShare { get; init; } = 0.1;

    /// <summary>How the rate goes over the run. Default <see cref="ScheduleShape.Linear"/>.</summary>
    public ScheduleShape Schedule { get; init; }

    /// <summary>What matrix products are computed in. Default <see cref="TrainingPrecision.Float32"/>.</summary>
    public TrainingPrecision Precision { get; init; }

    /// <summary>Factor on the rate from a layer to the one below, in (0, 1]; 1 is the same rate for all. 0.95 is usual (Sun et al. 2019). Default 1.</summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>Factors on the rate one by one: embeddings, each layer from the bottom, head, at least 0, in place of <see cref="LayerDecay"/> (discriminative rates, Howard &amp; Ruder 2018); <c>null</c> is none. Default <c>null</c>.</summary>
    public IReadOnlyList<double>? RateFactors { get; init; }

    /// <summary>How many layers from the bottom stay as they are, with the embeddings below them, at least 0; <c>null</c> trains the embeddings, too. What is frozen costs no backward pass. Default <c>null</c>.</summary>
    public int? FrozenLayers { get; init; }

    /// <summary>Examples in memory at a time, at least 1; a step of more comes in parts, and its gradients add up to the same. <c>null</c> takes a batch in one piece. Default <c>null</c>.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>What is minimised. Default cross-entropy.</summary>
    public ClassificationObjective Objective { get; init; } = new();

    /// <summary>Decay of a moving average of the weights, in [0, 1); the average is what is measured and kept. 0 is none. Default 0.</summary>
    public double AverageDecay { get; init; }

    /// <summary>Share of numbers dropped in place of the pretrained model's own, in [0, 1) (Srivastava et al. 2014); <c>null</c> leaves it as pretrained. Default <c>null</c>.</summary>
    public double? Dropout { get; init; }

    /// <summary>How many of the best epochs are averaged at the end, one after the other while the validation part does not suffer (greedy soup, Wortsman et al. 2022,
    /// https://arxiv.org/abs/2203.05482; averages of one run's weights: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407); 1 is none. Each costs the memory of the weights. Default 1.</summary>
    public int SoupSize { get; init; } = 1;

    /// <summary>Whether a layer's activations are thrown away and computed again for the backward pass: about a third more time for memory of one layer instead of all
    /// (Chen et al. 2016, https://arxiv.org/abs/1604.06174). The result is the same. Default no.</summary>
    public bool RecomputesLayers { get; init; }

    /// <summary>What is checked while the run goes. Default nothing beyond finite numbers.</summary>
    public TrainingChecks Checks { get; init; } = new();

    /// <summary>Where the run keeps what it can go on from; <c>null</c> keeps nothing. Default <c>null</c>.</summary>
    public CheckpointSettings? Checkpoints { get; init; }

    /// <summary>Optimiser constants; the defaults decay weights by 0.01 and clip gradients at norm 1.</summary>
    public OptimizerSettings Optimizer { get; init; } = new AdamWSettings();

    /// <summary>Inverse strength of the penalty of the linear probe, above 0. Default 10.</summary>
    public double ProbeC { get; init; } = 10;

    /// <summary>Epochs without a better validation accuracy before the run stops; <c>null</c> never stops early. Default <c>null</c>.</summary>
    public int? Patience { get; init; }

    /// <summary>Seed of order and dropout. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Throws where a value is out of its range, naming it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(PoolBatches, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LearningRate);
        ArgumentOutOfRangeException.ThrowIfNegative(WarmupShare);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(WarmupShare, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ProbeC);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LayerDecay);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(LayerDecay, 1);
        if (RateFactors is { } factors && (LayerDecay != 1 || factors.Any(f => !(f >= 0)))) throw new ArgumentException("RateFactors are at least 0 each, and stand in place of LayerDecay, which is left at 1.", nameof(RateFactors));
        ArgumentOutOfRangeException.ThrowIfNegative(AverageDecay);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(AverageDecay, 1);
        if (Dropout is < 0 or >= 1) throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "Dropout is in [0, 1), or null.");
        ArgumentOutOfRangeException.ThrowIfLessThan(SoupSize, 1);
        if (FrozenLayers is < 0) throw new ArgumentOutOfRangeException(nameof(FrozenLayers), FrozenLayers, "FrozenLayers is at least 0, or null.");
        if (MicroBatchSize is < 1) throw new ArgumentOutOfRangeException(nameof(MicroBatchSize), MicroBatchSize, "MicroBatchSize is at least 1 example, or null.");
        Objective.Validate();
        if (Patience is < 1) throw new ArgumentOutOfRangeException(nameof(Patience), Patience, "Patience is at least 1 epoch, or null.");
    }
}
