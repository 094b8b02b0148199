using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>
/// Inverted dropout (Srivastava et al. 2014) whose mask is drawn eight lanes at a time by xorshift128+ (Vigna 2014): libtorch draws on one
/// scalar lane on a CPU, which costs more than the rest of a small encoder's forward pass. One instance per model; not thread-safe.
/// </summary>
public sealed unsafe class DropoutMask
{
    private Vector512<ulong> _first, _second;

    /// <summary>A source that repeats for the same seed.</summary>
    public DropoutMask(int seed = 0) => Reseed(seed);

    /// <summary>Whether masks are drawn here, and not by libtorch, whose masks do not depend on the seed here. Default <c>true</c>; to measure what it brings.</summary>
    public bool IsVectorised { get; set; } = true;

    /// <summary>Share dropped in place of every layer's own, in [0, 1); a layer that drops nothing stays so. <c>null</c> leaves each its own, as pretrained. Default <c>null</c>.</summary>
    public double? Probability { get; set; }

    /// <summary>Starts the sequence of masks again.</summary>
    public void Reseed(int seed)
    {
        var splitMix = (ulong)(uint)seed;
        ulong Next()
        {
            var z = splitMix += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
        Vector512<ulong> Lanes() => Vector512.Create(Next(), Next(), Next(), Next(), Next(), Next(), Next(), Next());
        (_first, _second) = (Lanes(), Lanes());
    }

    /// <summary>Where the sequence of masks stands: sixteen numbers that give the same masks from there.</summary>
    /// <exception cref="ArgumentException">There are not sixteen.</exception>
    public IReadOnlyList<ulong> State
    {
        get => [.. Enumerable.Range(0, 8).Select(i => _first[i]), .. Enumerable.Range(0, 8).Select(i => _second[i])];
        set
        {
            if (value.Count != 16) throw new ArgumentException($"The state of dropout masks has 16 numbers; got {value.Count}.", nameof(value));
            (_first, _second) = (Vector512.Create(value.Take(8).ToArray()), Vector512.Create(value.Skip(8).ToArray()));
        }
    }

    /// <summary><paramref name="x"/> with a share <paramref name="p"/> of its entries zeroed and the rest scaled by 1/(1-p).</summary>
    public Tensor Apply(Tensor x, double p)
    {
        if (p > 0) p = Probability ?? p;
        if (p == 0) return x;
        using var mask = Draw(x.shape, p, x.dtype);
        return x * mask;
    }

    /// <summary><paramref name="x"/> + dropout(<paramref name="branch"/>), the residual connection in one operation.</summary>
    public Tensor AddResidual(Tensor x, Tensor branch, double p)
    {
        if (p > 0) p = Probability ?? p;
        if (p == 0) return x + branch;
        using var mask = Draw(x.shape, p, x.dtype);
        return x.addcmul(branch, mask, 1);
    }

    private Tensor Draw(long[] shape, double p, ScalarType type)
    {
        if (!IsVectorised) return empty(shape, dtype: type).bernoulli_(1 - p).mul_(1 / (1 - p));
        var mask = empty(shape, dtype: ScalarType.Float32);
        Fill((float*)TensorMemory.Pointer(mask), mask.numel(), p);
        if (type == ScalarType.Float32) return mask;
        using (mask) return mask.to(type);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Fill(float* target, long count, double p)
    {
        var threshold = Vector512.Create((uint)(p * 4294967296.0));
        var scale = Vector512.Create((float)(1 / (1 - p)));
        var tail = stackalloc float[16];
        for (var i = 0L; i < count; i += 16)
        {
            var a = _first;
            var b = _second;
            a ^= a << 23;
            _first = b;
            _second = a ^ b ^ (a >>> 17) ^ (b >>> 26);
            var kept = Vector512.GreaterThanOrEqual((_second + b).AsUInt32(), threshold).AsSingle() & scale;
            if (i + 16 <= count) kept.Store(target + i);
            else
            {
                kept.Store(tail);
                for (var j = 0; i + j < count; j++) target[i + j] = tail[j];
            }
        }
    }
}
