using System.Runtime.InteropServices;

namespace NotebookKit.Generation.Decoding;

/// <summary>Keys and values of one sequence, layer by layer, (T, G·d) each; grows as tokens come. Owns native memory.</summary>
internal sealed unsafe class TokenMemory(int layers, int width) : IDisposable
{
    private readonly nint[] _keys = new nint[layers], _values = new nint[layers];
    private int _capacity;

    /// <summary>Tokens held.</summary>
    public int Length { get; set; }

    public float* Keys(int layer) => (float*)_keys[layer];

    public float* Values(int layer) => (float*)_values[layer];

    /// <summary>Makes room for so many tokens.</summary>
    public void Reserve(int tokens)
    {
        if (tokens <= _capacity) return;
        var capacity = Math.Max(tokens, Math.Max(64, 2 * _capacity));
        foreach (var part in new[] { _keys, _values })
            for (var layer = 0; layer < layers; layer++)
                part[layer] = (nint)NativeMemory.AlignedRealloc((void*)part[layer], (nuint)((long)capacity * width * sizeof(float)), 64);
        _capacity = capacity;
    }

    /// <summary>The same, in memory of its own.</summary>
    public TokenMemory Copy()
    {
        var copy = new TokenMemory(layers, width);
        copy.Reserve(Length + 1);
        for (var layer = 0; layer < layers; layer++)
        {
            var bytes = (long)Length * width * sizeof(float);
            Buffer.MemoryCopy(Keys(layer), copy.Keys(layer), bytes, bytes);
            Buffer.MemoryCopy(Values(layer), copy.Values(layer), bytes, bytes);
        }
        copy.Length = Length;
        return copy;
    }

    public void Dispose()
    {
        foreach (var part in new[] { _keys, _values })
            for (var layer = 0; layer < layers; layer++)
            {
                NativeMemory.AlignedFree((void*)part[layer]);
                part[layer] = 0;
            }
    }
}
