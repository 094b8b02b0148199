using NotebookKit.Pretraining;
using NotebookKit.Runtime;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using NotebookKit.Text;

namespace NotebookKit.Pretraining.Corpora;

/// <summary>A corpus as token ids: passages cut into windows of at most a given length. Ids are kept in 16 bits.</summary>
public sealed class TokenizedCorpus
{
    private readonly ushort[] _tokens;
    private readonly int[] _starts;

    private TokenizedCorpus(ushort[] tokens, int[] starts, Tokenizer tokenizer)
    {
        (_tokens, _starts) = (tokens, starts);
        (_startId, _endId) = (tokenizer.StartId, tokenizer.EndId);
    }

    private readonly int _startId, _endId;

    /// <summary>Number of windows.</summary>
    public int Count => _starts.Length - 1;

    /// <summary>Tokens in all, start and end ids not counted.</summary>
    public long Tokens => _tokens.Length;

    /// <summary>Length of a window with its start and end ids.</summary>
    public int LengthOf(int window) => _starts[window + 1] - _starts[window] + 2;

    /// <summary>The ids of a window between start and end ids.</summary>
    public int[] this[int window]
    {
        get
        {
            var ids = new int[LengthOf(window)];
            ids[0] = _startId;
            ids[^1] = _endId;
            for (var i = 1; i < ids.Length - 1; i++) ids[i] = _tokens[_starts[window] + i - 1];
            return ids;
        }
    }

    /// <summary>Tokenises a file of one passage a line on all cores; the result is cached beside it under a hash of file, vocabulary and length.</summary>
    /// <param name="path">Corpus file.</param>
    /// <param name="tokenizer">At most 65,536 ids.</param>
    /// <param name="maximumLength">Longest window, start and end ids included.</param>
    /// <param name="shortest">Shorter windows (without start and end ids) are left out. Default 4.</param>
    public static TokenizedCorpus Load(string path, Tokenizer tokenizer, int maximumLength, int shortest = 4)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No corpus at '{path}'. Build it with `nbkit corpus`.", path);
        if (tokenizer.VocabularySize > ushort.MaxValue + 1) throw new ArgumentException($"A vocabulary of at most 65,536 is needed; this one has {tokenizer.VocabularySize}.");
        var key = $"{new FileInfo(path).Length}|{maximumLength}|{shortest}|{string.Join('\n', Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.TokenOf))}";
        var cache = $"{path}.{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..12]}.tokens";
        if (!File.Exists(cache)) Write(cache, path, tokenizer, maximumLength - 2, shortest);

        using var file = File.OpenRead(cache);
        using var reader = new BinaryReader(file);
        var starts = new int[reader.ReadInt32()];
        var tokens = new ushort[reader.ReadInt32()];
        file.ReadExactly(MemoryMarshal.AsBytes(starts.AsSpan()));
        file.ReadExactly(MemoryMarshal.AsBytes(tokens.AsSpan()));
        return new TokenizedCorpus(tokens, starts, tokenizer);
    }

    private static void Write(string cache, string path, Tokenizer tokenizer, int window, int shortest)
    {
        var starts = new List<int> { 0 };
        var tokens = new List<ushort>();
        foreach (var passage in File.ReadLines(path).AsParallel().AsOrdered().Select(l => tokenizer.Encode(l, 4096)))
            for (var from = 1; from < passage.Length - 1; from += window)
            {
                var count = Math.Min(window, passage.Length - 1 - from);
                if (count < shortest) continue;
                for (var i = from; i < from + count; i++) tokens.Add((ushort)passage[i]);
                starts.Add(tokens.Count);
            }
        WholeFile.Write(cache, file =>
        {
            using var writer = new BinaryWriter(file, System.Text.Encoding.UTF8, leaveOpen: true);
            writer.Write(starts.Count);
            writer.Write(tokens.Count);
            writer.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(starts)));
            writer.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(tokens)));
        });
    }
}
