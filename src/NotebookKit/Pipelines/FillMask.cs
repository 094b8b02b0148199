using NotebookKit.Models;
using NotebookKit.Text;
using static TorchSharp.torch;

namespace NotebookKit.Pipelines;

/// <summary>A token for a masked place.</summary>
/// <param name="Token">The token; continuations of a word begin with <c>##</c>.</param>
/// <param name="Probability">In [0, 1].</param>
public sealed record MaskedToken(string Token, double Probability);

/// <summary>Says which tokens an encoder expects at a masked place. Not thread-safe.</summary>
public sealed class FillMask : IDisposable
{
    private readonly EncoderModel _model;
    private readonly Tokenizer _tokenizer;

    private FillMask(EncoderModel model, Tokenizer tokenizer) => (_model, _tokenizer) = (model, tokenizer);

    /// <summary>Loads an encoder with its masked-LM head.</summary>
    /// <exception cref="InvalidDataException">The folder's weights hold no such head.</exception>
    public static FillMask Load(string idOrFolder)
    {
        var encoder = PretrainedEncoder.Open(idOrFolder);
        var model = PretrainedModel.Open(encoder.Folder).Load(out var report, new HeadSettings(ModelHead.MaskedLM));
        if (report.Missing.Count == 0 && model is EncoderModel filler) return new FillMask(filler, encoder.Tokenizer);
        model.Dispose();
        throw new InvalidDataException($"'{encoder.Folder}' holds no masked-LM head: {string.Join(", ", report.Missing)} would be drawn at random.");
    }

    /// <summary>The most probable tokens for the first <c>[MASK]</c> of a text, best first.</summary>
    /// <param name="text">A text with <c>[MASK]</c> in it.</param>
    /// <param name="top">How many. Default 5.</param>
    /// <exception cref="ArgumentException">The text has no <c>[MASK]</c>.</exception>
    public IReadOnlyList<MaskedToken> Predict(string text, int top = 5)
    {
        var ids = _tokenizer.Encode(text, Math.Min(_model.MaximumPositions, 512));
        var place = Array.IndexOf(ids, _tokenizer.MaskId);
        if (place < 0) throw new ArgumentException($"The text has no [MASK]: '{text}'.", nameof(text));
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var inputs = new EncoderInputs(tensor(Array.ConvertAll(ids, i => (long)i), [1, ids.Length]), attentionType: _model.DataType);
        var probabilities = _model.VocabularyLogits(_model.Encode(inputs)[0, place]).to(ScalarType.Float32).softmax(-1);   // (V)
        var (values, indices) = probabilities.topk(top);
        return [.. values.data<float>().ToArray().Zip(indices.data<long>().ToArray(), (p, i) => new MaskedToken(_tokenizer.TokenOf((int)i), p))];
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();
}
