using NotebookKit.Models.Layers;
using NotebookKit.Checkpoints;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>A folder with a pretrained model of any known architecture, as Hugging Face lays it out; weights are read when a model is loaded.</summary>
public sealed class PretrainedModel
{
    private PretrainedModel(string folder, ConfigJson config, HeadSettings head) => (Folder, Config, Head) = (folder, config, head);

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>Its config.json.</summary>
    public ConfigJson Config { get; }

    /// <summary>The head that the weights were written with.</summary>
    public HeadSettings Head { get; }

    /// <summary>Reads the configuration of a folder, or of a model in the hub cache.</summary>
    /// <param name="idOrFolder">A folder, or a hub id such as <c>sentence-transformers/all-MiniLM-L6-v2</c>.</param>
    /// <exception cref="DirectoryNotFoundException">It is nowhere; the message lists where was looked.</exception>
    /// <exception cref="InvalidDataException">The configuration is malformed or of an unknown architecture.</exception>
    public static PretrainedModel Open(string idOrFolder)
    {
        var folder = Directory.Exists(idOrFolder) ? idOrFolder : ModelCache.Find(idOrFolder);
        var config = ConfigJson.Load(folder);
        return new PretrainedModel(folder, config, Architectures.HeadOf(config));
    }

    /// <summary>Builds the network and fills it, in evaluation mode. The caller disposes it.</summary>
    /// <param name="head">Head; by default the one the weights were written with. What the weights lack of another is drawn fresh.</param>
    /// <param name="type">Type to hold and compute in. Default fp32.</param>
    /// <param name="dropout">Source of dropout masks and, by its seed, of nothing else; by default a new one with seed 0.</param>
    /// <exception cref="InvalidDataException">Configuration and weights disagree; the message names file, key and shapes.</exception>
    public LanguageModel Load(HeadSettings? head = null, ScalarType type = ScalarType.Float32, DropoutMask? dropout = null) => Load(out _, head, type, dropout);

    /// <summary>The same, with a report of what was done with every key.</summary>
    public LanguageModel Load(out LoadReport report, HeadSettings? head = null, ScalarType type = ScalarType.Float32, DropoutMask? dropout = null, bool withHash = false)
    {
        using var checkpoint = Checkpoint.Open(Folder);
        var build = new ModelBuilder(dropout ?? new DropoutMask(), type);
        var model = Architectures.Build(Settled(checkpoint), head ?? Head, build);
        try
        {
            report = Fill(model, checkpoint, build, withHash, headMayDiffer: head is not null && head != Head);
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Fills a model from a checkpoint, and draws what the checkpoint lacks.</summary>
    internal static LoadReport Fill(LanguageModel model, Checkpoint checkpoint, ModelBuilder build, bool withHash = false, bool headMayDiffer = true)
    {
        var names = new KeyNames(model.BasePrefix, model.Aliases, model.MayBeAbsent, model.Head.Head != ModelHead.None);
        var report = ParameterLoader.Load(model.Stored(), checkpoint, names, withHash, headMayDiffer);
        var filled = report.Matched.ToHashSet(StringComparer.Ordinal);
        var fresh = model.Parameters().Where(p => !filled.Contains(p.Name)).Select(p => p.Parameter).ToHashSet(ReferenceEqualityComparer.Instance);
        if (fresh.Count > 0) build.Initialise(fresh.Contains);
        return report;
    }

    /// <summary>The configuration with <c>tie_word_embeddings</c> as the weights have it: a file that holds an output matrix of its own is not tied, one that holds none is.</summary>
    private ConfigJson Settled(Checkpoint checkpoint)
    {
        if (Head.Head is not (ModelHead.CausalLM or ModelHead.SequenceToSequenceLM)) return Config;
        var own = new[] { "lm_head.weight", "embed_out.weight" }.FirstOrDefault(checkpoint.Has);
        var table = new[] { "model.embed_tokens.weight", "transformer.wte.weight", "wte.weight", "gpt_neox.embed_in.weight", "shared.weight", "model.shared.weight" }.FirstOrDefault(checkpoint.Has);
        var tied = own is null || (table is not null && Config.Flag("tie_word_embeddings", Config.ModelType is not ("llama" or "mistral" or "phi3" or "gpt_neox")) && Same(checkpoint, own, table));
        var json = (System.Text.Json.Nodes.JsonObject)Config.Json.DeepClone();
        // T5 scales what its output matrix reads where the configuration ties it, whatever the file holds.
        if (Config.ModelType == "t5" && !Config.Has("scale_decoder_outputs")) json["scale_decoder_outputs"] = Config.Flag("tie_word_embeddings", true);
        json["tie_word_embeddings"] = tied;
        return new ConfigJson(Config.Source, json);
    }

    private static bool Same(Checkpoint checkpoint, string first, string second)
    {
        if (!checkpoint[first].Shape.SequenceEqual(checkpoint[second].Shape)) return false;
        using var a = checkpoint.Read(first);
        using var b = checkpoint.Read(second);
        return a.Equals(b);
    }
}
