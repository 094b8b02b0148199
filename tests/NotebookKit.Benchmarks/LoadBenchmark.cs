using System.Diagnostics;
using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Benchmarks;

/// <summary>Milliseconds to load 250 MB of weights that lie in the file cache: safetensors here, against TorchSharp's own format and its own loader, into tensors of the same shapes.</summary>
internal static class LoadBenchmark
{
    private const int Tensors = 60, Rows = 1024, Columns = 1024;

    public static int Run(int rounds)
    {
        TorchRuntime.EnsureLoaded();
        var folder = Directory.CreateTempSubdirectory("notebookkit-load-").FullName;
        var (ours, theirs) = (Path.Combine(folder, "model.safetensors"), Path.Combine(folder, "model.dat"));
        try
        {
            using var module = new Weights();
            SafetensorsWriter.Write(ours, module.named_parameters().Select(p => KeyValuePair.Create(p.name, (Tensor)p.parameter)));
            module.save(theirs);
            var best = new[] { double.MaxValue, double.MaxValue };
            for (var round = 0; round < rounds; round++)
            {
                best[0] = Math.Min(best[0], Time(() => module.load(theirs)));
                best[1] = Math.Min(best[1], Time(() =>
                {
                    using var noGradient = no_grad();
                    using var file = SafetensorsFile.Open(ours);
                    foreach (var (name, parameter) in module.named_parameters())
                    {
                        using var read = file.Read(name);
                        parameter.copy_(read);
                    }
                }));
            }
            var megabytes = Tensors * Rows * Columns * 4.0 / 1e6;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Hardware.Cpu}; {megabytes:F0} MB; TorchSharp's load {best[0]:F0} ms, safetensors {best[1]:F0} ms: {best[0] / best[1]:F2}x"));
            Kept.Add("load", best[0] / best[1]);
            Kept.Compare();
            return 0;
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    private static double Time(Action action)
    {
        var clock = Stopwatch.StartNew();
        action();
        return clock.Elapsed.TotalMilliseconds;
    }

    private sealed class Weights : nn.Module
    {
        public Weights() : base(nameof(Weights))
        {
            for (var i = 0; i < Tensors; i++) register_parameter($"layer{i}", new TorchSharp.Modules.Parameter(randn(Rows, Columns)));
        }
    }
}
