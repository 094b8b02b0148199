using System.Globalization;
using NotebookKit.Display;

namespace NotebookKit.Statistics;

/// <summary>
/// Compares two methods that were run on the same seeds (the same draws and splits): what counts is the difference per seed. Interval by Student's t on
/// the differences; p value by flipping their signs in every way (exact up to 20 seeds, the permutation test of Fisher 1935).
/// </summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class PairedComparison : IShown
{
    private const int MostExact = 20;

    /// <summary>Compares scores seed by seed.</summary>
    /// <param name="nameA">Name of the first method.</param>
    /// <param name="a">Its score per seed.</param>
    /// <param name="nameB">Name of the second method.</param>
    /// <param name="b">Its score per seed, in the same order.</param>
    /// <param name="level">Confidence level. Default 0.95.</param>
    /// <exception cref="ArgumentException">The lists differ in length, or have fewer than two or more than 20 seeds.</exception>
    public PairedComparison(string nameA, IReadOnlyList<double> a, string nameB, IReadOnlyList<double> b, double level = 0.95)
    {
        if (a.Count != b.Count) throw new ArgumentException($"'{nameA}' has {a.Count} seeds and '{nameB}' {b.Count}; a paired comparison needs the same seeds for both.", nameof(b));
        if (a.Count > MostExact) throw new ArgumentException($"At most {MostExact} seeds are compared exactly; got {a.Count}.", nameof(a));
        (NameA, NameB) = (nameA, nameB);
        var differences = a.Zip(b, (x, y) => x - y).ToArray();
        Difference = Intervals.OfMean(differences, level);
        var observed = Math.Abs(differences.Sum());
        var asLarge = Enumerable.Range(0, 1 << differences.Length).Count(signs =>
            Math.Abs(differences.Select((d, i) => (signs >> i & 1) == 0 ? d : -d).Sum()) >= observed - 1e-12);
        PValue = asLarge / (double)(1 << differences.Length);
    }

    /// <summary>Name of the first method.</summary>
    public string NameA { get; }

    /// <summary>Name of the second method.</summary>
    public string NameB { get; }

    /// <summary>First minus second, mean over seeds with its interval.</summary>
    public Interval Difference { get; }

    /// <summary>Two-sided p value of the sign-flip test. With n seeds it is at least 2/2ⁿ.</summary>
    public double PValue { get; }

    /// <summary>What can be said: which is better by how many points, or that one cannot tell.</summary>
    public string Verdict => !Difference.ExcludesZero
        ? $"cannot tell {NameA} from {NameB} ({Points(Difference.Estimate)} points, interval [{Points(Difference.Lower)}, {Points(Difference.Upper)}] holds zero)"
        : Difference.Estimate > 0
            ? $"{NameA} beats {NameB} by {Difference.AsPoints()}"
            : $"{NameB} beats {NameA} by {new Interval(-Difference.Estimate, -Difference.Upper, -Difference.Lower, Difference.Level).AsPoints()}";

    /// <inheritdoc/>
    public string ToHtml() => $"<p>{System.Net.WebUtility.HtmlEncode(ToText())}</p>";

    /// <inheritdoc/>
    public string ToText() => string.Create(CultureInfo.InvariantCulture, $"{Verdict}; sign-flip p = {PValue:0.####}");

    private static string Points(double share) => (share * 100).ToString("F1", CultureInfo.InvariantCulture);
}
