using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NotebookKit.Generation.Decoding;

/// <summary>One head of one token reading what came before, for heads of a multiple of sixteen numbers.</summary>
internal static unsafe class HeadKernel
{
    /// <summary>Writes softmax(scale q Kᵀ) V.</summary>
    /// <param name="q">The query, (d).</param>
    /// <param name="keys">The keys, (T, d).</param>
    /// <param name="values">The values, likewise.</param>
    /// <param name="scores">Room for T.</param>
    /// <param name="read">What is read, (d).</param>
    /// <param name="d">Width of the head, a multiple of 16.</param>
    /// <param name="scale">Factor on the scores.</param>
    public static void Read(float* q, float* keys, float* values, Span<float> scores, float* read, int d, float scale)
    {
        fixed (float* room = scores)
        {
            Scores(q, keys, room, scores.Length, d, scale);
            TensorPrimitives.SoftMax(scores, scores);
            var i = 0;
            for (; i + 64 <= d; i += 64) Sum(values + i, room, scores.Length, d, read + i);
            for (; i < d; i += 16) SumOne(values + i, room, scores.Length, d, read + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores(float* q, float* keys, float* scores, int count, int d, float scale)
    {
        var t = 0;
        for (; t + 4 <= count; t += 4)
        {
            float* k0 = keys + (long)t * d, k1 = k0 + d, k2 = k1 + d, k3 = k2 + d;
            Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
            for (var i = 0; i < d; i += 16)
            {
                var v = Vector512.Load(q + i);
                a0 = Vector512.FusedMultiplyAdd(Vector512.Load(k0 + i), v, a0);
                a1 = Vector512.FusedMultiplyAdd(Vector512.Load(k1 + i), v, a1);
                a2 = Vector512.FusedMultiplyAdd(Vector512.Load(k2 + i), v, a2);
                a3 = Vector512.FusedMultiplyAdd(Vector512.Load(k3 + i), v, a3);
            }
            (WeightMatrix.Sums(a0, a1, a2, a3) * scale).Store(scores + t);
        }
        for (; t < count; t++) scores[t] = TensorPrimitives.Dot(new ReadOnlySpan<float>(q, d), new ReadOnlySpan<float>(keys + (long)t * d, d)) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sum(float* values, float* weights, int count, int step, float* read)
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (var t = 0; t < count; t++, values += step)
        {
            var w = Vector512.Create(weights[t]);
            a0 = Vector512.FusedMultiplyAdd(Vector512.Load(values), w, a0);
            a1 = Vector512.FusedMultiplyAdd(Vector512.Load(values + 16), w, a1);
            a2 = Vector512.FusedMultiplyAdd(Vector512.Load(values + 32), w, a2);
            a3 = Vector512.FusedMultiplyAdd(Vector512.Load(values + 48), w, a3);
        }
        a0.Store(read);
        a1.Store(read + 16);
        a2.Store(read + 32);
        a3.Store(read + 48);
    }

    private static void SumOne(float* values, float* weights, int count, int step, float* read)
    {
        Vector512<float> sum = default;
        for (var t = 0; t < count; t++, values += step) sum = Vector512.FusedMultiplyAdd(Vector512.Load(values), Vector512.Create(weights[t]), sum);
        sum.Store(read);
    }
}
