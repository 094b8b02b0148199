using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using NotebookKit.Models.Layers;
using NotebookKit.Runtime;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace NotebookKit.Generation.Decoding;

/// <summary>
/// Y = X Wᵀ + b for a few rows of X: the speed of that is the speed at which W is read. fp32 weights stay where the model has them; others are a copy. Work is cut into parts by outputs
/// (by inputs where the weights lie the other way round).
/// </summary>
internal sealed unsafe partial class WeightMatrix : IDisposable
{
    private const int RowsAtOnce = 8, OutputsAtOnce = 3, PrefetchBytes = 4096;
    private readonly DecodingWeights _format;
    private readonly bool _isTransposed;
    private readonly Tensor _keepsAlive;
    private readonly Tensor? _bias;
    private readonly void* _weights;
    private readonly float* _scales;
    private readonly float* _biases;
    private readonly bool _owns;

    public WeightMatrix(MatrixPlan plan, DecodingWeights format)
    {
        (_format, _keepsAlive) = (format, plan.Weight);
        (To, From) = plan.IsTransposed ? ((int)plan.Weight.size(1), (int)plan.Weight.size(0)) : ((int)plan.Weight.size(0), (int)plan.Weight.size(1));
        _bias = plan.Bias;
        if (_bias is not null) _biases = (float*)TensorMemory.Pointer(_bias);
        var source = (float*)TensorMemory.Pointer(plan.Weight);
        if (format == DecodingWeights.AsLoaded)
        {
            _weights = source;
            _isTransposed = plan.IsTransposed;
            return;
        }
        _owns = true;
        var (rowStep, columnStep) = plan.IsTransposed ? (1L, (long)To) : (From, 1L);
        var (to, from) = (To, From);
        if (format == DecodingWeights.BFloat16)
        {
            var target = (ushort*)(_weights = NativeMemory.AlignedAlloc((nuint)((long)to * from * sizeof(ushort)), 64));
            Parallel.For(0, to, o =>
            {
                for (var i = 0; i < from; i++) target[(long)o * from + i] = BFloat16Weights.Round(source[o * rowStep + i * columnStep]);
            });
            return;
        }
        var bytes = (sbyte*)(_weights = NativeMemory.AlignedAlloc((nuint)((long)to * from), 64));
        var scales = _scales = (float*)NativeMemory.AlignedAlloc((nuint)(to * sizeof(float)), 64);
        Parallel.For(0, to, o =>
        {
            var largest = 0f;
            for (var i = 0; i < from; i++) largest = Math.Max(largest, Math.Abs(source[o * rowStep + i * columnStep]));
            scales[o] = largest / 127;
            for (var i = 0; i < from; i++) bytes[(long)o * from + i] = largest == 0 ? (sbyte)0 : (sbyte)Math.Round(source[o * rowStep + i * columnStep] / scales[o]);
        });
    }

    /// <summary>Numbers in.</summary>
    public int From { get; }

    /// <summary>Numbers out.</summary>
    public int To { get; }

    /// <summary>Bytes that a pass reads.</summary>
    public long Bytes => (long)To * From * (_format switch { DecodingWeights.AsLoaded => 4, DecodingWeights.BFloat16 => 2, _ => 1 });

    /// <summary>Whether parts split inputs, so that <see cref="Gather"/> has to add up what they found: memory is read straight through then.</summary>
    public bool NeedsGathering => _isTransposed;

    /// <summary>The outputs of a part.</summary>
    public (int From, int To) Share(int part, int parts) => Share(To, part, parts);

    /// <summary>A part of a number of things, a multiple of sixteen but for the last.</summary>
    public static (int From, int To) Share(int count, int part, int parts)
    {
        var each = ((count + parts - 1) / parts + 15) & ~15;
        return (Math.Min(count, part * each), Math.Min(count, (part + 1) * each));
    }

    /// <summary>A part of the product. Where there is more than one row, work goes on in groups of eight: memory is what takes time, and rows that are not there cost little.</summary>
    /// <param name="x">(rows, From), one after the other, with room up to the next multiple of eight rows; what lies there is read and nothing made of it.</param>
    /// <param name="rows">Rows of X.</param>
    /// <param name="y">(rows, <paramref name="stride"/>), with room likewise, which is written over; outputs begin at the pointer.</param>
    /// <param name="stride">Numbers from a row of Y to the next.</param>
    /// <param name="partial">Room of this part's own, likewise of To numbers a row, where inputs are split.</param>
    /// <param name="part">Which.</param>
    /// <param name="parts">Of how many.</param>
    public void Multiply(float* x, int rows, float* y, int stride, float* partial, int part, int parts)
    {
        if (_isTransposed)
        {
            var (first, end) = Share(From, part, parts);
            if (rows == 1) AddInputs(x, partial, first, end);
            else AddInputs(x, Whole(rows), partial, first, end);
            return;
        }
        var (from, to) = Share(part, parts);
        switch (_format)
        {
            case DecodingWeights.AsLoaded: Product<float, Float32Weights>((float*)_weights, x, Whole(rows), y, stride, from, to); break;
            case DecodingWeights.BFloat16: Product<ushort, BFloat16Weights>((ushort*)_weights, x, Whole(rows), y, stride, from, to); break;
            default: Product<sbyte, Int8Weights>((sbyte*)_weights, x, Whole(rows), y, stride, from, to); break;
        }
    }

    /// <summary>Rows that are worked on: one, or groups of eight.</summary>
    private static int Whole(int rows) => rows == 1 ? 1 : (rows + RowsAtOnce - 1) / RowsAtOnce * RowsAtOnce;

    /// <summary>Adds up all parts' partial sums for a part of the outputs.</summary>
    public void Gather(float*[] partials, int rows, float* y, int stride, int part, int parts)
    {
        var (from, to) = Share(part, parts);
        for (var row = 0; row < rows; row++)
        {
            var target = new Span<float>(y + (long)row * stride + from, to - from);
            Start(target, from);
            foreach (var partial in partials) TensorPrimitives.Add(target, new ReadOnlySpan<float>(partial + (long)row * To + from, to - from), target);
        }
    }

    /// <summary>What sums begin at: the bias of the outputs from <paramref name="from"/> on, or 0.</summary>
    private void Start(Span<float> target, int from)
    {
        if (_biases is null) target.Clear();
        else new ReadOnlySpan<float>(_biases + from, target.Length).CopyTo(target);
    }

    public void Dispose()
    {
        if (_owns) NativeMemory.AlignedFree(_weights);
        NativeMemory.AlignedFree(_scales);
        GC.KeepAlive(_keepsAlive);
    }

    private void Product<T, TFormat>(T* weights, float* x, int rows, float* y, int stride, int from, int to) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        if (rows == 1)
        {
            Row<T, TFormat>(weights, from, to, x, y);
            return;
        }
        var apart = (to - from) / OutputsAtOnce;
        var rest = from + apart * OutputsAtOnce;
        for (var o = from; o < from + apart; o++)
            for (var row = 0; row < rows; row += RowsAtOnce) Tile<T, TFormat>(weights, o, apart, x + (long)row * From, y + (long)row * stride, stride);
        for (var row = 0; row < rows && rest < to; row++) Row<T, TFormat>(weights, rest, to, x + (long)row * From, y + (long)row * stride);
    }

    /// <summary>
    /// Three outputs of eight rows. The outputs are far apart, so that each is one of three streams that run straight through memory: those are fetched ahead better than one stream, or than three that jump.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Tile<T, TFormat>(T* weights, int o, int apart, float* x, float* y, int stride) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        int n = From, whole = n & ~15, perLine = 64 / sizeof(T) - 1;
        T* wa = weights + (long)o * n, wb = wa + (long)apart * n, wc = wb + (long)apart * n;
        float* x1 = x + n, x2 = x1 + n, x3 = x2 + n, x4 = x3 + n, x5 = x4 + n, x6 = x5 + n, x7 = x6 + n;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default;
        Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default, b4 = default, b5 = default, b6 = default, b7 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        for (var i = 0; i < whole; i += 16)
        {
            if (Sse.IsSupported && (i & perLine) == 0)
            {
                Sse.Prefetch0((byte*)(wa + i) + PrefetchBytes);
                Sse.Prefetch0((byte*)(wb + i) + PrefetchBytes);
                Sse.Prefetch0((byte*)(wc + i) + PrefetchBytes);
            }
            Vector512<float> a = TFormat.Load(wa + i), b = TFormat.Load(wb + i), c = TFormat.Load(wc + i), r = Vector512.Load(x + i);
            a0 = Vector512.FusedMultiplyAdd(a, r, a0);
            b0 = Vector512.FusedMultiplyAdd(b, r, b0);
            c0 = Vector512.FusedMultiplyAdd(c, r, c0);
            r = Vector512.Load(x1 + i);
            a1 = Vector512.FusedMultiplyAdd(a, r, a1);
            b1 = Vector512.FusedMultiplyAdd(b, r, b1);
            c1 = Vector512.FusedMultiplyAdd(c, r, c1);
            r = Vector512.Load(x2 + i);
            a2 = Vector512.FusedMultiplyAdd(a, r, a2);
            b2 = Vector512.FusedMultiplyAdd(b, r, b2);
            c2 = Vector512.FusedMultiplyAdd(c, r, c2);
            r = Vector512.Load(x3 + i);
            a3 = Vector512.FusedMultiplyAdd(a, r, a3);
            b3 = Vector512.FusedMultiplyAdd(b, r, b3);
            c3 = Vector512.FusedMultiplyAdd(c, r, c3);
            r = Vector512.Load(x4 + i);
            a4 = Vector512.FusedMultiplyAdd(a, r, a4);
            b4 = Vector512.FusedMultiplyAdd(b, r, b4);
            c4 = Vector512.FusedMultiplyAdd(c, r, c4);
            r = Vector512.Load(x5 + i);
            a5 = Vector512.FusedMultiplyAdd(a, r, a5);
            b5 = Vector512.FusedMultiplyAdd(b, r, b5);
            c5 = Vector512.FusedMultiplyAdd(c, r, c5);
            r = Vector512.Load(x6 + i);
            a6 = Vector512.FusedMultiplyAdd(a, r, a6);
            b6 = Vector512.FusedMultiplyAdd(b, r, b6);
            c6 = Vector512.FusedMultiplyAdd(c, r, c6);
            r = Vector512.Load(x7 + i);
            a7 = Vector512.FusedMultiplyAdd(a, r, a7);
            b7 = Vector512.FusedMultiplyAdd(b, r, b7);
            c7 = Vector512.FusedMultiplyAdd(c, r, c7);
        }
        Finish<T, TFormat>(wa, o, x, y, stride, Sums(a0, a1, a2, a3));
        Finish<T, TFormat>(wa, o, x4, y + 4L * stride, stride, Sums(a4, a5, a6, a7));
        Finish<T, TFormat>(wb, o + apart, x, y, stride, Sums(b0, b1, b2, b3));
        Finish<T, TFormat>(wb, o + apart, x4, y + 4L * stride, stride, Sums(b4, b5, b6, b7));
        Finish<T, TFormat>(wc, o + 2 * apart, x, y, stride, Sums(c0, c1, c2, c3));
        Finish<T, TFormat>(wc, o + 2 * apart, x4, y + 4L * stride, stride, Sums(c4, c5, c6, c7));
    }

    /// <summary>Outputs of one row, one after the other, so that memory is read straight through.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Row<T, TFormat>(T* weights, int from, int to, float* x, float* y) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        int n = From, whole = n & ~15, fours = n & ~63;
        for (var o = from; o < to; o++)
        {
            var w = weights + (long)o * n;
            Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
            var i = 0;
            for (; i < fours; i += 64)
            {
                Prefetch(w + i + PrefetchBytes / sizeof(T), sizeof(T));
                a0 = Vector512.FusedMultiplyAdd(TFormat.Load(w + i), Vector512.Load(x + i), a0);
                a1 = Vector512.FusedMultiplyAdd(TFormat.Load(w + i + 16), Vector512.Load(x + i + 16), a1);
                a2 = Vector512.FusedMultiplyAdd(TFormat.Load(w + i + 32), Vector512.Load(x + i + 32), a2);
                a3 = Vector512.FusedMultiplyAdd(TFormat.Load(w + i + 48), Vector512.Load(x + i + 48), a3);
            }
            for (; i < whole; i += 16) a0 = Vector512.FusedMultiplyAdd(TFormat.Load(w + i), Vector512.Load(x + i), a0);
            y[o] = Finish<T, TFormat>(w, o, x, Sums(a0, a1, a2, a3));
        }
    }

    /// <summary>Asks for the lines that 64 weights take, some way ahead; beyond the end nothing happens.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(void* at, int lines)
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch0(at);
        if (lines > 1) Sse.Prefetch0((byte*)at + 64);
        if (lines > 2)
        {
            Sse.Prefetch0((byte*)at + 128);
            Sse.Prefetch0((byte*)at + 192);
        }
    }

    /// <summary>The sums of four vectors. (The platform's own takes the lanes in order, one after the other, for each.)</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<float> Sums(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        if (!Avx.IsSupported) return Vector128.Create(Vector512.Sum(a), Vector512.Sum(b), Vector512.Sum(c), Vector512.Sum(d));
        var ab = Avx.HorizontalAdd(a.GetLower() + a.GetUpper(), b.GetLower() + b.GetUpper());
        var cd = Avx.HorizontalAdd(c.GetLower() + c.GetUpper(), d.GetLower() + d.GetUpper());
        var all = Avx.HorizontalAdd(ab, cd);
        return all.GetLower() + all.GetUpper();
    }

    /// <summary>An output of four rows: what fills no vector, the factor of int8, and the bias.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Finish<T, TFormat>(T* w, int o, float* x, float* y, int stride, Vector128<float> sums) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        int n = From;
        for (var i = n & ~15; i < n; i++) sums += Vector128.Create(x[i], x[n + i], x[2L * n + i], x[3L * n + i]) * TFormat.Value(w[i]);
        if (_scales is not null) sums *= _scales[o];
        if (_biases is not null) sums += Vector128.Create(_biases[o]);
        (y[o], y[stride + o], y[2L * stride + o], y[3L * stride + o]) = (sums[0], sums[1], sums[2], sums[3]);
    }

    /// <summary>The same for one row, from four partial sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float Finish<T, TFormat>(T* w, int o, float* x, Vector128<float> sums) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        var sum = sums[0] + sums[1] + (sums[2] + sums[3]);
        for (var i = From & ~15; i < From; i++) sum += TFormat.Value(w[i]) * x[i];
        if (_scales is not null) sum *= _scales[o];
        return _biases is null ? sum : sum + _biases[o];
    }
}
