using NotebookKit.Tool.Conformance;

namespace NotebookKit.Tool.Tests;

/// <summary>Expected values: transformers 5.23 in fp32 on a CPU, in the golden files beside each checkpoint (see the fixtures' README).</summary>
public sealed class ConformanceTests
{
    [Fact]
    public void Every_fixture_equals_the_reference() => AllPass(ToolFixture.Fixtures);

    [Fact]
    public void Every_shared_checkpoint_and_published_shape_equals_the_reference()
    {
        var shared = ToolFixture.RequireShared("reference");
        AllPass(Path.Combine(shared, "checkpoints"));
        AllPass(Path.Combine(shared, "published"));
    }

    [Fact]
    public void Every_shared_adapter_equals_the_reference() => AllPass(Path.Combine(ToolFixture.RequireShared("reference"), "adapters"));

    [Fact]
    public void Every_shared_tokenizer_and_chat_template_equals_the_reference()
    {
        var shared = ToolFixture.RequireShared("reference");
        AllPass(Path.Combine(shared, "tokenizers"));
        AllPass(Path.Combine(shared, "chat-templates"));
    }

    [Fact]
    public void Every_shared_optimiser_schedule_and_loss_equals_the_reference() => AllPass(Path.Combine(ToolFixture.RequireShared("reference"), "training"));

    [Fact]
    public void A_wrong_rate_fails_and_an_unknown_optimiser_is_skipped()
    {
        using var folder = new ToolFixture();
        File.WriteAllText(folder.PathOf("cases.json"), """
            [{"name":"good","inputs":{},"params":{"schedule":"linear","num_warmup_steps":1,"num_training_steps":3},"expected":{"lr":[0,1,0.5]},"source":"by hand"},
             {"name":"bad","inputs":{},"params":{"schedule":"linear","num_warmup_steps":1,"num_training_steps":3},"expected":{"lr":[0,1,0.4]},"source":"by hand"},
             {"name":"new","inputs":{},"params":{"optimizer":"shampoo","dtype":"float32"},"expected":{},"source":"none"}]
            """);
        Assert.Equal([Verdict.Passed, Verdict.Failed, Verdict.Skipped], Conformer.Run(folder.Folder).Select(o => o.Outcome.Verdict));
    }

    [Fact]
    public void A_changed_weight_fails_and_an_unknown_case_is_skipped()
    {
        using var folder = new ToolFixture();
        foreach (var file in Directory.EnumerateFiles(Checkpoint("gpt2"))) File.Copy(file, folder.PathOf(Path.GetFileName(file)));
        var bytes = File.ReadAllBytes(folder.PathOf("model.safetensors"));
        bytes[^2] ^= 0x20;                                                   // one bit of the last weight
        File.WriteAllBytes(folder.PathOf("model.safetensors"), bytes);
        File.WriteAllText(folder.PathOf("golden.json"), File.ReadAllText(folder.PathOf("golden.json")).Replace("\"long\"", "\"longer\"", StringComparison.Ordinal));
        var outcomes = Conformer.Run(folder.Folder).Select(o => o.Outcome).ToArray();
        Assert.Contains(outcomes, o => o.Verdict == Verdict.Failed && o.Case == "right");
        Assert.Equal(Verdict.Skipped, Assert.Single(outcomes, o => o.Case == "longer").Verdict);
    }

    [Fact]
    public void A_checkpoint_that_cannot_be_opened_is_one_failure_and_the_walk_goes_on()
    {
        using var folder = new ToolFixture();
        foreach (var name in new[] { "bert-seqcls", "gpt2" })
        {
            Directory.CreateDirectory(folder.PathOf(name));
            foreach (var file in Directory.EnumerateFiles(Checkpoint(name))) File.Copy(file, Path.Combine(folder.PathOf(name), Path.GetFileName(file)));
        }
        File.WriteAllText(Path.Combine(folder.PathOf("bert-seqcls"), "config.json"), """{"model_type": "mamba", "architectures": ["MambaForCausalLM"]}""");
        var outcomes = Conformer.Run(folder.Folder).ToArray();
        var failed = Assert.Single(outcomes, o => o.Outcome.Verdict == Verdict.Failed);
        Assert.Equal("bert-seqcls", failed.Place);
        Assert.Contains("mamba", failed.Outcome.Detail);
        Assert.True(outcomes.Count(o => o.Place == "gpt2" && o.Outcome.Verdict == Verdict.Passed) > 10);
    }

    private static string Checkpoint(string name) => Path.Combine(ToolFixture.Fixtures, "checkpoints", "tiny", name);

    private static void AllPass(string folder)
    {
        var outcomes = Conformer.Run(folder).ToArray();
        Assert.NotEmpty(outcomes);
        Assert.Empty(outcomes.Where(o => o.Outcome.Verdict != Verdict.Passed).Select(o => $"{o.Place}: {o.Outcome}"));
    }
}
