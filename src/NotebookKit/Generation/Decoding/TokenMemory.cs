using System.Runtime.InteropServices;

namespace NotebookKit.Generation.Decoding;

/// <summary>Keys and values of one sequence, layer by layer and group of heads by group, (T, d) each, so that a head reads straight through; grows as tokens come. Owns native memory.</summary>
internal sealed unsafe class TokenMemory(int layers, int groups, int width) : IDisposable
{
    private readonly nint[] _keys = new nint[layers], _values = new nint[layers];
    private int _capacity;

    /// <summary>Tokens held.</summary>
    public int Length { get; set; }

    public float* Keys(int layer, int group) => (float*)_keys[layer] + (long)group * _capacity * width;

    public float* Values(int layer, int group) => (float*)_values[layer] + (long)group * _capacity * width;

    /// <summary>Makes room for so many tokens.</summary>
    public void Reserve(int tokens)
    {
        if (tokens <= _capacity) return;
        var capacity = Math.Max(tokens, Math.Max(64, 2 * _capacity));
        foreach (var part in new[] { _keys, _values })
            for (var layer = 0; layer < layers; layer++)
            {
                var room = (nint)NativeMemory.AlignedAlloc((nuint)((long)groups * capacity * width * sizeof(float)), 64);
                Move((float*)part[layer], _capacity, (float*)room, capacity);
                NativeMemory.AlignedFree((void*)part[layer]);
                part[layer] = room;
            }
        _capacity = capacity;
    }

    /// <summary>The same, in memory of its own.</summary>
    public TokenMemory Copy()
    {
        var copy = new TokenMemory(layers, groups, width) { Length = Length };
        copy.Reserve(Length + 1);
        for (var layer = 0; layer < layers; layer++)
        {
            Move((float*)_keys[layer], _capacity, (float*)copy._keys[layer], copy._capacity);
            Move((float*)_values[layer], _capacity, (float*)copy._values[layer], copy._capacity);
        }
        return copy;
    }

    /// <summary>Copies what is held from one room to another, group by group.</summary>
    private void Move(float* from, int capacity, float* to, int newCapacity)
    {
        if (from is null) return;
        for (var group = 0; group < groups; group++)
            new ReadOnlySpan<float>(from + (long)group * capacity * width, Length * width).CopyTo(new Span<float>(to + (long)group * newCapacity * width, Length * width));
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
