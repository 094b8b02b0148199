using System.Globalization;
using System.Text.RegularExpressions;

namespace NotebookKit.Training;

/// <summary>Learning rates that fall layer by layer from the head down (Howard &amp; Ruder 2018; Sun et al. 2019, https://arxiv.org/abs/1905.05583): the head has 1, the last layer decay, the embeddings decay^(L + 1).</summary>
internal static partial class LayerRates
{
    /// <summary>Factor on the rate by parameter name.</summary>
    /// <param name="names">Names of all parameters.</param>
    /// <param name="decay">Factor from a layer to the one below, in (0, 1]; 1 is the same rate for all.</param>
    public static Func<string, double> Of(IEnumerable<string> names, double decay)
    {
        var all = names.ToArray();
        var layers = all.Select(LayerOf).Where(l => l is not null).DefaultIfEmpty(-1).Max() + 1 ?? 0;
        return name => LayerOf(name) is { } layer ? Math.Pow(decay, layers - layer) : IsEmbedding(name) ? Math.Pow(decay, layers + 1) : 1;
    }

    private static int? LayerOf(string name) => Layer().Match(name) is { Success: true } match ? int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : null;

    private static bool IsEmbedding(string name) => name.Contains("embed", StringComparison.OrdinalIgnoreCase) || name.Contains("wte", StringComparison.Ordinal) || name.Contains("wpe", StringComparison.Ordinal);

    [GeneratedRegex(@"\.(?:layer|layers|h|block|albert_layers)\.(\d+)\.")]
    private static partial Regex Layer();
}
