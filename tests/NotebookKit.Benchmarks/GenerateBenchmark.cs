using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text.Json.Nodes;
using NotebookKit.Generation;
using NotebookKit.Generation.Decoding;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Benchmarks;

/// <summary>
/// Tokens a second of greedy decoding, one sequence and eight, against the same model by libtorch's operations with a cache, and as a share of what memory allows: tokens/s × bytes of weights ÷ read bandwidth,
/// measured here on as many threads.
/// </summary>
internal static unsafe class GenerateBenchmark
{
    private const int Prompt = 16, Tokens = 48;

    public static int Run(int rounds)
    {
        TorchRuntime.EnsureLoaded();
        set_num_threads(Environment.ProcessorCount);
        var bandwidth = ReadBandwidth();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Hardware.Cpu}, {get_num_threads()} threads; memory read {bandwidth / 1e9:F1} GB/s; tokens a second, best of {rounds} interleaved rounds; baseline: libtorch's operations with a cache"));
        foreach (var (type, layers, width) in new[] { ("gpt2", 6, 512), ("llama", 6, 512), ("gpt2", 12, 768) })
        {
            using var model = Build(type, layers, width);
            foreach (var sequences in new[] { 1, 8 })
            {
                var settings = new GenerationSettings { MaximumNewTokens = Tokens };
                var contenders = new[] { settings with { UseEngine = false }, settings, settings with { Weights = DecodingWeights.BFloat16 }, settings with { Weights = DecodingWeights.Int8 } };
                var best = new double[contenders.Length];
                for (var round = 0; round < rounds; round++)
                    for (var c = 0; c < contenders.Length; c++)
                        best[c] = Math.Max(best[c], Speed(model, contenders[c], sequences));
                for (var c = 1; c < contenders.Length; c++)
                {
                    var (name, format) = (new[] { "", "fp32", "bf16", "int8" }[c], contenders[c].Weights);
                    using var engine = DecodingEngine.TryMake(model, format)!;
                    var share = best[c] / sequences * engine.Bytes / bandwidth;
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{type,-5} {layers}×{width}, {sequences} sequence{(sequences == 1 ? " " : "s")}  {name}   {best[c],7:F0}   {best[c] / best[0],5:F1}x of {best[0]:F0}   {100 * share,4:F0} % of what memory allows"));
                    Kept.Add($"generate {type} {layers}×{width} {sequences} {name}", best[c] / best[0]);
                    Kept.Add($"generate {type} {layers}×{width} {sequences} {name} share of bandwidth", share);
                }
            }
        }
        Kept.Compare();
        return 0;
    }

    /// <summary>Tokens a second after the first, which reads the prompt and lays out the weights.</summary>
    private static double Speed(LanguageModel model, GenerationSettings settings, int sequences)
    {
        var random = new Random(1);
        var prompts = Enumerable.Range(0, sequences).Select(_ => Enumerable.Range(0, Prompt).Select(_ => random.Next(5, 5000)).ToArray()).ToArray();
        var (clock, first, last) = (Stopwatch.StartNew(), TimeSpan.Zero, TimeSpan.Zero);
        var told = 0;
        SequenceGenerator.Run(model, prompts, settings, new Told(_ =>
        {
            if (++told == sequences) first = clock.Elapsed;
            last = clock.Elapsed;
        }));
        return sequences * (Tokens - 1) / (last - first).TotalSeconds;
    }

    private static LanguageModel Build(string type, int layers, int width)
    {
        var json = type == "gpt2"
            ? $$"""{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"vocab_size":50257,"n_embd":{{width}},"n_layer":{{layers}},"n_head":{{width / 64}}}"""
            : $$"""{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":32000,"hidden_size":{{width}},"num_hidden_layers":{{layers}},"num_attention_heads":{{width / 64}},"num_key_value_heads":{{width / 64}},"intermediate_size":{{width * 8 / 3 / 64 * 64}}}""";
        var config = new ConfigJson("benchmark", (JsonObject)JsonNode.Parse(json)!);
        var build = new ModelBuilder(new DropoutMask());
        var model = Architectures.Build(config, Architectures.HeadOf(config), build);
        build.Initialise();
        model.eval();
        return model;
    }

    /// <summary>Bytes a second that all threads read together from memory far larger than any cache.</summary>
    private static double ReadBandwidth()
    {
        const long Bytes = 1L << 30;
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)Bytes, 64);
        NativeMemory.Fill(memory, (nuint)Bytes, 1);
        var threads = Environment.ProcessorCount;
        var best = 0.0;
        for (var round = 0; round < 6; round++)
        {
            var clock = Stopwatch.StartNew();
            var sums = new ulong[threads * 16];
            Parallel.For(0, threads, t =>
            {
                var (a, b, c, d) = (Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
                for (byte* at = memory + Bytes / threads * t, end = memory + Bytes / threads * (t + 1); at < end; at += 256)
                {
                    if (Sse.IsSupported)
                        for (var line = 0; line < 4; line++) Sse.Prefetch0(at + 4096 + 64 * line);
                    a += Vector512.Load((ulong*)at);
                    b += Vector512.Load((ulong*)(at + 64));
                    c += Vector512.Load((ulong*)(at + 128));
                    d += Vector512.Load((ulong*)(at + 192));
                }
                sums[t * 16] = Vector512.Sum(a + b + c + d);
            });
            if (sums.All(s => s == 0)) throw new InvalidOperationException("Nothing was read.");
            best = Math.Max(best, Bytes / clock.Elapsed.TotalSeconds);
        }
        NativeMemory.AlignedFree(memory);
        return best;
    }

    private sealed class Told(Action<GeneratedToken> tell) : IProgress<GeneratedToken>
    {
        public void Report(GeneratedToken value) => tell(value);
    }
}
