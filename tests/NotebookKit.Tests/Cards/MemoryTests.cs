using NotebookKit.Optimizers;
using System.Globalization;
using System.Text.Json.Nodes;
using NotebookKit.Cards;
using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Cards;

/// <summary>Estimates against the peak of resident memory that the kernel counts (Linux: VmHWM after a reset), in networks large enough for the process' own noise not to matter.</summary>
public sealed class MemoryTests
{
    private static readonly CostSettings Costs = new() { Batch = 20, Length = 160 };

    private static readonly Dictionary<string, string> Configs = new()
    {
        ["bert"] = """{"model_type":"bert","architectures":["BertForSequenceClassification"],"vocab_size":6000,"hidden_size":384,"num_hidden_layers":6,"num_attention_heads":8,"intermediate_size":1536,"id2label":{"0":"a","1":"b","2":"c"}}""",
        ["distilbert"] = """{"model_type":"distilbert","architectures":["DistilBertForSequenceClassification"],"vocab_size":6000,"dim":384,"n_layers":7,"n_heads":8,"hidden_dim":1536,"id2label":{"0":"a","1":"b","2":"c"}}""",
        ["gpt2"] = """{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"vocab_size":6000,"n_embd":384,"n_layer":3,"n_head":8}""",
        ["llama"] = """{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":6000,"hidden_size":384,"num_hidden_layers":6,"num_attention_heads":8,"num_key_value_heads":4,"intermediate_size":1024}""",
        ["modernbert"] = """{"model_type":"modernbert","architectures":["ModernBertForSequenceClassification"],"vocab_size":6000,"hidden_size":384,"num_hidden_layers":6,"num_attention_heads":8,"intermediate_size":576,"id2label":{"0":"a","1":"b","2":"c"}}""",
        ["deberta-v2"] = """{"model_type":"deberta-v2","architectures":["DebertaV2ForSequenceClassification"],"vocab_size":6000,"hidden_size":384,"num_hidden_layers":6,"num_attention_heads":8,"intermediate_size":1536,"relative_attention":true,"position_buckets":64,"norm_rel_ebd":"layer_norm","share_att_key":true,"pos_att_type":["p2c","c2p"],"position_biased_input":false,"type_vocab_size":0,"id2label":{"0":"a","1":"b","2":"c"}}""",
        ["bart"] = """{"model_type":"bart","architectures":["BartForConditionalGeneration"],"vocab_size":6000,"d_model":384,"encoder_layers":2,"decoder_layers":2,"encoder_attention_heads":8,"decoder_attention_heads":8,"encoder_ffn_dim":1536,"decoder_ffn_dim":1536,"max_position_embeddings":512,"pad_token_id":1,"decoder_start_token_id":2,"bos_token_id":0,"eos_token_id":2}""",
        ["t5"] = """{"model_type":"t5","architectures":["T5ForConditionalGeneration"],"vocab_size":6000,"d_model":384,"num_layers":2,"num_heads":8,"d_kv":48,"d_ff":1536,"pad_token_id":0,"decoder_start_token_id":0}""",
    };

    [Fact]
    public async Task Estimates_are_within_15_percent_of_what_is_measured()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "peak memory is read from /proc");
        if (!OwnProcess.IsHere) await OwnProcess.RunAsync(nameof(Estimates_are_within_15_percent_of_what_is_measured));
        else
            foreach (var name in Configs.Keys) Measure(name);
    }

    private static void Measure(string name)
    {
        var config = new ConfigJson(name, (JsonObject)JsonNode.Parse(Configs[name])!);
        var estimate = ArchitectureCard.Of(config, name, Costs).Memory;
        LanguageModel? model = null;
        Optimizer? optimizer = null;
        try
        {
            var load = Peak(() => model = Build(config));
            WarmUp(model!);
            var infer = load + Peak(() =>
            {
                using var noGradient = no_grad();
                using var scope = NewDisposeScope();
                model!.eval();
                Loss(model);
            });
            var finetune = load + Peak(() =>
            {
                model!.train();
                optimizer = new Optimizer(model.named_parameters());
                for (var step = 0; step < 2; step++)
                {
                    using var scope = NewDisposeScope();
                    Loss(model).backward();
                    optimizer.Step(1e-4);
                }
            });
            optimizer!.Dispose();
            optimizer = null;
            var lora = load + Lora(model!);
            var report = string.Create(CultureInfo.InvariantCulture, $"{name}: load {load / 1e6:F0} MB (estimated {estimate.Load / 1e6:F0}), infer {infer / 1e6:F0} ({estimate.Infer / 1e6:F0}), finetune {finetune / 1e6:F0} ({estimate.Finetune / 1e6:F0}), LoRA {lora / 1e6:F0} ({estimate.Lora / 1e6:F0})");
            TestContext.Current.TestOutputHelper?.WriteLine(report);
            foreach (var (got, estimated) in new[] { (load, estimate.Load), (infer, estimate.Infer), (finetune, estimate.Finetune), (lora, estimate.Lora) })
                Assert.True(Math.Abs(got - estimated) <= 0.15 * estimated, report);
        }
        finally
        {
            optimizer?.Dispose();
            model?.Dispose();
        }
    }

    /// <summary>Low-rank matrices beside every linear layer of a frozen network (Hu et al. 2021), trained two steps.</summary>
    private static double Lora(LanguageModel model)
    {
        foreach (var (_, parameter) in model.named_parameters()) (parameter.grad, parameter.requires_grad) = (null, false);
        var layers = model.modules().OfType<IAdaptable>().Where(l => l.Kind != LayerKind.Table).ToArray();
        var adapters = new List<LowRank>();
        Optimizer? optimizer = null;
        try
        {
            return Peak(() =>
            {
                foreach (var layer in layers)
                {
                    adapters.Add(new LowRank(layer.Widths, Costs.LoraRank));
                    layer.Adapter = adapters[^1];
                }
                model.train();
                optimizer = new Optimizer(adapters.SelectMany((a, i) => new[] { ($"{i}.a", a.Down), ($"{i}.b", a.Up) }));
                for (var step = 0; step < 2; step++)
                {
                    using var scope = NewDisposeScope();
                    Loss(model).backward();
                    optimizer.Step(1e-4);
                }
            });
        }
        finally
        {
            optimizer?.Dispose();
            foreach (var layer in layers) layer.Adapter = null;
            foreach (var adapter in adapters) adapter.Dispose();
        }
    }

    private sealed class LowRank((long From, long To) widths, int rank) : ILayerAdapter, IDisposable
    {
        public TorchSharp.Modules.Parameter Down { get; } = new(randn(rank, widths.From) * 0.02);

        public TorchSharp.Modules.Parameter Up { get; } = new(zeros(widths.To, rank));

        public Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
        {
            var y = layer(x);
            using var narrow = nn.functional.linear(x, Down);
            using var change = nn.functional.linear(narrow, Up);
            _ = y.add_(change);
            return y;
        }

        public void Dispose()
        {
            Down.Dispose();
            Up.Dispose();
        }
    }

    private static LanguageModel Build(ConfigJson config)
    {
        var build = new ModelBuilder(new DropoutMask());
        var model = Architectures.Build(config, Architectures.HeadOf(config), build);
        build.Initialise();
        return model;
    }

    private static Tensor Loss(LanguageModel model, int batch = 20)
    {
        var ids = randint(3, 5999, [batch, Costs.Length], dtype: ScalarType.Int64);
        return model switch
        {
            EncoderModel encoder => ModelLoss.Of(encoder.Head, encoder.forward(new EncoderInputs(ids)), zeros(batch, dtype: ScalarType.Int64)),
            DecoderModel decoder => ModelLoss.Of(decoder.Head, decoder.forward(new DecoderInputs(ids)), ids),
            EncoderDecoderModel pair => ModelLoss.Of(pair.Head, pair.forward(new EncoderInputs(ids), ids), ids),
            _ => throw new InvalidOperationException(),
        };
    }

    /// <summary>A small step, so that buffers which libtorch takes once for all are there before anything is measured.</summary>
    private static void WarmUp(LanguageModel model)
    {
        using var scope = NewDisposeScope();
        model.train();
        Loss(model, batch: 2).backward();
        foreach (var (_, parameter) in model.named_parameters()) parameter.grad = null;
    }

    /// <summary>Bytes by which resident memory rose at most while something ran.</summary>
    internal static double Peak(Action action)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        _ = MallocTrim(0);                                                    // what others freed goes back to the kernel first
        File.WriteAllText("/proc/self/clear_refs", "5");
        var before = OwnProcess.Memory("VmRSS");
        action();
        return OwnProcess.Memory("VmHWM") - before;
    }

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "malloc_trim")]
    private static extern int MallocTrim(nint pad);
}
