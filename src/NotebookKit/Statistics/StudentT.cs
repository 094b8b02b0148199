namespace NotebookKit.Statistics;

/// <summary>Student's t distribution, through the regularised incomplete beta function (continued fraction; Press et al., Numerical Recipes §6.4).</summary>
public static class StudentT
{
    /// <summary>P(T ≤ t).</summary>
    /// <param name="t">Any number.</param>
    /// <param name="degrees">Degrees of freedom, above 0.</param>
    public static double Cdf(double t, double degrees)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(degrees);
        if (double.IsInfinity(t)) return t > 0 ? 1 : 0;
        return t > 0 ? 1 - Tail(t, degrees) : Tail(t, degrees);
    }

    /// <summary>P(T &gt; |t|), exact also where it is tiny.</summary>
    private static double Tail(double t, double degrees) => 0.5 * IncompleteBeta(degrees / 2, 0.5, degrees / (degrees + t * t));

    /// <summary>The t below which a share <paramref name="p"/> lies, p in (0, 1).</summary>
    public static double Quantile(double p, double degrees)
    {
        if (p is <= 0 or >= 1) throw new ArgumentOutOfRangeException(nameof(p), p, "A share is in (0, 1).");
        if (p == 0.5) return 0;
        var (low, high, tail) = (0.0, 1.0, Math.Min(p, 1 - p));
        while (Tail(high, degrees) > tail) (low, high) = (high, high * 2);
        for (var i = 0; i < 200 && high - low > 1e-14 * high; i++)
        {
            var middle = (low + high) / 2;
            if (Tail(middle, degrees) > tail) low = middle; else high = middle;
        }
        return p < 0.5 ? -(low + high) / 2 : (low + high) / 2;
    }

    /// <summary>I_x(a, b), in [0, 1].</summary>
    internal static double IncompleteBeta(double a, double b, double x)
    {
        if (x <= 0) return 0;
        if (x >= 1) return 1;
        var front = Math.Exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * Math.Log(x) + b * Math.Log(1 - x));
        return x < (a + 1) / (a + b + 2) ? front * ContinuedFraction(a, b, x) / a : 1 - front * ContinuedFraction(b, a, 1 - x) / b;
    }

    private static double ContinuedFraction(double a, double b, double x)
    {
        const double tiny = 1e-300;
        static double Away(double v) => Math.Abs(v) < tiny ? tiny : v;
        var c = 1.0;
        var d = 1 / Away(1 - (a + b) * x / (a + 1));
        var result = d;
        for (var m = 1; m <= 10_000; m++)
        {
            var even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            d = 1 / Away(1 + even * d);
            c = Away(1 + even / c);
            result *= d * c;
            var odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            d = 1 / Away(1 + odd * d);
            c = Away(1 + odd / c);
            result *= d * c;
            if (Math.Abs(d * c - 1) < 1e-16) break;
        }
        return result;
    }

    /// <summary>ln Γ(x) for x above 0: Stirling's series after shifting to x of at least 15.</summary>
    internal static double LogGamma(double x)
    {
        var shift = 0.0;
        for (; x < 15; x++) shift += Math.Log(x);
        var inverse = 1 / x;
        var square = inverse * inverse;
        var series = inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square * (1.0 / 1188 - square * 691.0 / 360360)))));
        return (x - 0.5) * Math.Log(x) - x + 0.5 * Math.Log(2 * Math.PI) + series - shift;
    }
}
