using NotebookKit.Generation.Decoding;

namespace NotebookKit.Tests.Generation;

/// <summary>Against the platform's functions in fp64.</summary>
public sealed class VectorMathTests
{
    [Fact]
    public void The_exponential_is_right_to_rounding_and_clamped_beyond()
    {
        Span<float> x = stackalloc float[16];
        for (var from = -87.0; from < 87; from += 0.37)
        {
            for (var i = 0; i < 16; i++) x[i] = (float)(from + 0.023 * i);
            var got = VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create((ReadOnlySpan<float>)x));
            for (var i = 0; i < 16; i++) Assert.Equal(1, got[i] / Math.Exp(Math.Clamp(x[i], -87, 87)), 3e-7);
        }
        foreach (var far in new[] { -1000f, -88f, 88f, 1000f }) Assert.Equal(1, VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create(far))[3] / Math.Exp(Math.Clamp(far, -87, 87)), 3e-7);
    }

    /// <summary>SiLU and the tanh approximation of GELU by their definitions, at a length that fills no vector.</summary>
    [Fact]
    public void X_times_a_sigmoid_is_silu_and_gelu()
    {
        var (silu, gelu) = (new float[1003], new float[1003]);
        for (var i = 0; i < silu.Length; i++) silu[i] = gelu[i] = (i - 500) / 40f;
        var x = silu.ToArray();
        var factor = 2 * Math.Sqrt(2 / Math.PI);
        VectorMath.TimesSigmoid(silu, 1, 0);
        VectorMath.TimesSigmoid(gelu, (float)factor, (float)(factor * 0.044715));
        for (var i = 0; i < x.Length; i++)
        {
            double v = x[i];
            Assert.Equal(v / (1 + Math.Exp(-v)), silu[i], 2e-6);
            Assert.Equal(0.5 * v * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v))), gelu[i], 2e-6);
        }
    }
}
