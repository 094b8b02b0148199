using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace NotebookKit.Text;

/// <summary>Token ids of lists of texts, by the SHA-256 of the texts: a list that comes again, in another epoch, seed or study, is not tokenised again. Keeps the lists used last. Thread-safe.</summary>
/// <param name="most">Lists that are kept.</param>
internal sealed class TokenCache(int most)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(string Key, int[][] Rows)> _kept = new();

    /// <summary>The ids of a list, computed at most once while it is kept.</summary>
    public int[][] Get(IReadOnlyList<string> texts, int maximumLength, Func<int[][]> tokenise)
    {
        var key = KeyOf(texts, maximumLength);
        lock (_lock)
        {
            for (var node = _kept.First; node is not null; node = node.Next)
            {
                if (node.Value.Key != key) continue;
                _kept.Remove(node);
                _kept.AddFirst(node);
                return node.Value.Rows;
            }
        }
        var rows = tokenise();
        lock (_lock)
        {
            _kept.AddFirst((key, rows));
            if (_kept.Count > most) _kept.RemoveLast();
        }
        return rows;
    }

    private static string KeyOf(IReadOnlyList<string> texts, int maximumLength)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[4];
        void Add(Span<byte> buffer, int value)
        {
            BinaryPrimitives.WriteInt32LittleEndian(buffer, value);
            hash.AppendData(buffer);
        }
        Add(number, maximumLength);
        foreach (var text in texts)
        {
            Add(number, text.Length);                                         // so that two texts are not one longer
            hash.AppendData(MemoryMarshal.AsBytes(text.AsSpan()));
        }
        return Convert.ToHexString(hash.GetHashAndReset());
    }
}
