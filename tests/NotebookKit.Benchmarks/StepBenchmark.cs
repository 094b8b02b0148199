using System.Diagnostics;
using System.Globalization;
using NotebookKit.Adapters;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Models.Layers;
using NotebookKit.Optimizers;
using NotebookKit.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Benchmarks;

/// <summary>The shape of an encoder and of its batches.</summary>
internal sealed record StepShape(int Layers, int Width, int Batch, int Length, int Vocabulary = 30_522, int Classes = 2)
{
    public int Heads => Width / 64;

    public override string ToString() => $"{Layers}×{Width}, {Batch} × {Length}";
}

/// <summary>One training step: forward, loss, backward, AdamW, with dropout 0.1. Rounds of all are interleaved, and the best of each counts, so that a noisy neighbour hits all alike.</summary>
internal static class StepBenchmark
{
    private static readonly StepShape[] Shapes = [new(4, 256, 16, 64), new(4, 256, 32, 128), new(6, 512, 16, 64), new(6, 768, 16, 64)];

    /// <summary>What each lever brings: the step with all of them against the step without one, fp32.</summary>
    public static int Levers(int rounds)
    {
        TorchRuntime.EnsureLoaded();
        set_num_threads(Environment.ProcessorCount);
        var shape = Shapes[0];
        Console.WriteLine($"{Hardware.Cpu}; {shape}; times a step takes without one lever, best of {rounds} interleaved rounds");
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using var all = Kit(shape, type);
            using var whole = Kit(shape, type, model => model.ShortensLastLayer = false);
            using var dropout = Kit(shape, type, model => model.Dropout.IsVectorised = false);
            using var mkl = Kit(shape, type, oneDnn: false);
            using var optimizer = Kit(shape, type, torchOptimizer: true);
            var best = Best(rounds, all, whole, dropout, mkl, optimizer);
            foreach (var (name, time) in new[] { "last layer at the first token alone", "dropout masks in vectors", "fp32 products by oneDNN", "AdamW in one pass" }.Zip(best.Skip(1)))
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{type,-8} without {name,-36} {time / best[0]:F2}x"));
            foreach (var (name, time) in Unfused(shape, type, rounds))
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{type,-8} {name,-44} {100 * time / best[0]:F1} % of the step: the most that a kernel of our own could bring"));
        }
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
            foreach (var (batch, heads, length) in new[] { (16, 4, 64), (32, 4, 128), (4, 8, 512) })
            {
                using var own = Attend(type, batch, heads, length, (q, k, v) => Attention.Attend(q, k, v, null, 0.125));
                using var fused = Attend(type, batch, heads, length, (q, k, v) => F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1));
                var best = Best(rounds, own, fused);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{type,-8} attention there and back, {batch} × {heads} heads × {length}: two products and a softmax {best[0] / Repeats:F2} ms, libtorch's fused attention {best[1] / Repeats:F2} ms ({best[1] / best[0]:F2}x)"));
            }
        return 0;
    }

    /// <summary>Milliseconds a step that operations take which stay libtorch's, there and back.</summary>
    private static IEnumerable<(string Name, double Milliseconds)> Unfused(StepShape shape, ScalarType type, int rounds)
    {
        var (rows, width) = (shape.Batch * shape.Length, shape.Width);
        Tensor Fresh(params long[] size) => randn(size).to(type).requires_grad_(true);
        var (wide, narrow, table, weight, bias) = (Fresh(rows, 4 * width), Fresh(rows, width), Fresh(shape.Vocabulary, width), Fresh(width), Fresh(width));
        var (wideGradient, gradient, ids) = (wide.detach().clone(), narrow.detach().clone(), randint(0, shape.Vocabulary, [rows], dtype: ScalarType.Int64));
        Contender Of(Action operation) => new(() => MatrixProducts.UseOneDnn(), () =>
        {
            using var scope = NewDisposeScope();
            operation();
            foreach (var one in new[] { wide, narrow, table, weight, bias }) one.grad = null;
        });
        var best = Best(2 * rounds,
            Of(() => F.gelu(wide).backward([wideGradient])),
            Of(() => F.layer_norm(narrow, [width], weight, bias, 1e-12).backward([gradient])),
            Of(() => gradient.sum([0L])), Of(() => wideGradient.sum([0L])),
            Of(() => table.index_select(0, ids).backward([gradient])));
        foreach (var one in new[] { wide, narrow, table, weight, bias, wideGradient, gradient, ids }) one.Dispose();
        return [("GELU", shape.Layers * best[0]), ("layer norms", (2 * shape.Layers + 1) * best[1]), ("gradients of biases", shape.Layers * (5 * best[2] + best[3])), ("the gradient of the word table", best[4])];
    }

    /// <summary>Attentions that are timed together.</summary>
    private const int Repeats = 10;

    private static Contender Attend(ScalarType type, int batch, int heads, int length, Func<Tensor, Tensor, Tensor, Tensor> attend)
    {
        var (q, k, v) = (Fresh(), Fresh(), Fresh());
        var weights = rand(batch, length, heads * 64).to(type);
        return new Contender(() => MatrixProducts.UseOneDnn(true), () =>
        {
            using var scope = NewDisposeScope();
            for (var i = 0; i < Repeats; i++) (attend(q, k, v) * weights).sum().backward();
            foreach (var one in new[] { q, k, v }) one.grad = null;
        }, q, k, v, weights);

        Tensor Fresh() => randn(batch, heads, length, 64).to(type).requires_grad_(true);
    }

    /// <summary>What a step with an adapter costs, as a share of full finetuning's, fp32.</summary>
    public static int Adapters(int rounds)
    {
        TorchRuntime.EnsureLoaded();
        set_num_threads(Environment.ProcessorCount);
        Console.WriteLine($"{Hardware.Cpu}, {get_num_threads()} threads; time of a step as a share of full finetuning's, best of {rounds} interleaved rounds");
        (string Name, AdapterSettings Settings)[] methods =
        [
            ("LoRA, rank 8, all linear", new LoraSettings()), ("LoRA, rank 8, query and value", new LoraSettings { Targets = ModulePattern.Named("query", "value") }), ("DoRA, rank 8, all linear", new LoraSettings { DecomposesWeights = true }),
            ("(IA)³", new Ia3Settings()), ("BitFit", new BitFitSettings()), ("bottleneck, 32 wide", new BottleneckSettings()),
        ];
        foreach (var shape in new[] { Shapes[0], Shapes[3] })
        {
            var contenders = methods.Select(m => Kit(shape, ScalarType.Float32, model => Adapter.Add(model, m.Settings))).Prepend(Kit(shape, ScalarType.Float32)).ToArray();
            var best = Best(rounds, contenders);
            foreach (var ((name, _), time) in methods.Zip(best.Skip(1)))
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{shape,-18} {name,-32} {100 * time / best[0],4:F0} %"));
                Kept.Add($"adapter {shape} {name}", best[0] / time);
            }
            foreach (var contender in contenders) contender.Dispose();
        }
        Kept.Compare();
        return 0;
    }

    public static int Run(bool quick, int rounds)
    {
        TorchRuntime.EnsureLoaded();
        set_num_threads(Environment.ProcessorCount);
        Console.WriteLine($"{Hardware.Cpu}, {get_num_threads()} threads; milliseconds a step, best of {rounds} interleaved rounds; baseline: TorchSharp eager with its own AdamW");
        var last = "";
        foreach (var shape in quick ? Shapes[..1] : Shapes)
        {
            using var eager = Eager(shape);
            using var fp32 = Kit(shape, ScalarType.Float32);
            using var bf16 = Kit(shape, ScalarType.BFloat16);
            var best = Best(rounds, eager, fp32, bf16);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{shape,-18} eager {best[0],7:F1}   fp32 {best[1],7:F1}  {best[0] / best[1]:F2}x   bf16 {best[2],7:F1}  {best[0] / best[2]:F2}x"));
            Kept.Add($"step {shape} fp32", best[0] / best[1]);
            Kept.Add($"step {shape} bf16", best[0] / best[2]);
            if (last.Length == 0) last = string.Create(CultureInfo.InvariantCulture, $"step ratio fp32 {best[0] / best[1]:F2} bf16 {best[0] / best[2]:F2}");
        }
        Kept.Compare();
        Console.WriteLine(last);
        return 0;
    }

    private static double[] Best(int rounds, params Contender[] contenders)
    {
        foreach (var contender in contenders)
            for (var i = 0; i < 3; i++) contender.Step();
        var best = contenders.Select(_ => double.MaxValue).ToArray();
        for (var round = 0; round < rounds; round++)
            for (var c = 0; c < contenders.Length; c++)
            {
                contenders[c].Prepare();
                contenders[c].Step();
                var clock = Stopwatch.StartNew();
                contenders[c].Step();
                best[c] = Math.Min(best[c], clock.Elapsed.TotalMilliseconds);
            }
        return best;
    }

    private static Contender Eager(StepShape shape)
    {
        MatrixProducts.UseOneDnn(false);
        var model = new EagerEncoder(shape);
        model.train();
        var optimizer = optim.AdamW(model.parameters(), 2e-5);
        var (ids, labels) = Data(shape);
        return new Contender(() => MatrixProducts.UseOneDnn(false), () =>
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            F.cross_entropy(model.forward(ids), labels).backward();
            optimizer.step();
        }, model, optimizer, ids, labels);
    }

    private static Contender Kit(StepShape shape, ScalarType type, Action<Bert>? without = null, bool oneDnn = true, bool torchOptimizer = false)
    {
        var config = new BertConfig { VocabularySize = shape.Vocabulary, HiddenSize = shape.Width, Layers = shape.Layers, Heads = shape.Heads, IntermediateSize = 4 * shape.Width, AttentionDropout = 0 };
        var build = new ModelBuilder(new DropoutMask());
        var model = new Bert(new ConfigJson("benchmark", config.ToJson("BertForSequenceClassification", ["a", "b"])), new HeadSettings(ModelHead.SequenceClassification, 2), build);
        build.Initialise();
        if (type == ScalarType.BFloat16) model.ComputeIn(type);
        model.train();
        without?.Invoke(model);
        var optimizer = new Optimizer(model.named_parameters());
        var plain = torchOptimizer ? optim.AdamW(model.parameters(), 2e-5) : null;
        var (ids, labels) = Data(shape);
        return new Contender(() => MatrixProducts.UseOneDnn(oneDnn), () =>
        {
            using var scope = NewDisposeScope();
            plain?.zero_grad();
            using var inputs = new EncoderInputs(ids, attentionType: type);
            F.cross_entropy(model.forward(inputs).to(ScalarType.Float32), labels).backward();
            if (plain is null) optimizer.Step(2e-5);
            else plain.step();
        }, model, optimizer, ids, labels);
    }

    private static (Tensor Ids, Tensor Labels) Data(StepShape shape) =>
        (randint(0, shape.Vocabulary, [shape.Batch, shape.Length], dtype: ScalarType.Int64), randint(0, 2, [shape.Batch], dtype: ScalarType.Int64));

    private sealed class Contender(Action prepare, Action step, params IDisposable[] owned) : IDisposable
    {
        public Action Prepare => prepare;

        public Action Step => step;

        public void Dispose()
        {
            foreach (var one in owned) one.Dispose();
        }
    }
}
