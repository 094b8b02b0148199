using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NotebookKit.Generation.Decoding;

/// <summary>Functions of many numbers in fp32 throughout; the platform's own compute in fp64 in between.</summary>
internal static class VectorMath
{
    /// <summary>x becomes x σ(a x + b x³).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TimesSigmoid(Span<float> x, float a, float b)
    {
        var (linear, cubic) = (Vector512.Create(-a), Vector512.Create(-b));
        var at = 0;
        for (; at + 16 <= x.Length; at += 16)
        {
            var v = Vector512.Create((ReadOnlySpan<float>)x[at..]);
            (v / (Vector512<float>.One + Exp(v * Vector512.FusedMultiplyAdd(v * v, cubic, linear)))).CopyTo(x[at..]);
        }
        for (; at < x.Length; at++) x[at] /= 1 + MathF.Exp(-x[at] * (a + b * x[at] * x[at]));
    }

    /// <summary>eˣ to about one unit in the last place, x clamped to ±87: 2ⁿ times a polynomial of the rest, |r| ≤ ½ ln 2, whose coefficients are those of its Taylor series.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-87f)), Vector512.Create(87f));
        var n = Vector512.Round(x * 1.44269504f);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);                     // ln 2 in two parts, so that the product is exact
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.FusedMultiplyAdd(r, Vector512.Create(1 / 5040f), Vector512.Create(1 / 720f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 120f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 24f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 6f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512<float>.One;
        return p * ((Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23).AsSingle();
    }
}
