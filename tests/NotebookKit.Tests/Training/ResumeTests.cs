using System.Diagnostics;
using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Optimizers;
using NotebookKit.Pipelines;
using NotebookKit.Schedules;
using NotebookKit.Tracking;
using NotebookKit.Training;
using NotebookKit.Training.Runs;

namespace NotebookKit.Tests.Training;

/// <summary>Expected: what the same run gives that nobody ended, bit for bit.</summary>
public sealed class ResumeTests : IDisposable
{
    private const string Mark = "NOTEBOOKKIT_TEST_RESUME";
    private readonly TemporaryFolder _folder = TestData.NewFolder();

    private static readonly FinetuneSettings Settings = new()
    {
        Epochs = 6, BatchSize = 4, LearningRate = 2e-3, HeadStart = HeadStart.Random, AverageDecay = 0.9, LayerDecay = 0.9, Schedule = ScheduleShape.Cosine, Optimizer = new AdamWSettings { IsAmsGrad = true },
        Objective = new ClassificationObjective { LabelSmoothing = 0.1, Weighting = ClassWeighting.Balanced, RDropAlpha = 0.5 },
    };

    [Theory]
    [InlineData(TrainingPrecision.Float32)]
    [InlineData(TrainingPrecision.BFloat16)]
    [InlineData(TrainingPrecision.Float32, true)]
    public void A_cancelled_run_goes_on_and_ends_as_if_it_had_not_been(TrainingPrecision precision, bool mixes = false)
    {
        var start = Settings with { Precision = precision };
        if (mixes) start = start with { SoupSize = 3, Dropout = 0.2, RecomputesLayers = true, Objective = new ClassificationObjective { MixupAlpha = 0.4, TokenCutoff = 0.2 } };
        var whole = Run(start);
        var settings = start with { Checkpoints = new CheckpointSettings(_folder["run"]) { EverySteps = 3 } };
        for (var stopAt = 4; ; stopAt += 5)
        {
            using var cancel = new CancellationTokenSource();
            var told = new Listener(p => { if (p.Step >= stopAt && p.Phase == "finetune") cancel.Cancel(); });
            try
            {
                Assert.Equal(whole, Run(settings, told, cancel.Token));
                break;
            }
            catch (OperationCanceledException) { Assert.InRange(Directory.GetFiles(_folder["run"]).Length, 1, 2); }
        }
        Assert.Equal(whole, Run(settings));                                   // a run that is done is not done again
    }

    /// <summary>Fifty processes are killed without warning at random moments, one after the other; the last ends the run.</summary>
    [Fact]
    public async Task A_run_killed_at_fifty_random_moments_ends_bit_for_bit_as_one_never_killed()
    {
        var settings = Settings with { Epochs = 200, Checkpoints = new CheckpointSettings(Environment.GetEnvironmentVariable(Mark) ?? _folder["run"]) { EverySteps = 1 } };
        var (run, result) = (settings.Checkpoints.Folder, settings.Checkpoints.Folder + ".result");
        if (Environment.GetEnvironmentVariable(Mark) is not null)
        {
            // Slow enough to be hit: the machine's speed does not decide how many moments there are.
            File.WriteAllText(result, Run(settings, new Listener(_ => Thread.Sleep(12))));
            return;
        }
        var random = new Random(0);
        for (var kills = 0; kills < 50; kills++)
        {
            using var process = Start(run);
            var began = await BeganAsync(process, run);
            await Task.Delay(random.Next(0, 90), TestContext.Current.CancellationToken);
            Assert.True(began, "the process ended before it was killed: the run is too short for fifty moments");
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.False(File.Exists(result));
        }
        using var last = Start(run);
        await last.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(Run(settings with { Checkpoints = null }), await File.ReadAllTextAsync(result, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_damaged_checkpoint_falls_back_to_the_one_before_and_says_so()
    {
        var whole = Run(Settings);
        var settings = Settings with { Checkpoints = new CheckpointSettings(_folder["run"]) { EverySteps = 2 } };
        Run(settings);
        var files = Directory.GetFiles(_folder["run"]).Order().ToArray();
        Assert.Equal(2, files.Length);
        var bytes = File.ReadAllBytes(files[1]);
        bytes[^7] ^= 1;                                                       // one bit
        File.WriteAllBytes(files[1], bytes);
        var messages = new List<string>();
        Assert.Equal(whole, Run(settings, new Listener(p => messages.Add(p.Message ?? ""))));
        Assert.Contains(messages, m => m.Contains(Path.GetFileName(files[1]), StringComparison.Ordinal) && m.Contains("damaged", StringComparison.Ordinal) && m.Contains("goes on from step", StringComparison.Ordinal));

        foreach (var file in Directory.GetFiles(_folder["run"])) File.WriteAllBytes(file, bytes[..100]);
        Assert.Contains("No checkpoint", Assert.Throws<InvalidDataException>(() => Run(settings)).Message);
    }

    [Fact]
    public void Another_run_in_the_folder_and_a_folder_that_cannot_be_are_refused()
    {
        var settings = Settings with { Epochs = 1, Checkpoints = new CheckpointSettings(_folder["run"]) };
        Run(settings);
        Assert.Contains("another run", Assert.Throws<InvalidOperationException>(() => Run(settings with { LearningRate = 1e-3 })).Message);
        File.WriteAllText(_folder["file"], "");
        Assert.Contains("Choose another folder", Assert.Throws<IOException>(() => Run(settings with { Checkpoints = new CheckpointSettings(Path.Combine(_folder["file"], "run")) })).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Run(settings with { Checkpoints = new CheckpointSettings(_folder["x"]) { KeepLast = 0 } }));
    }

    [Fact]
    public void A_disk_that_is_full_does_not_end_the_run()
    {
        var whole = Run(Settings);
        var (messages, folder) = (new List<string>(), _folder["run"]);
        var told = new Listener(p =>
        {
            messages.Add(p.Message ?? "");
            if (p.Step == 5 && Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            if (p.Step == 5) File.WriteAllText(folder, "in the way");         // from here on every write fails
        });
        Assert.Equal(whole, Run(Settings with { Checkpoints = new CheckpointSettings(folder) { EverySteps = 2 } }, told));
        Assert.Contains(messages, m => m.Contains("could not be written", StringComparison.Ordinal) && m.Contains("Training goes on", StringComparison.Ordinal));
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>Trains from the same start and answers with a hash of all weights, and the history.</summary>
    private static string Run(FinetuneSettings settings, IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, FinetunerTests.Animals.Labels, seed: 3);
        var history = new Finetuner(settings).Run(classifier, FinetunerTests.Animals, FinetunerTests.Animals, progress, cancellation);
        return TensorHash.Of(classifier.Model.named_parameters().Select(p => KeyValuePair.Create(p.name, (TorchSharp.torch.Tensor)p.parameter)),
            string.Join('\n', history.Epochs.Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Epoch} {e.TrainLoss:R} {e.ValidationLoss:R} {e.ValidationAccuracy:R}")).Append($"{history.BestEpoch} {history.Steps}")));
    }

    private static Process Start(string run)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(ResumeTests).Assembly.Location);
        foreach (var argument in new[] { "--filter-method", $"*{nameof(A_run_killed_at_fifty_random_moments_ends_bit_for_bit_as_one_never_killed)}" }) start.ArgumentList.Add(argument);
        start.Environment[Mark] = run;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    /// <summary>Waits for the first checkpoint of this process.</summary>
    private static async Task<bool> BeganAsync(Process process, string run)
    {
        string Newest() => Directory.Exists(run) ? Directory.GetFiles(run, "step-*.safetensors").Order().LastOrDefault() ?? "" : "";
        var before = Newest();
        while (!process.HasExited)
        {
            if (Newest() != before) return true;
            await Task.Delay(3, TestContext.Current.CancellationToken);
        }
        return false;
    }
}
