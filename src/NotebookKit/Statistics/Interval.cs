using System.Globalization;
using NotebookKit.Display;

namespace NotebookKit.Statistics;

/// <summary>An estimate with a confidence interval.</summary>
/// <param name="Estimate">The value.</param>
/// <param name="Lower">Lower end.</param>
/// <param name="Upper">Upper end.</param>
/// <param name="Level">Confidence level in (0, 1), such as 0.95.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record Interval(double Estimate, double Lower, double Upper, double Level) : IShown
{
    /// <summary>Whether the interval lies above 0 or below 0 as a whole.</summary>
    public bool ExcludesZero => Lower > 0 || Upper < 0;

    /// <summary>A difference of shares, such as <c>1.3 points [0.6, 1.9]</c>.</summary>
    public string AsPoints() => string.Create(CultureInfo.InvariantCulture, $"{Estimate * 100:F1} points [{Lower * 100:F1}, {Upper * 100:F1}]");

    /// <summary>Such as <c>81.2 % [79.0, 83.1]</c>.</summary>
    public string AsPercent() => string.Create(CultureInfo.InvariantCulture, $"{Estimate * 100:F1} % [{Lower * 100:F1}, {Upper * 100:F1}]");

    /// <inheritdoc/>
    public string ToHtml() => $"<span>{ToText()}</span>";

    /// <inheritdoc/>
    public string ToText() => string.Create(CultureInfo.InvariantCulture, $"{Estimate:F4} [{Lower:F4}, {Upper:F4}] ({Level * 100:0.#} % interval)");

    /// <inheritdoc/>
    public override string ToString() => ToText();
}
