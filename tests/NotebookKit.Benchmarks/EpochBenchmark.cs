using System.Diagnostics;
using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Evaluation;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Runtime;
using NotebookKit.Tracking;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Benchmarks;

/// <summary>
/// Finetuning all-MiniLM-L6-v2 on banking77 at ten examples per class: the usual recipe (random head on the pooler, AdamW 2e-4, linear, batch 32, 20 epochs) against the same steps
/// by TorchSharp eager, whose batches are drawn at random and padded to their longest, as people write it; then the kit's own recipe, against the frozen probe.
/// </summary>
internal static class EpochBenchmark
{
    private const string Model = "sentence-transformers/all-MiniLM-L6-v2";

    /// <param name="full">All examples and three epochs, without the eager run, instead of ten examples per class.</param>
    /// <param name="seeds">More than one: accuracies alone, at ten per class, over as many draws with intervals.</param>
    /// <param name="file">Examples to learn from in place of a draw, with the columns text and label.</param>
    public static int Run(bool full = false, int seeds = 1, string? file = null)
    {
        TorchRuntime.EnsureLoaded();
        if (ModelCache.TryFind(Model) is not { } folder || !DatasetCatalog.IsPresent("banking77"))
        {
            Console.WriteLine($"needs {Model} and banking77: nbkit download {Model}; nbkit download banking77");
            return 1;
        }
        set_num_threads(Environment.ProcessorCount);
        var (encoder, data) = (PretrainedEncoder.Open(folder), DatasetCatalog.Load("banking77"));
        // All that is not the test part is what the draw is from, as in the anchor.
        var pool = data.Train.With("banking77", data.Train.Concat(data.Validation));
        var train = file is not null ? pool.With(Path.GetFileName(file), DatasetReader.Read(file)) : full ? pool : pool.SamplePerClass(10, seed: 0);
        Console.WriteLine($"{Hardware.Cpu}, {get_num_threads()} threads; {train.Count} examples, {data.Test.Count:N0} test examples");
        Waste(encoder, pool);

        var usual = new FinetuneSettings { Epochs = full ? 3 : 20, BatchSize = 32, LearningRate = 2e-4, HeadStart = HeadStart.Random };
        var precision = MatrixProducts.BFloat16IsFast ? TrainingPrecision.BFloat16 : TrainingPrecision.Float32;
        var recipe = new FinetuneSettings { Epochs = full ? 3 : 8, LearningRate = 1e-4, Precision = precision };
        if (seeds > 1) return Draws(encoder, data with { Train = pool }, usual, recipe, seeds);
        var eager = full ? double.NaN : Eager(encoder, train, usual.Epochs);
        if (!full) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"eager, random batches",-42} {eager,7:F1} s  (one epoch measured, times {usual.Epochs})"));
        Show("the same recipe, fp32", usual, Pooling.Pooler);
        if (!full) Show("the same recipe, bf16", usual with { Precision = TrainingPrecision.BFloat16 }, Pooling.Pooler);
        Show("frozen probe", usual with { Trained = Trained.HeadOnly }, Pooling.Mean);
        Show($"probe, then all (the kit's recipe), {(precision == TrainingPrecision.Float32 ? "fp32" : "bf16")}", recipe, Pooling.Mean);
        Kept.Compare();
        return 0;

        void Show(string name, FinetuneSettings settings, Pooling pooling)
        {
            using var classifier = TextClassifier.FromPretrained(encoder, train.Labels, seed: 0, pooling);
            var clock = Stopwatch.StartNew();
            new Finetuner(settings).Run(classifier, train);
            var seconds = clock.Elapsed.TotalSeconds;
            if (!full) Kept.Add($"epoch {name}", eager / seconds);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-42} {seconds,7:F1} s{(full ? "" : $"  {100 * seconds / eager,5:F1} % of eager")}   test accuracy {100 * Finetuner.Measure(classifier, data.Test).Accuracy:F1} %"));
        }
    }

    private static int Draws(PretrainedEncoder encoder, DatasetSplits data, FinetuneSettings usual, FinetuneSettings recipe, int seeds)
    {
        var study = new LearningCurveStudy(data, [("the same recipe", By(usual, Pooling.Pooler)), ("the same, batches as drawn", By(usual with { PoolBatches = 1 }, Pooling.Pooler)), ("frozen probe", By(usual with { Trained = Trained.HeadOnly }, Pooling.Mean)), ("probe, then all", By(recipe, Pooling.Mean))], [10], seeds)
            .Run(new TerminalProgress());
        Console.WriteLine(study.AsTable().ToText());
        Console.WriteLine(study.Compare("probe, then all", "frozen probe", 10).ToText());
        Console.WriteLine(study.Compare("probe, then all", "the same recipe", 10).ToText());
        return 0;

        LearningMethod By(FinetuneSettings settings, Pooling pooling) => (train, test, seed) =>
        {
            using var classifier = TextClassifier.FromPretrained(encoder, train.Labels, seed, pooling);
            new Finetuner(settings with { Seed = seed }).Run(classifier, train);
            return Finetuner.Measure(classifier, test).Accuracy;
        };
    }

    /// <summary>Share of padding among the tokens of an epoch.</summary>
    private static void Waste(PretrainedEncoder encoder, TextDataset data)
    {
        var lengths = data.Texts.Select(t => encoder.Tokenizer.Encode(t, 64).Length).ToArray();
        double Share(int[][] batches) => 1 - lengths.Sum() / (double)batches.Sum(b => b.Length * b.Max(i => lengths[i]));
        var order = Enumerable.Range(0, lengths.Length).ToArray();
        new Random(0).Shuffle(order);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"padding in an epoch of all {data.Count:N0} examples: {100 * Share(BatchSampler.Shuffled(lengths, 32, new Random(0))):F1} % in batches of like length, {100 * Share([.. order.Chunk(32)]):F1} % in random ones"));
    }

    private static double Eager(PretrainedEncoder encoder, TextDataset train, int epochs)
    {
        MatrixProducts.UseOneDnn(false);
        var shape = new StepShape(encoder.Config.Int("num_hidden_layers"), encoder.Config.Int("hidden_size"), 32, 64, encoder.Config.Int("vocab_size"), train.Labels.Count);
        using var model = new EagerEncoder(shape);
        model.train();
        using var optimizer = optim.AdamW(model.parameters(), 2e-4);
        var rows = train.Texts.Select(t => encoder.Tokenizer.Encode(t, 64)).ToArray();
        var labels = train.LabelIds();
        var order = Enumerable.Range(0, rows.Length).ToArray();
        new Random(0).Shuffle(order);
        var seconds = 0.0;
        foreach (var timed in new[] { false, true })
        {
            var clock = Stopwatch.StartNew();
            foreach (var window in timed ? order.Chunk(32) : order.Chunk(32).Take(3))
            {
                using var scope = NewDisposeScope();
                var batch = Batch.Pad([.. window.Select(i => rows[i])], encoder.Tokenizer.PadId, [.. window.Select(i => (long)labels[i])]);
                optimizer.zero_grad();
                F.cross_entropy(model.forward(tensor(batch.Ids, [batch.Rows, batch.Length])), tensor(batch.Labels!)).backward();
                nn.utils.clip_grad_norm_(model.parameters(), 1.0);
                optimizer.step();
            }
            seconds = clock.Elapsed.TotalSeconds;
        }
        MatrixProducts.UseOneDnn();
        return seconds * epochs;
    }
}
