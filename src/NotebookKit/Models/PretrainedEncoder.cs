using NotebookKit.Checkpoints;
using NotebookKit.Models.Encoders;
using NotebookKit.Text;

namespace NotebookKit.Models;

/// <summary>A folder with a pretrained encoder: <c>config.json</c>, <c>tokenizer.json</c> and <c>model.safetensors</c>, as Hugging Face lays them out.</summary>
/// <param name="Folder">The folder.</param>
/// <param name="Config">Shape of the encoder.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record PretrainedEncoder(string Folder, BertConfig Config, Tokenizer Tokenizer)
{
    /// <summary>Reads configuration and tokenizer, and checks that they belong together; weights are read when a model is built.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or the vocabulary does not fit the weights.</exception>
    public static PretrainedEncoder Open(string folder)
    {
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"No model folder at '{Path.GetFullPath(folder)}'.");
        var (config, tokenizer) = (BertConfig.Load(folder), Tokenizer.Load(folder));
        if (tokenizer.VocabularySize > config.VocabularySize)
            throw new InvalidDataException($"'{folder}': tokenizer.json has {tokenizer.VocabularySize:N0} ids, the weights have rows for {config.VocabularySize:N0} (config.json). "
                + "The tokenizer belongs to another model.");
        return new PretrainedEncoder(folder, config, tokenizer);
    }

    /// <summary>Path of the weights.</summary>
    public string WeightsPath => Path.Combine(Folder, "model.safetensors");

    /// <summary>The encoder with its weights in fp32, in evaluation mode. The caller disposes it.</summary>
    public BertModel LoadEncoder()
    {
        Runtime.TorchRuntime.EnsureLoaded();
        var model = new BertModel(Config, new DropoutMask());
        using var file = SafetensorsFile.Open(WeightsPath);
        ParameterLoader.Load(model.named_parameters().Select(p => ("bert." + p.name, p.parameter)), file, "bert.");
        model.eval();
        return model;
    }
}
