using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NotebookKit.Generation.Decoding;

/// <summary>How a weight lies in memory, and how sixteen of them become numbers.</summary>
internal unsafe interface IWeightFormat<T> where T : unmanaged
{
    static abstract Vector512<float> Load(T* at);

    static abstract float Value(T weight);
}

/// <summary>fp32.</summary>
internal readonly unsafe struct Float32Weights : IWeightFormat<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* at) => Vector512.Load(at);

    public static float Value(float weight) => weight;
}

/// <summary>The upper half of fp32.</summary>
internal readonly unsafe struct BFloat16Weights : IWeightFormat<ushort>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(ushort* at)
    {
        var half = Vector256.Load(at);
        var wide = Avx512F.IsSupported ? Avx512F.ConvertToVector512UInt32(half) : Vector512.Create(Vector256.WidenLower(half), Vector256.WidenUpper(half));
        return (wide << 16).AsSingle();
    }

    public static float Value(ushort weight) => BitConverter.UInt32BitsToSingle((uint)weight << 16);

    /// <summary>The nearest bf16, to even where two are as near; what is no number stays none.</summary>
    public static ushort Round(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7fc0 : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}

/// <summary>Whole numbers from -127 to 127, times a factor a row of the matrix (absolute maximum over 127; Dettmers et al. 2022, https://arxiv.org/abs/2208.07339, section 2, without activations).</summary>
internal readonly unsafe struct Int8Weights : IWeightFormat<sbyte>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(sbyte* at)
    {
        var bytes = Vector128.Load(at);
        if (Avx512F.IsSupported) return Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(bytes));
        var (low, high) = (Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes));
        return Vector512.ConvertToSingle(Vector512.Create(Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low)), Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high))));
    }

    public static float Value(sbyte weight) => weight;
}
