using NotebookKit.Text;

namespace NotebookKit.Models;

/// <summary>A folder with a pretrained encoder and its tokenizer: <c>config.json</c>, <c>tokenizer.json</c> and <c>model.safetensors</c>, as Hugging Face lays them out.</summary>
/// <param name="Folder">The folder.</param>
/// <param name="Config">Shape of the encoder.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record PretrainedEncoder(string Folder, ConfigJson Config, Tokenizer Tokenizer)
{
    /// <summary>Reads configuration and tokenizer, and checks that they belong together; weights are read when a model is built.</summary>
    /// <param name="idOrFolder">A folder, or a hub id such as <c>sentence-transformers/all-MiniLM-L6-v2</c>.</param>
    /// <exception cref="DirectoryNotFoundException">It is nowhere; the message lists where was looked.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, the architecture is unknown, or the vocabulary does not fit the weights.</exception>
    public static PretrainedEncoder Open(string idOrFolder)
    {
        var model = PretrainedModel.Open(idOrFolder);
        var (folder, config, tokenizer) = (model.Folder, model.Config, Tokenizer.Load(model.Folder));
        var rows = config.Int("vocab_size");
        if (tokenizer.VocabularySize > rows)
            throw new InvalidDataException($"'{folder}': tokenizer.json has {tokenizer.VocabularySize:N0} ids, the weights have rows for {rows:N0} (config.json). "
                + "The tokenizer belongs to another model.");
        if (config.Has("pad_token_id") && (tokenizer.IdOf("[PAD]") ?? tokenizer.IdOf("<pad>")) is { } pad && pad != config.Int("pad_token_id"))
            throw new InvalidDataException($"'{folder}': the tokenizer pads with id {pad}, config.json says pad_token_id {config.Int("pad_token_id")}. The tokenizer belongs to another model.");
        return new PretrainedEncoder(folder, config, tokenizer);
    }

    /// <summary>The encoder with its weights in fp32, in evaluation mode. The caller disposes it.</summary>
    /// <exception cref="InvalidDataException">The architecture is no encoder, or configuration and weights disagree.</exception>
    public EncoderModel LoadEncoder() => PretrainedModel.Open(Folder).Load(new HeadSettings(ModelHead.None)) as EncoderModel
        ?? throw new InvalidDataException($"'{Folder}' holds a {Config.ModelType} model, which is no encoder.");
}
