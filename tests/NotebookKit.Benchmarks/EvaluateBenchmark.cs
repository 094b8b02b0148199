using System.Diagnostics;
using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Runtime;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Benchmarks;

/// <summary>Texts a second of measuring a classifier on the embedded set: from text to loss and accuracy, against TorchSharp eager on batches as they come, padded to their longest.</summary>
internal static class EvaluateBenchmark
{
    public static int Run(int rounds)
    {
        TorchRuntime.EnsureLoaded();
        set_num_threads(Environment.ProcessorCount);
        var encoder = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
        var data = DatasetCatalog.Load("support-intents");
        var all = data.Train.With("all", data.Train.Concat(data.Validation).Concat(data.Test));
        using var classifier = TextClassifier.FromPretrained(encoder, data.Labels, seed: 0);
        using var eager = new EagerEncoder(new StepShape(encoder.Config.Int("num_hidden_layers"), encoder.Config.Int("hidden_size"), 32, 64, encoder.Config.Int("vocab_size"), data.Labels.Count));
        eager.eval();
        var best = new[] { double.MaxValue, double.MaxValue };
        for (var round = 0; round < rounds; round++)
        {
            MatrixProducts.UseOneDnn(false);
            best[0] = Math.Min(best[0], Time(() => Eager(eager, encoder, all)));
            MatrixProducts.UseOneDnn();
            // A text more or less makes it another list, so that its tokens are not remembered.
            best[1] = Math.Min(best[1], Time(() => Finetuner.Measure(classifier, all.With("all", all.Skip(round)))));
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Hardware.Cpu}; {all.Count:N0} texts; TorchSharp eager {all.Count / best[0]:N0} texts/s, here {all.Count / best[1]:N0}: {best[0] / best[1]:F2}x"));
        Kept.Add("evaluate", best[0] / best[1]);
        Kept.Compare();
        return 0;
    }

    private static void Eager(EagerEncoder model, PretrainedEncoder encoder, TextDataset data)
    {
        using var noGradient = no_grad();
        var (labels, loss) = (data.LabelIds(), 0.0);
        foreach (var window in Enumerable.Range(0, data.Count).Chunk(32))
        {
            using var scope = NewDisposeScope();
            var batch = Batch.Pad([.. window.Select(i => encoder.Tokenizer.Encode(data[i].Text, 64))], encoder.Tokenizer.PadId, [.. window.Select(i => (long)labels[i])]);
            loss += F.cross_entropy(model.forward(tensor(batch.Ids, [batch.Rows, batch.Length])), tensor(batch.Labels!)).ToDouble();
        }
        if (!double.IsFinite(loss)) throw new InvalidOperationException("The eager loss is no number.");
    }

    private static double Time(Action action)
    {
        var clock = Stopwatch.StartNew();
        action();
        return clock.Elapsed.TotalSeconds;
    }
}
