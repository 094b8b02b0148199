using System.Runtime.InteropServices;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Runtime;
using NotebookKit.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Pretraining;

/// <summary>
/// A teacher's sentence embeddings (mean over tokens, unit length), turned onto their leading principal directions so that a narrower
/// student can match them directly, and kept in a file that an interrupted run goes on from.
/// </summary>
public sealed class TeacherEmbeddings
{
    private const int Part = 8192;
    private readonly Half[] _values;

    private TeacherEmbeddings(Half[] values, int width, double kept)
    {
        (_values, Width, KeptShare) = (values, width, kept);
    }

    /// <summary>Width of an embedding: the student's.</summary>
    public int Width { get; }

    /// <summary>Share of the teacher's squared length that the kept directions hold, in [0, 1].</summary>
    public double KeptShare { get; }

    /// <summary>Embeddings of some texts, (N, D) fp32 of unit length. The caller disposes the tensor.</summary>
    public Tensor Rows(IReadOnlyList<int> texts)
    {
        var rows = new float[texts.Count * Width];
        for (var i = 0; i < texts.Count; i++)
            for (var j = 0; j < Width; j++) rows[i * Width + j] = (float)_values[(long)texts[i] * Width + j];
        return tensor(rows, [texts.Count, Width]);
    }

    /// <summary>Computes the embeddings of all texts, or goes on where a run stopped.</summary>
    /// <param name="teacher">An encoder in evaluation mode.</param>
    /// <param name="tokenizer">The teacher's own.</param>
    /// <param name="texts">What to embed.</param>
    /// <param name="width">Directions to keep, at most the teacher's width.</param>
    /// <param name="cache">File that holds what is done; must belong to the same texts.</param>
    /// <param name="progress">One line now and then.</param>
    /// <param name="cancellation">Stops between parts; what is done stays in the file.</param>
    public static TeacherEmbeddings Compute(EncoderModel teacher, Tokenizer tokenizer, IReadOnlyList<string> texts, int width, string cache,
        IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        var full = teacher.Width;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, full);
        // The first part decides the directions: eigenvectors of the second-moment matrix, largest first.
        using var first = Embed(teacher, tokenizer, [.. texts.Take(2 * Part)]);
        using var moments = first.t().mm(first) / first.size(0);
        var (eigenvalues, eigenvectors) = linalg.eigh(moments);
        using var directions = eigenvectors.narrow(1, full - width, width).contiguous();   // (full, width)
        var kept = (eigenvalues.narrow(0, full - width, width).sum() / eigenvalues.sum()).ToDouble();
        eigenvalues.Dispose();
        eigenvectors.Dispose();

        var values = new Half[(long)texts.Count * width];
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(cache))!);
        using var file = new FileStream(cache, FileMode.OpenOrCreate);
        var done = (int)Math.Min(texts.Count, file.Length / (2L * width));
        file.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan(0, done * width)));
        for (var from = done; from < texts.Count; from += Part)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var part = Embed(teacher, tokenizer, [.. texts.Skip(from).Take(Part)]).mm(directions);
            part /= part.norm(1, keepdim: true);
            var count = (int)part.size(0);
            part.to(ScalarType.Float16).data<Half>().CopyTo(values.AsSpan(from * width, count * width));
            file.Position = 2L * from * width;
            file.Write(MemoryMarshal.AsBytes(values.AsSpan(from * width, count * width)));
            if (from / Part % 8 == 0) progress?.Report($"teacher: {from + count:N0} of {texts.Count:N0} texts");
        }
        return new TeacherEmbeddings(values, width, kept);
    }

    /// <summary>Unit-length mean-pooled embeddings (N, D) fp32, in the order of the texts. The caller disposes the tensor.</summary>
    public static Tensor Embed(EncoderModel encoder, Tokenizer tokenizer, IReadOnlyList<string> texts, int maximumLength = 64)
    {
        TorchRuntime.EnsureLoaded();
        using var noGradient = no_grad();
        encoder.eval();
        var rows = texts.AsParallel().AsOrdered().Select(t => tokenizer.Encode(t, maximumLength)).ToArray();
        var result = zeros(texts.Count, encoder.Width);
        foreach (var window in BatchSampler.ByTokens([.. rows.Select(r => r.Length)], 4096))
        {
            using var scope = NewDisposeScope();
            using var inputs = new EncoderInputs(Batch.Pad([.. window.Select(i => rows[i])], tokenizer.PadId), encoder.DataType);
            result.index_copy_(0, tensor(window.Select(i => (long)i).ToArray()), encoder.Embed(inputs));
        }
        return result;
    }
}
