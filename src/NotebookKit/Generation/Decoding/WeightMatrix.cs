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
    private const int Outputs = 4, Inputs = 4, RowsAtOnce = 4, BlockOutputs = 16, BlockColumns = 512, PrefetchBytes = 4096, PanelRows = 8, PanelInputs = 16, PanelOutputs = 48;
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

    /// <summary>A part of the product.</summary>
    /// <param name="x">(rows, From), one after the other.</param>
    /// <param name="rows">Rows of X.</param>
    /// <param name="y">(rows, <paramref name="stride"/>); outputs begin at the pointer.</param>
    /// <param name="stride">Numbers from a row of Y to the next.</param>
    /// <param name="partial">Room of this part's own, rows × To numbers, where inputs are split.</param>
    /// <param name="part">Which.</param>
    /// <param name="parts">Of how many.</param>
    public void Multiply(float* x, int rows, float* y, int stride, float* partial, int part, int parts)
    {
        if (_isTransposed)
        {
            var (first, end) = Share(From, part, parts);
            if (rows < PanelRows)
            {
                Accumulate((float*)_weights, x, rows, partial, first, end);
                return;
            }
            new Span<float>(partial, rows * To).Clear();
            for (var input = first; input < end; input += PanelInputs) AddInputs(x, rows, partial, input, Math.Min(PanelInputs, end - input));
            return;
        }
        var (from, to) = Share(part, parts);
        switch (_format)
        {
            case DecodingWeights.AsLoaded: Product<float, Float32Weights>((float*)_weights, x, rows, y, stride, from, to); break;
            case DecodingWeights.BFloat16: Product<ushort, BFloat16Weights>((ushort*)_weights, x, rows, y, stride, from, to); break;
            default: Product<sbyte, Int8Weights>((sbyte*)_weights, x, rows, y, stride, from, to); break;
        }
    }

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
        for (var block = from; block < to; block += BlockOutputs)              // a block of weights is read once from memory and stays near for all rows
        {
            var end = Math.Min(to, block + BlockOutputs);
            var row = 0;
            for (; row + 2 * RowsAtOnce <= rows; row += 2 * RowsAtOnce)
                for (var o = block; o < end; o += 2)
                {
                    if (o + 2 <= end) Wide<T, TFormat>(weights, o, x + (long)row * From, y + (long)row * stride, stride);
                    else
                        for (var r = row; r < row + 2 * RowsAtOnce; r++) Few<T, TFormat>(weights, o, end, x + (long)r * From, y + (long)r * stride);
                }
            for (; row + RowsAtOnce <= rows; row += RowsAtOnce)
                for (var o = block; o < end; o += Outputs)
                {
                    if (o + Outputs <= end) Tile<T, TFormat>(weights, o, x + (long)row * From, y + (long)row * stride, stride);
                    else
                        for (var r = row; r < row + RowsAtOnce; r++) Few<T, TFormat>(weights, o, end, x + (long)r * From, y + (long)r * stride);
                }
            for (; row < rows; row++) Few<T, TFormat>(weights, block, end, x + (long)row * From, y + (long)row * stride);
        }
    }

    /// <summary>Four outputs of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Tile<T, TFormat>(T* weights, int o, float* x, float* y, int stride) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        int n = From, whole = n & ~15;
        T* w0 = weights + (long)o * n, w1 = w0 + n, w2 = w1 + n, w3 = w2 + n;
        float* x1 = x + n, x2 = x1 + n, x3 = x2 + n;
        Vector512<float> a00 = default, a01 = default, a02 = default, a03 = default, a10 = default, a11 = default, a12 = default, a13 = default;
        Vector512<float> a20 = default, a21 = default, a22 = default, a23 = default, a30 = default, a31 = default, a32 = default, a33 = default;
        for (var i = 0; i < whole; i += 16)
        {
            var (v0, v1, v2, v3) = (TFormat.Load(w0 + i), TFormat.Load(w1 + i), TFormat.Load(w2 + i), TFormat.Load(w3 + i));
            Prefetch((byte*)w0 + PrefetchBytes + 4L * i * sizeof(T), sizeof(T));
            var r = Vector512.Load(x + i);
            a00 = Vector512.FusedMultiplyAdd(v0, r, a00);
            a01 = Vector512.FusedMultiplyAdd(v1, r, a01);
            a02 = Vector512.FusedMultiplyAdd(v2, r, a02);
            a03 = Vector512.FusedMultiplyAdd(v3, r, a03);
            r = Vector512.Load(x1 + i);
            a10 = Vector512.FusedMultiplyAdd(v0, r, a10);
            a11 = Vector512.FusedMultiplyAdd(v1, r, a11);
            a12 = Vector512.FusedMultiplyAdd(v2, r, a12);
            a13 = Vector512.FusedMultiplyAdd(v3, r, a13);
            r = Vector512.Load(x2 + i);
            a20 = Vector512.FusedMultiplyAdd(v0, r, a20);
            a21 = Vector512.FusedMultiplyAdd(v1, r, a21);
            a22 = Vector512.FusedMultiplyAdd(v2, r, a22);
            a23 = Vector512.FusedMultiplyAdd(v3, r, a23);
            r = Vector512.Load(x3 + i);
            a30 = Vector512.FusedMultiplyAdd(v0, r, a30);
            a31 = Vector512.FusedMultiplyAdd(v1, r, a31);
            a32 = Vector512.FusedMultiplyAdd(v2, r, a32);
            a33 = Vector512.FusedMultiplyAdd(v3, r, a33);
        }
        Finish<T, TFormat>(weights, o, whole, x, y + o, Sums(a00, a01, a02, a03));
        Finish<T, TFormat>(weights, o, whole, x1, y + stride + o, Sums(a10, a11, a12, a13));
        Finish<T, TFormat>(weights, o, whole, x2, y + 2L * stride + o, Sums(a20, a21, a22, a23));
        Finish<T, TFormat>(weights, o, whole, x3, y + 3L * stride + o, Sums(a30, a31, a32, a33));
    }

    /// <summary>Two outputs of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Wide<T, TFormat>(T* weights, int o, float* x, float* y, int stride) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        int n = From, whole = n & ~15;
        T* w0 = weights + (long)o * n, w1 = w0 + n;
        float* x1 = x + 1L * n, x2 = x + 2L * n, x3 = x + 3L * n, x4 = x + 4L * n, x5 = x + 5L * n, x6 = x + 6L * n, x7 = x + 7L * n;
        Vector512<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default, a4 = default, b4 = default, a5 = default, b5 = default, a6 = default, b6 = default, a7 = default, b7 = default;
        for (var i = 0; i < whole; i += 16)
        {
            if ((i & 31) == 0) Prefetch((byte*)w0 + PrefetchBytes + 2L * i * sizeof(T), sizeof(T));
            var (v, u) = (TFormat.Load(w0 + i), TFormat.Load(w1 + i));
            var r = Vector512.Load(x + i);
            a0 = Vector512.FusedMultiplyAdd(v, r, a0);
            b0 = Vector512.FusedMultiplyAdd(u, r, b0);
            r = Vector512.Load(x1 + i);
            a1 = Vector512.FusedMultiplyAdd(v, r, a1);
            b1 = Vector512.FusedMultiplyAdd(u, r, b1);
            r = Vector512.Load(x2 + i);
            a2 = Vector512.FusedMultiplyAdd(v, r, a2);
            b2 = Vector512.FusedMultiplyAdd(u, r, b2);
            r = Vector512.Load(x3 + i);
            a3 = Vector512.FusedMultiplyAdd(v, r, a3);
            b3 = Vector512.FusedMultiplyAdd(u, r, b3);
            r = Vector512.Load(x4 + i);
            a4 = Vector512.FusedMultiplyAdd(v, r, a4);
            b4 = Vector512.FusedMultiplyAdd(u, r, b4);
            r = Vector512.Load(x5 + i);
            a5 = Vector512.FusedMultiplyAdd(v, r, a5);
            b5 = Vector512.FusedMultiplyAdd(u, r, b5);
            r = Vector512.Load(x6 + i);
            a6 = Vector512.FusedMultiplyAdd(v, r, a6);
            b6 = Vector512.FusedMultiplyAdd(u, r, b6);
            r = Vector512.Load(x7 + i);
            a7 = Vector512.FusedMultiplyAdd(v, r, a7);
            b7 = Vector512.FusedMultiplyAdd(u, r, b7);
        }
        Pair<T, TFormat>(weights, o, whole, x, y + o, n, stride, Sums(a0, b0, a1, b1));
        Pair<T, TFormat>(weights, o, whole, x2, y + 2L * stride + o, n, stride, Sums(a2, b2, a3, b3));
        Pair<T, TFormat>(weights, o, whole, x4, y + 4L * stride + o, n, stride, Sums(a4, b4, a5, b5));
        Pair<T, TFormat>(weights, o, whole, x6, y + 6L * stride + o, n, stride, Sums(a6, b6, a7, b7));
    }

    /// <summary>Outputs of one row, one after the other, so that memory is read straight through.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Few<T, TFormat>(T* weights, int from, int to, float* x, float* y) where T : unmanaged where TFormat : IWeightFormat<T>
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
            y[o] = End<T, TFormat>(weights, o, whole, x, Sums(a0, a1, a2, a3));
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

    /// <summary>Four outputs of a row: what fills no vector, the factor of int8, and the bias.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Finish<T, TFormat>(T* weights, int o, int whole, float* x, float* y, Vector128<float> sums) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        for (var i = whole; i < From; i++)
            sums += Vector128.Create(TFormat.Value(weights[(long)o * From + i]), TFormat.Value(weights[(o + 1L) * From + i]), TFormat.Value(weights[(o + 2L) * From + i]), TFormat.Value(weights[(o + 3L) * From + i])) * x[i];
        if (_scales is not null) sums *= Vector128.Load(_scales + o);
        if (_biases is not null) sums += Vector128.Load(_biases + o);
        sums.Store(y);
    }

    /// <summary>The same for two outputs of two rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Pair<T, TFormat>(T* weights, int o, int whole, float* x, float* y, int step, int stride, Vector128<float> sums) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        for (var i = whole; i < From; i++)
        {
            var (first, second) = (TFormat.Value(weights[(long)o * From + i]), TFormat.Value(weights[(o + 1L) * From + i]));
            sums += Vector128.Create(first * x[i], second * x[i], first * x[step + i], second * x[step + i]);
        }
        if (_scales is not null) sums *= Vector128.Create(_scales[o], _scales[o + 1], _scales[o], _scales[o + 1]);
        if (_biases is not null) sums += Vector128.Create(_biases[o], _biases[o + 1], _biases[o], _biases[o + 1]);
        (y[0], y[1], y[stride], y[stride + 1]) = (sums[0], sums[1], sums[2], sums[3]);
    }

    /// <summary>The same for one output, from four partial sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float End<T, TFormat>(T* weights, int o, int whole, float* x, Vector128<float> sums) where T : unmanaged where TFormat : IWeightFormat<T>
    {
        var sum = sums[0] + sums[1] + (sums[2] + sums[3]);
        for (var i = whole; i < From; i++) sum += TFormat.Value(weights[(long)o * From + i]) * x[i];
        if (_scales is not null) sum *= _scales[o];
        return _biases is null ? sum : sum + _biases[o];
    }
}
