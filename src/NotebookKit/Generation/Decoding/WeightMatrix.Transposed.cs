using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NotebookKit.Generation.Decoding;

/// <summary>Weights that lie (From, To), as GPT-2's do: a row of them is what one input adds to all outputs.</summary>
internal sealed unsafe partial class WeightMatrix
{
    private const int InputsAtOnce = 4, ColumnsAtOnce = 512, PanelInputs = 8, PanelOutputs = 48, PackedInputs = 8, PanelPrefetch = 128;

    /// <summary>y = x[first..end] W[first..end] for one row.</summary>
    private void AddInputs(float* x, float* y, int first, int end)
    {
        var weights = (float*)_weights;
        new Span<float>(y, To).Clear();
        var i = first;
        for (; i + InputsAtOnce <= end; i += InputsAtOnce)
            for (var from = 0; from < To; from += ColumnsAtOnce) AddFour(weights + (long)i * To, x + i, y, from, Math.Min(To, from + ColumnsAtOnce));
        for (; i < end; i++) AddOne(weights + (long)i * To, x[i], y, 0, To);
    }

    /// <summary>
    /// Y = X[first..end] W[first..end] for groups of eight rows. Eight inputs are added at once, which are far apart, so that each is one of eight streams that run straight through memory.
    /// </summary>
    private void AddInputs(float* x, int rows, float* y, int first, int end)
    {
        const int GroupNumbers = PanelInputs * PackedInputs * RowsAtOnce;
        var weights = (float*)_weights + (long)first * To;
        var groups = rows / RowsAtOnce;
        var packed = stackalloc float[groups * GroupNumbers];                 // inputs of eight rows side by side: (groups, 8 streams, 8 inputs, 8 rows)
        new Span<float>(y, rows * To).Clear();
        x += first;
        var apart = (end - first) / PanelInputs;
        for (var from = 0; from < apart; from += PackedInputs)
        {
            var count = Math.Min(PackedInputs, apart - from);
            for (var group = 0; group < groups; group++)
                for (var stream = 0; stream < PanelInputs; stream++)
                    Pack(x + (long)group * RowsAtOnce * From + stream * apart + from, packed + group * GroupNumbers + stream * PackedInputs * RowsAtOnce, count);
            for (var i = 0; i < count; i++)
                for (var group = 0; group < groups; group++)
                    Panel(weights + (long)(from + i) * To, (long)apart * To, packed + group * GroupNumbers + i * RowsAtOnce, PackedInputs * RowsAtOnce, PanelInputs, y + (long)group * RowsAtOnce * To);
        }
        var done = apart * PanelInputs;
        for (var group = 0; group < groups && first + done < end; group++)
        {
            Pack(x + (long)group * RowsAtOnce * From + done, packed, end - first - done);
            Panel(weights + (long)done * To, To, packed, RowsAtOnce, end - first - done, y + (long)group * RowsAtOnce * To);
        }
    }

    /// <summary>Numbers of eight rows, (8, count), turned to (count, 8).</summary>
    private void Pack(float* x, float* packed, int count)
    {
        int n = From, i = 0;
        if (Avx.IsSupported)
            for (; i + 8 <= count; i += 8)
            {
                Vector256<float> r0 = Vector256.Load(x + i), r1 = Vector256.Load(x + n + i), r2 = Vector256.Load(x + 2L * n + i), r3 = Vector256.Load(x + 3L * n + i);
                Vector256<float> r4 = Vector256.Load(x + 4L * n + i), r5 = Vector256.Load(x + 5L * n + i), r6 = Vector256.Load(x + 6L * n + i), r7 = Vector256.Load(x + 7L * n + i);
                Vector256<float> a0 = Avx.UnpackLow(r0, r1), a1 = Avx.UnpackHigh(r0, r1), a2 = Avx.UnpackLow(r2, r3), a3 = Avx.UnpackHigh(r2, r3), a4 = Avx.UnpackLow(r4, r5), a5 = Avx.UnpackHigh(r4, r5), a6 = Avx.UnpackLow(r6, r7), a7 = Avx.UnpackHigh(r6, r7);
                Vector256<float> b0 = Avx.Shuffle(a0, a2, 0x44), b1 = Avx.Shuffle(a0, a2, 0xEE), b2 = Avx.Shuffle(a1, a3, 0x44), b3 = Avx.Shuffle(a1, a3, 0xEE), b4 = Avx.Shuffle(a4, a6, 0x44), b5 = Avx.Shuffle(a4, a6, 0xEE), b6 = Avx.Shuffle(a5, a7, 0x44), b7 = Avx.Shuffle(a5, a7, 0xEE);
                var to = packed + i * RowsAtOnce;
                Avx.Permute2x128(b0, b4, 0x20).Store(to);
                Avx.Permute2x128(b1, b5, 0x20).Store(to + 8);
                Avx.Permute2x128(b2, b6, 0x20).Store(to + 16);
                Avx.Permute2x128(b3, b7, 0x20).Store(to + 24);
                Avx.Permute2x128(b0, b4, 0x31).Store(to + 32);
                Avx.Permute2x128(b1, b5, 0x31).Store(to + 40);
                Avx.Permute2x128(b2, b6, 0x31).Store(to + 48);
                Avx.Permute2x128(b3, b7, 0x31).Store(to + 56);
            }
        for (; i < count; i++)
            for (var r = 0; r < RowsAtOnce; r++) packed[i * RowsAtOnce + r] = x[(long)r * n + i];
    }

    /// <summary>What a few inputs add to eight rows, 48 outputs at a time in registers.</summary>
    /// <param name="weights">Those of the first input, (To).</param>
    /// <param name="step">Numbers from an input's weights to the next's.</param>
    /// <param name="packed">The first input of eight rows.</param>
    /// <param name="packedStep">Numbers from there to the next input.</param>
    /// <param name="count">Inputs.</param>
    /// <param name="y">(8, To).</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Panel(float* weights, long step, float* packed, int packedStep, int count, float* y)
    {
        int n = To, o = 0;
        float* y0 = y, y1 = y0 + n, y2 = y1 + n, y3 = y2 + n, y4 = y3 + n, y5 = y4 + n, y6 = y5 + n, y7 = y6 + n;
        for (; o + PanelOutputs <= n; o += PanelOutputs)
        {
            Vector512<float> a0 = Vector512.Load(y0 + o), b0 = Vector512.Load(y0 + o + 16), c0 = Vector512.Load(y0 + o + 32), a1 = Vector512.Load(y1 + o), b1 = Vector512.Load(y1 + o + 16), c1 = Vector512.Load(y1 + o + 32);
            Vector512<float> a2 = Vector512.Load(y2 + o), b2 = Vector512.Load(y2 + o + 16), c2 = Vector512.Load(y2 + o + 32), a3 = Vector512.Load(y3 + o), b3 = Vector512.Load(y3 + o + 16), c3 = Vector512.Load(y3 + o + 32);
            Vector512<float> a4 = Vector512.Load(y4 + o), b4 = Vector512.Load(y4 + o + 16), c4 = Vector512.Load(y4 + o + 32), a5 = Vector512.Load(y5 + o), b5 = Vector512.Load(y5 + o + 16), c5 = Vector512.Load(y5 + o + 32);
            Vector512<float> a6 = Vector512.Load(y6 + o), b6 = Vector512.Load(y6 + o + 16), c6 = Vector512.Load(y6 + o + 32), a7 = Vector512.Load(y7 + o), b7 = Vector512.Load(y7 + o + 16), c7 = Vector512.Load(y7 + o + 32);
            float* w = weights + o, p = packed;
            for (var i = 0; i < count; i++, w += step, p += packedStep)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(w + PanelPrefetch);
                    Sse.Prefetch0(w + PanelPrefetch + 16);
                    Sse.Prefetch0(w + PanelPrefetch + 32);
                }
                Vector512<float> a = Vector512.Load(w), b = Vector512.Load(w + 16), c = Vector512.Load(w + 32), r = Vector512.Create(p[0]);
                a0 = Vector512.FusedMultiplyAdd(a, r, a0);
                b0 = Vector512.FusedMultiplyAdd(b, r, b0);
                c0 = Vector512.FusedMultiplyAdd(c, r, c0);
                r = Vector512.Create(p[1]);
                a1 = Vector512.FusedMultiplyAdd(a, r, a1);
                b1 = Vector512.FusedMultiplyAdd(b, r, b1);
                c1 = Vector512.FusedMultiplyAdd(c, r, c1);
                r = Vector512.Create(p[2]);
                a2 = Vector512.FusedMultiplyAdd(a, r, a2);
                b2 = Vector512.FusedMultiplyAdd(b, r, b2);
                c2 = Vector512.FusedMultiplyAdd(c, r, c2);
                r = Vector512.Create(p[3]);
                a3 = Vector512.FusedMultiplyAdd(a, r, a3);
                b3 = Vector512.FusedMultiplyAdd(b, r, b3);
                c3 = Vector512.FusedMultiplyAdd(c, r, c3);
                r = Vector512.Create(p[4]);
                a4 = Vector512.FusedMultiplyAdd(a, r, a4);
                b4 = Vector512.FusedMultiplyAdd(b, r, b4);
                c4 = Vector512.FusedMultiplyAdd(c, r, c4);
                r = Vector512.Create(p[5]);
                a5 = Vector512.FusedMultiplyAdd(a, r, a5);
                b5 = Vector512.FusedMultiplyAdd(b, r, b5);
                c5 = Vector512.FusedMultiplyAdd(c, r, c5);
                r = Vector512.Create(p[6]);
                a6 = Vector512.FusedMultiplyAdd(a, r, a6);
                b6 = Vector512.FusedMultiplyAdd(b, r, b6);
                c6 = Vector512.FusedMultiplyAdd(c, r, c6);
                r = Vector512.Create(p[7]);
                a7 = Vector512.FusedMultiplyAdd(a, r, a7);
                b7 = Vector512.FusedMultiplyAdd(b, r, b7);
                c7 = Vector512.FusedMultiplyAdd(c, r, c7);
            }
            Store(y0 + o, a0, b0, c0);
            Store(y1 + o, a1, b1, c1);
            Store(y2 + o, a2, b2, c2);
            Store(y3 + o, a3, b3, c3);
            Store(y4 + o, a4, b4, c4);
            Store(y5 + o, a5, b5, c5);
            Store(y6 + o, a6, b6, c6);
            Store(y7 + o, a7, b7, c7);
        }
        for (; o + 16 <= n; o += 16)
        {
            Vector512<float> a0 = Vector512.Load(y0 + o), a1 = Vector512.Load(y1 + o), a2 = Vector512.Load(y2 + o), a3 = Vector512.Load(y3 + o), a4 = Vector512.Load(y4 + o), a5 = Vector512.Load(y5 + o), a6 = Vector512.Load(y6 + o), a7 = Vector512.Load(y7 + o);
            float* w = weights + o, p = packed;
            for (var i = 0; i < count; i++, w += step, p += packedStep)
            {
                if (Sse.IsSupported) Sse.Prefetch0(w + PanelPrefetch);
                var a = Vector512.Load(w);
                a0 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[0]), a0);
                a1 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[1]), a1);
                a2 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[2]), a2);
                a3 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[3]), a3);
                a4 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[4]), a4);
                a5 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[5]), a5);
                a6 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[6]), a6);
                a7 = Vector512.FusedMultiplyAdd(a, Vector512.Create(p[7]), a7);
            }
            a0.Store(y0 + o);
            a1.Store(y1 + o);
            a2.Store(y2 + o);
            a3.Store(y3 + o);
            a4.Store(y4 + o);
            a5.Store(y5 + o);
            a6.Store(y6 + o);
            a7.Store(y7 + o);
        }
        for (var row = 0; row < RowsAtOnce && o < n; row++)
            for (var i = 0; i < count; i++) AddOne(weights + i * step, packed[i * packedStep + row], y + (long)row * n, o, n);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, Vector512<float> a, Vector512<float> b, Vector512<float> c)
    {
        a.Store(y);
        b.Store(y + 16);
        c.Store(y + 32);
    }

    /// <summary>What four inputs add to the outputs of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddFour(float* w0, float* a, float* y, int from, int to)
    {
        float* w1 = w0 + To, w2 = w1 + To, w3 = w2 + To;
        var (v0, v1, v2, v3) = (Vector512.Create(a[0]), Vector512.Create(a[1]), Vector512.Create(a[2]), Vector512.Create(a[3]));
        var o = from;
        for (; o + 16 <= to; o += 16)
        {
            var sum = Vector512.FusedMultiplyAdd(Vector512.Load(w0 + o), v0, Vector512.Load(y + o));
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(w1 + o), v1, sum);
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(w2 + o), v2, sum);
            Vector512.FusedMultiplyAdd(Vector512.Load(w3 + o), v3, sum).Store(y + o);
        }
        for (; o < to; o++) y[o] += w0[o] * a[0] + w1[o] * a[1] + w2[o] * a[2] + w3[o] * a[3];
    }

    /// <summary>What an input adds to the outputs of a row.</summary>
    private static void AddOne(float* w, float a, float* y, int from, int to)
    {
        var target = new Span<float>(y + from, to - from);
        TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(w + from, to - from), a, target, target);
    }
}
