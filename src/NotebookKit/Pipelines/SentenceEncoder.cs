using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Runtime;
using NotebookKit.Text;
using static TorchSharp.torch;

namespace NotebookKit.Pipelines;

/// <summary>Turns texts into unit-length vectors, the mean over an encoder's tokens, whose dot products are cosines. Not thread-safe.</summary>
public sealed class SentenceEncoder : IDisposable
{
    private const int TokensPerBatch = 4096;
    private readonly EncoderModel _model;
    private readonly Tokenizer _tokenizer;
    private readonly int _maximumLength;

    private SentenceEncoder(EncoderModel model, Tokenizer tokenizer, int maximumLength) => (_model, _tokenizer, _maximumLength) = (model, tokenizer, maximumLength);

    /// <summary>Numbers in a vector.</summary>
    public int Width => _model.Width;

    /// <summary>Loads an encoder.</summary>
    /// <param name="idOrFolder">A folder, or the hub id of a model in the cache.</param>
    /// <param name="maximumLength">Longer texts are cut to this many tokens. Default 256, and at most what the model takes.</param>
    public static SentenceEncoder Load(string idOrFolder, int maximumLength = 256)
    {
        MatrixProducts.UseOneDnn();
        var encoder = PretrainedEncoder.Open(idOrFolder);
        var model = encoder.LoadEncoder();
        return new SentenceEncoder(model, encoder.Tokenizer, Math.Min(maximumLength, model.MaximumPositions));
    }

    /// <summary>One vector per text, in order.</summary>
    public float[][] Encode(IReadOnlyList<string> texts)
    {
        using var noGradient = no_grad();
        var rows = texts.Select(t => _tokenizer.Encode(t, _maximumLength)).ToArray();
        var result = new float[texts.Count][];
        foreach (var window in BatchSampler.ByTokens(Array.ConvertAll(rows, r => r.Length), TokensPerBatch))
        {
            using var scope = NewDisposeScope();
            using var inputs = new EncoderInputs(Batch.Pad([.. window.Select(i => rows[i])], _tokenizer.PadId), _model.DataType);
            var flat = _model.Embed(inputs).data<float>().ToArray();
            for (var i = 0; i < window.Length; i++) result[window[i]] = flat[(i * Width)..((i + 1) * Width)];
        }
        return result;
    }

    /// <summary>Cosine of every pair of texts, in [−1, 1].</summary>
    public double[][] Similarities(IReadOnlyList<string> texts)
    {
        var vectors = Encode(texts);
        return Array.ConvertAll(vectors, a => Array.ConvertAll(vectors, b => (double)System.Numerics.Tensors.TensorPrimitives.Dot<float>(a, b)));
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();
}
