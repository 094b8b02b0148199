using NotebookKit.Checkpoints;
using NotebookKit.Models;
using NotebookKit.Tests.Cards;
using static TorchSharp.torch;

namespace NotebookKit.Tests.Models;

/// <summary>What is written must be what the reference wrote: the same keys, shapes, types and bytes as in its own files, so that it loads them as its own.</summary>
public sealed class ModelFolderTests
{
    public static TheoryData<string> Checkpoints => new(Directory.EnumerateDirectories(TestData.Fixture("checkpoints", "tiny")).Select(f => Path.GetFileName(f)!).Order());

    [Theory, MemberData(nameof(Checkpoints))]
    public void A_model_that_is_loaded_and_saved_is_the_reference_s_own_file(string name)
    {
        var source = TestData.Fixture("checkpoints", "tiny", name);
        using var folder = TestData.NewFolder();
        using (var model = PretrainedModel.Open(source).Load()) ModelFolder.Write(model, folder.Path, source);

        using var original = Checkpoint.Open(source);
        using var saved = Checkpoint.Open(folder.Path);
        Assert.Equal(original.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), saved.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        foreach (var tensor in original.Tensors)
        {
            Assert.Equal(tensor.DataType, saved[tensor.Name].DataType);
            using Tensor before = original.Read(tensor.Name), after = saved.Read(tensor.Name);
            Assert.True(before.Equals(after), tensor.Name);
        }
        var (first, second) = (ConfigJson.Load(source), ConfigJson.Load(folder.Path));
        Assert.Equal(first.ModelType, second.ModelType);
        Assert.Equal(first.ClassName, second.ClassName);
        Assert.Equal(first.LabelCount, second.LabelCount);
        Assert.Empty(Directory.EnumerateFiles(folder.Path, "*.tmp"));
    }

    [Theory]
    [InlineData(ScalarType.BFloat16, "BF16")]
    [InlineData(ScalarType.Float16, "F16")]
    public void Weights_can_be_held_and_stored_in_half_precision(ScalarType type, string stored)
    {
        var source = TestData.Fixture("checkpoints", "tiny", "llama-gqa");
        using var folder = TestData.NewFolder();
        using var model = PretrainedModel.Open(source).Load(type: type);
        Assert.All(model.Parameters(), p => Assert.Equal(type, p.Parameter.dtype));
        ModelFolder.Write(model, folder.Path);
        using var saved = Checkpoint.Open(folder.Path);
        Assert.All(saved.Tensors, t => Assert.Equal(stored, t.DataType));
        using var exact = PretrainedModel.Open(source).Load();
        using var again = PretrainedModel.Open(folder.Path).Load();
        foreach (var ((name, a), (_, b)) in exact.Stored().Zip(again.Stored())) Assert.True(a.to(type).to(ScalarType.Float32).Equals(b), name);   // rounded once, as libtorch rounds
    }

    [Fact]
    public void The_hash_names_the_weights_whatever_the_shards()
    {
        var source = TestData.Fixture("checkpoints", "tiny", "llama-sharded");
        using var folder = TestData.NewFolder();
        string Hash(string from)
        {
            using var model = PretrainedModel.Open(from).Load(out var report, withHash: true);
            return report.Hash;
        }
        using (var model = PretrainedModel.Open(source).Load()) ModelFolder.Write(model, folder.Path);
        Assert.Matches("^[0-9a-f]{64}$", Hash(source));
        Assert.Equal(Hash(source), Hash(folder.Path));
        Assert.NotEqual(Hash(source), Hash(TestData.Fixture("checkpoints", "tiny", "llama-gqa")));
    }

    /// <summary>Weights in memory are fp32 whatever the file holds; the limit is the kit's own promise.</summary>
    [Fact]
    public async Task Loading_takes_little_more_than_the_weights()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "peak memory is read from /proc");
        if (!OwnProcess.IsHere) await OwnProcess.RunAsync(nameof(Loading_takes_little_more_than_the_weights));
        else
            foreach (var stored in new ScalarType?[] { null, ScalarType.BFloat16 }) MeasureLoading(stored);
    }

    private static void MeasureLoading(ScalarType? stored)
    {
        using var folder = TestData.NewFolder();
        var config = new ConfigJson("test", (System.Text.Json.Nodes.JsonObject)System.Text.Json.Nodes.JsonNode.Parse(
            """{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"vocab_size":20000,"n_embd":640,"n_layer":8,"n_head":8}""")!);
        var build = new ModelBuilder(new NotebookKit.Models.Layers.DropoutMask());
        var bytes = 0.0;
        using (var model = Architectures.Build(config, Architectures.HeadOf(config), build))
        {
            build.Initialise();
            bytes = model.Parameters().Sum(p => 4.0 * p.Parameter.numel());
            ModelFolder.Write(model, folder.Path, type: stored);
        }
        LanguageModel? loaded = null;
        var peak = MemoryTests.Peak(() => loaded = PretrainedModel.Open(folder.Path).Load());
        loaded!.Dispose();
        TestContext.Current.TestOutputHelper?.WriteLine($"{bytes / 1e6:F0} MB of weights, {peak / 1e6:F0} MB at the peak");
        Assert.InRange(peak, 0.9 * bytes, 1.2 * bytes);
    }
}
