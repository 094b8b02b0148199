using System.Text.Json.Nodes;
using NotebookKit.Checkpoints;
using NotebookKit.Models;

namespace NotebookKit.Tests.Models;

/// <summary>Folders that cannot be right: each message names file, field and what to do.</summary>
public sealed class BadModelFolderTests
{
    [Fact]
    public void An_unknown_architecture_lists_the_known_ones_and_the_claim()
    {
        using var folder = Copy("gpt2");
        Config(folder, c => { c["model_type"] = "mamba"; c["architectures"] = new JsonArray("MambaForCausalLM"); });
        Says<InvalidDataException>(folder, "config.json", "mamba", "MambaForCausalLM", "bert", "xlm-roberta");
    }

    [Theory]
    [InlineData("n_embd", 48, "'transformer.wte.weight'", "[131, 32]", "[131, 48]")]
    [InlineData("vocab_size", 140, "'transformer.wte.weight'", "[131, 32]", "[140, 32]")]
    [InlineData("n_layer", 1, "transformer.h.1.", "number of layers")]
    [InlineData("n_layer", 3, "lacks", "transformer.h.2.")]
    [InlineData("n_head", 5, "n_embd 32", "n_head 5")]
    public void Configuration_and_weights_that_disagree(string field, int value, params string[] says)
    {
        using var folder = Copy("gpt2");
        Config(folder, c => c[field] = value);
        Says<InvalidDataException>(folder, says);
    }

    [Theory]
    [InlineData("\"many\"", "n_layer", "\"many\"")]
    [InlineData("2.5", "n_layer", "2.5")]
    [InlineData("null", "model.safetensors", "transformer.h.2.")]             // the architecture's own default, 12 layers
    public void A_field_of_the_wrong_kind(string value, params string[] says)
    {
        using var folder = Copy("gpt2");
        Config(folder, c => c["n_layer"] = JsonNode.Parse(value));
        Says<InvalidDataException>(folder, says);
    }

    [Fact]
    public void Weights_that_are_only_a_pickle_are_refused_with_the_way_to_convert_them()
    {
        using var folder = Copy("gpt2");
        File.Move(folder["model.safetensors"], folder["pytorch_model.bin"]);
        Says<FileNotFoundException>(folder, "pytorch_model.bin", "never opens", "save_pretrained", "safe_serialization");
    }

    [Fact]
    public void No_weights_and_no_configuration()
    {
        using var folder = Copy("gpt2");
        File.Delete(folder["model.safetensors"]);
        Says<FileNotFoundException>(folder, "model.safetensors", folder.Path);
        File.Delete(folder["config.json"]);
        Says<FileNotFoundException>(folder, "config.json", folder.Path);
        File.WriteAllText(folder["config.json"], "{ \"model_type\": ");
        Says<InvalidDataException>(folder, "config.json");
        File.WriteAllText(folder["config.json"], "[1, 2]");
        Says<InvalidDataException>(folder, "config.json", "no JSON object");
    }

    [Fact]
    public void A_missing_shard_is_named()
    {
        using var folder = Copy("llama-sharded");
        var shard = Shards(folder)[^1];
        File.Delete(folder[shard]);
        Says<FileNotFoundException>(folder, "model.safetensors.index.json", shard, "Download");
    }

    [Fact]
    public void A_shard_cut_short_is_named()
    {
        using var folder = Copy("llama-sharded");
        var shard = Shards(folder)[0];
        using (var file = File.OpenWrite(folder[shard])) file.SetLength(file.Length - 7);
        Says<InvalidDataException>(folder, shard);
    }

    [Fact]
    public void An_index_that_names_the_wrong_shard_is_refused()
    {
        using var folder = Copy("llama-sharded");
        var index = (JsonObject)JsonNode.Parse(File.ReadAllText(folder["model.safetensors.index.json"]))!;
        var map = (JsonObject)index["weight_map"]!;
        var (key, shards) = (map.First().Key, Shards(folder));
        map[key] = shards.First(s => s != map[key]!.GetValue<string>());
        File.WriteAllText(folder["model.safetensors.index.json"], index.ToJsonString());
        Says<InvalidDataException>(folder, "index.json", key);

        map[key] = "../outside.safetensors";
        File.WriteAllText(folder["model.safetensors.index.json"], index.ToJsonString());
        Says<InvalidDataException>(folder, "../outside.safetensors");
        File.WriteAllText(folder["model.safetensors.index.json"], "{}");
        Says<InvalidDataException>(folder, "index.json");
    }

    [Fact]
    public void A_model_that_is_nowhere_says_where_was_looked() =>
        Assert.Contains("NOTEBOOKKIT_MODELS", Assert.Throws<DirectoryNotFoundException>(() => PretrainedModel.Open("nobody/no-such-model")).Message);

    private static string[] Shards(TemporaryFolder folder) => [.. Directory.EnumerateFiles(folder.Path, "model-*.safetensors").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    private static TemporaryFolder Copy(string name)
    {
        var folder = TestData.NewFolder();
        foreach (var file in Directory.EnumerateFiles(TestData.Fixture("checkpoints", "tiny", name)).Where(f => !Path.GetFileName(f).StartsWith("golden", StringComparison.Ordinal)))
            File.Copy(file, folder[Path.GetFileName(file)]);
        return folder;
    }

    private static void Config(TemporaryFolder folder, Action<JsonObject> change)
    {
        var config = (JsonObject)JsonNode.Parse(File.ReadAllText(folder["config.json"]))!;
        change(config);
        File.WriteAllText(folder["config.json"], config.ToJsonString());
    }

    private static void Says<T>(TemporaryFolder folder, params string[] parts) where T : Exception
    {
        var error = Assert.Throws<T>(() => PretrainedModel.Open(folder.Path).Load().Dispose());
        foreach (var part in parts) Assert.Contains(part, error.Message);
    }
}
