using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Schedules;
using NotebookKit.Text;
using NotebookKit.Tracking;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Pretraining;

/// <summary>Settings of <see cref="FurtherPretraining"/>.</summary>
public sealed record FurtherPretrainingSettings
{
    /// <summary>Passes over the texts, at least 1. Default 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Texts per step, at least 1. Default 32.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Peak learning rate. Default 1e-4, as the paper's task-adaptive runs.</summary>
    public double LearningRate { get; init; } = 1e-4;

    /// <summary>Share of the steps on which the rate rises, in [0, 1). Default 0.06.</summary>
    public double WarmupShare { get; init; } = 0.06;

    /// <summary>Share of the tokens to predict, in (0, 1). Default 0.15.</summary>
    public double MaskedShare { get; init; } = 0.15;

    /// <summary>Longer texts are cut to this many tokens. Default 128.</summary>
    public int MaximumLength { get; init; } = 128;

    /// <summary>Seed of order, masks and dropout. Default 0.</summary>
    public int Seed { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LearningRate);
        if (WarmupShare is not (>= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(WarmupShare), WarmupShare, "WarmupShare is in [0, 1).");
        if (MaskedShare is not (> 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(MaskedShare), MaskedShare, "MaskedShare is in (0, 1).");
        ArgumentOutOfRangeException.ThrowIfLessThan(MaximumLength, 3);
    }
}

/// <summary>
/// Goes on with a pretrained encoder's own objective on texts of a domain, then of a task, before finetuning (Gururangan et al. 2020, https://arxiv.org/abs/2004.10964: domain-adaptive and task-adaptive pretraining).
/// No labels are needed. <see cref="Stages.ReadyPlans.DomainThenTask"/> makes it the first stages of a plan.
/// </summary>
public static class FurtherPretraining
{
    /// <summary>Trains on masked tokens and writes the encoder, from which <see cref="Pipelines.TextClassifier.FromPretrained"/> goes on.</summary>
    /// <param name="encoder">The pretrained encoder; its folder should hold a masked-token head, else one is drawn.</param>
    /// <param name="texts">At least one batch of texts.</param>
    /// <param name="folder">Where the encoder is written, whole or not at all.</param>
    /// <param name="settings">How.</param>
    /// <param name="heldOut">Texts to measure on, masks fixed; <c>null</c> measures on none.</param>
    /// <param name="progress">Is told of every step.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <returns>The new encoder, and a point before the first epoch (0) and after each.</returns>
    public static (PretrainedEncoder Encoder, IReadOnlyList<EpochRecord> Curve) Run(PretrainedEncoder encoder, IReadOnlyList<string> texts, string folder, FurtherPretrainingSettings? settings = null,
        IReadOnlyList<string>? heldOut = null, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        settings ??= new();
        settings.Validate();
        using var model = Load(encoder, settings, out var random);
        var curve = Learn(model, encoder.Tokenizer, texts, settings, random, heldOut, progress, cancellation);
        ModelFolder.Write(model, folder, from: encoder.Folder);
        encoder.Tokenizer.Save(folder);
        return (PretrainedEncoder.Open(folder), curve);
    }

    /// <summary>Goes on with a classifier's encoder in place, its masked-token head taken from the folder it came from; the classifier's own head stays as it is.</summary>
    internal static IReadOnlyList<EpochRecord> Learn(TextClassifier classifier, PretrainedEncoder encoder, IReadOnlyList<string> texts, FurtherPretrainingSettings settings, IReadOnlyList<string>? heldOut,
        IProgress<TrainingProgress>? progress, CancellationToken cancellation)
    {
        using var model = Load(encoder, settings, out var random);
        using (var noGradient = no_grad())
            foreach (var (from, to) in Shared(classifier, model)) to.copy_(from);
        var curve = Learn(model, classifier.Tokenizer, texts, settings, random, heldOut, progress, cancellation);
        using (var noGradient = no_grad())
            foreach (var (from, to) in Shared(classifier, model)) from.copy_(to);
        return curve;
    }

    /// <summary>Refuses a classifier whose encoder is not of the folder's shape, naming what differs; no weights are read.</summary>
    internal static void Check(TextClassifier classifier, PretrainedEncoder encoder)
    {
        using var model = AsEncoder(Architectures.Build(encoder.Config, new HeadSettings(ModelHead.MaskedLM), new ModelBuilder(new DropoutMask(), onMeta: true)), encoder);
        foreach (var (from, to) in Shared(classifier, model))
            if (!from.shape.SequenceEqual(to.shape)) throw new ArgumentException($"the encoder in '{encoder.Folder}' has weights of another shape than the classifier's: ({string.Join(", ", to.shape)}) and ({string.Join(", ", from.shape)})");
    }

    private static EncoderModel Load(PretrainedEncoder encoder, FurtherPretrainingSettings settings, out Random random)
    {
        random = Runtime.Seed.Everything(settings.Seed);
        Runtime.MatrixProducts.UseOneDnn();
        return AsEncoder(PretrainedModel.Open(encoder.Folder).Load(new HeadSettings(ModelHead.MaskedLM), dropout: new DropoutMask(settings.Seed)), encoder);
    }

    private static EncoderModel AsEncoder(LanguageModel model, PretrainedEncoder encoder) =>
        model as EncoderModel ?? throw new ArgumentException($"'{encoder.Folder}' holds a {encoder.Config.ModelType} model; masked tokens need an encoder.", nameof(encoder));

    /// <summary>Weights that a classifier and its encoder with a masked-token head have in common.</summary>
    private static IEnumerable<(Parameter From, Parameter To)> Shared(TextClassifier classifier, EncoderModel model)
    {
        var own = classifier.Model.OwnParameters().ToDictionary(p => p.Name, p => p.Parameter, StringComparer.Ordinal);
        foreach (var (name, to) in model.OwnParameters().Where(p => p.Name.StartsWith(model.BasePrefix, StringComparison.Ordinal)))
            yield return own.TryGetValue(name, out var from) ? (from, to) : throw new ArgumentException($"the encoder in '{model.Config.Source}' has '{name}', which the classifier has not");
    }

    private static IReadOnlyList<EpochRecord> Learn(EncoderModel model, Tokenizer tokenizer, IReadOnlyList<string> texts, FurtherPretrainingSettings settings, Random random, IReadOnlyList<string>? heldOut,
        IProgress<TrainingProgress>? progress, CancellationToken cancellation)
    {
        var length = Math.Min(settings.MaximumLength, model.MaximumPositions);
        int[][] Rows(IReadOnlyList<string> some) => [.. tokenizer.EncodeAll(some, length).Where(r => r.Length > 2)];
        var (rows, held) = (Rows(texts), heldOut is null ? null : Rows(heldOut));
        if (rows.Length < settings.BatchSize) throw new ArgumentException($"{rows.Length} texts hold a token; at least a batch of {settings.BatchSize} is needed.", nameof(texts));
        using var optimizer = new Optimizer(model.named_parameters(), new AdamWSettings { Beta2 = 0.98, Epsilon = 1e-6 });
        var total = (rows.Length + settings.BatchSize - 1) / settings.BatchSize * settings.Epochs;
        var schedule = new LinearSchedule((int)(settings.WarmupShare * total), total);
        var (clock, lengths) = (System.Diagnostics.Stopwatch.StartNew(), Array.ConvertAll(rows, r => r.Length));
        MaskedBatch Masked(int[][] some, int[] window, Random draws) => MaskedBatch.Of([.. window.Select(i => some[i])], tokenizer, settings.MaskedShare, draws);
        double? Measured() => held is { Length: > 0 } ? MaskedBatch.HeldOutLoss(model, Array.ConvertAll(held, r => r.Length), 4096, (window, draws) => Masked(held, window, draws)) : null;
        var curve = new List<EpochRecord> { new(0, double.NaN, Measured(), null) };
        for (var epoch = 1; epoch <= settings.Epochs; epoch++)
        {
            model.train();
            var (sum, count) = (0.0, 0L);
            foreach (var window in BatchSampler.Shuffled(lengths, settings.BatchSize, random))
            {
                cancellation.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var masked = Masked(rows, window, random);
                var loss = model.Backward(masked.Loss(model), optimizer.Steps + 1);
                optimizer.Step(settings.LearningRate * schedule.FactorAt(optimizer.Steps));
                (sum, count) = (sum + loss * masked.Targets.Length, count + masked.Targets.Length);
                progress?.Report(new TrainingProgress("masked tokens", optimizer.Steps, total, epoch, sum / count, null, clock.Elapsed, optimizer.Steps == total ? "done" : null));
            }
            curve.Add(new(epoch, sum / count, Measured(), null));
        }
        model.eval();
        return curve;
    }
}
