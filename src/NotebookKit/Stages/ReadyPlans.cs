using System.Globalization;
using NotebookKit.Pretraining;
using NotebookKit.Schedules;
using NotebookKit.Training;

namespace NotebookKit.Stages;

/// <summary>How much of the data a curriculum has reached, stage by stage (Wu et al. 2021, https://arxiv.org/abs/2012.03107).</summary>
public enum Pacing
{
    /// <summary>As much more at every stage.</summary>
    Linear,
    /// <summary>Much at first, then less: √.</summary>
    Root,
    /// <summary>Twice as much at every stage, all at the last.</summary>
    Exponential,
    /// <summary>Half of it but for the last stage.</summary>
    Step,
}

/// <summary>Plans that papers and libraries recommend. Each is a plan like any other: print it, change it.</summary>
public static class ReadyPlans
{
    /// <summary>The head by regression, then all (LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a head that fits already does not distort the features.</summary>
    /// <param name="settings">Of the second stage.</param>
    /// <param name="gate">Of the second stage.</param>
    public static StagePlan HeadThenAll(FinetuneSettings? settings = null, Gate? gate = null) => new("head first, then all",
    [
        new Stage { Name = "head", Trains = TrainedPart.Probe },
        new Stage { Name = "all", Settings = Own(settings), Gate = gate },
    ]);

    /// <summary>ULMFiT (Howard &amp; Ruder 2018, https://arxiv.org/abs/1801.06146): head, then a layer more at each stage, rates 2.6 times smaller per layer down, slanted triangular; the last stage trains all.</summary>
    /// <param name="layers">Layers of the model.</param>
    /// <param name="settings">Rate and batch size of all stages; its epochs are those of the last stage.</param>
    /// <param name="gate">Of every stage.</param>
    public static StagePlan GradualUnfreezing(int layers, FinetuneSettings? settings = null, Gate? gate = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(layers, 1);
        var own = Own(settings) with { Schedule = ScheduleShape.SlantedTriangular, LayerDecay = 1 / 2.6 };
        return new("gradual unfreezing (ULMFiT)",
        [
            .. Enumerable.Range(0, layers).Select(k => new Stage { Name = k == 0 ? "head" : $"top {k}", Trains = TrainedPart.Top(k), Settings = own with { Epochs = 1 }, Gate = gate }),
            new Stage { Name = "all", Settings = own, Gate = gate },
        ]);
    }

    /// <summary>All at once, each layer slower than the one above (Clark et al. 2020; Sun et al. 2019, https://arxiv.org/abs/1905.05583), after the head by regression.</summary>
    /// <param name="decay">Factor from a layer to the one below, in (0, 1). Default 0.8.</param>
    /// <param name="settings">Of the second stage.</param>
    public static StagePlan LayerwiseDecay(double decay = 0.8, FinetuneSettings? settings = null) => HeadThenAll((settings ?? new()) with { LayerDecay = decay }) with { Name = string.Create(CultureInfo.InvariantCulture, $"layer-wise decay {decay:0.##}") };

    /// <summary>fastai's <c>fine_tune</c> (Howard &amp; Gugger 2020): the head for an epoch, then all at half the rate in one cycle, the embeddings a hundred times slower than the head.</summary>
    /// <param name="layers">Layers of the model.</param>
    /// <param name="settings">Rate, batch size, and epochs of the second stage.</param>
    public static StagePlan FineTune(int layers, FinetuneSettings? settings = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(layers, 1);
        var own = Own(settings) with { Schedule = ScheduleShape.OneCycle };
        return new("fine_tune",
        [
            new Stage { Name = "head", Trains = TrainedPart.Head, Settings = own with { Epochs = 1, WarmupShare = 0.99 } },
            new Stage { Name = "all", Settings = own with { LearningRate = own.LearningRate / 2, WarmupShare = 0.3, LayerDecay = Math.Pow(0.01, 1.0 / (layers + 1)) } },
        ]);
    }

    /// <summary>From easy to hard (Bengio et al. 2009; what it brings: Wu et al. 2021, https://arxiv.org/abs/2012.03107).</summary>
    /// <param name="stages">At least 2; the last has all examples.</param>
    /// <param name="by">What makes an example hard.</param>
    /// <param name="pacing">How fast the data grows.</param>
    /// <param name="settings">Of every stage; its epochs are dealt out to the stages.</param>
    public static StagePlan Curriculum(int stages = 3, Difficulty by = Difficulty.Length, Pacing pacing = Pacing.Linear, FinetuneSettings? settings = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(stages, 2);
        var own = Own(settings);
        var shares = Enumerable.Range(1, stages).Select(i => Share(pacing, i / (double)stages, stages - i)).ToArray();
        return new($"curriculum by {by.ToString().ToLowerInvariant()}",
            [new Stage { Name = "head", Trains = TrainedPart.Probe },
             .. shares.Select((share, i) => new Stage { Name = string.Create(CultureInfo.InvariantCulture, $"easiest {100 * share:F0} %"), Data = DataSlice.Easiest(share, by), Settings = own with { Epochs = Math.Max(1, own.Epochs / stages) } })]);
    }

    /// <summary>Data that comes in instalments: each is learned with a share of the earlier ones beside it, and the old task is judged after each.</summary>
    /// <param name="instalments">At least 2.</param>
    /// <param name="replay">Share of the earlier examples, in [0, 1]; 0 is none.</param>
    /// <param name="settings">Of every stage.</param>
    /// <param name="gate">Of every stage but the first.</param>
    public static StagePlan Instalments(int instalments, double replay = 0.1, FinetuneSettings? settings = null, Gate? gate = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(instalments, 2);
        return new($"{instalments} instalments", [.. Enumerable.Range(1, instalments).Select(i => new Stage
        {
            Name = $"instalment {i}", Data = DataSlice.Instalment(i, instalments), Replay = i > 1 && replay > 0 ? new Replay(replay) : null, Gate = i > 1 ? gate : null,
            Settings = i > 1 ? Own(settings) : settings ?? new(),
        })]);
    }

    /// <summary>The encoder goes on with its own objective on texts of the domain, then on those of the task, and is then finetuned (Gururangan et al. 2020, https://arxiv.org/abs/2004.10964). The data needs
    /// <see cref="StageData.Encoder"/> and <see cref="StageData.DomainTexts"/>.</summary>
    /// <param name="domain">How the domain's texts are learned; <c>null</c> is one epoch of them.</param>
    /// <param name="task">How the task's are; <c>null</c> is the default.</param>
    /// <param name="settings">Of the last stage.</param>
    /// <param name="gate">Of the last stage.</param>
    public static StagePlan DomainThenTask(FurtherPretrainingSettings? domain = null, FurtherPretrainingSettings? task = null, FinetuneSettings? settings = null, Gate? gate = null) => new("domain, then task, then labels",
    [
        new Stage { Name = "domain", Trains = TrainedPart.MaskedTokens(domain ?? new() { Epochs = 1 }, domain: true) },
        new Stage { Name = "task", Trains = TrainedPart.MaskedTokens(task) },
        .. HeadThenAll(settings, gate).Stages,
    ]);

    private static double Share(Pacing pacing, double done, int left) => pacing switch
    {
        Pacing.Root => Math.Sqrt(done), Pacing.Exponential => Math.Pow(0.5, left), Pacing.Step => left == 0 ? 1 : 0.5, _ => done,
    };

    /// <summary>Settings of a stage whose head is there already.</summary>
    private static FinetuneSettings Own(FinetuneSettings? settings) => (settings ?? new()) with { HeadStart = HeadStart.Random };
}
