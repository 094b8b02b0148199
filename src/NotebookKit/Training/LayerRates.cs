using System.Globalization;
using System.Text.RegularExpressions;
using NotebookKit.Models;

namespace NotebookKit.Training;

/// <summary>Learning rates that fall layer by layer from the head down (Howard &amp; Ruder 2018; Sun et al. 2019, https://arxiv.org/abs/1905.05583): the head has 1, the last layer decay, the embeddings decay^(L + 1).</summary>
internal static partial class LayerRates
{
    /// <summary>Factor on the rate by parameter name, with what an adapter asks for its own.</summary>
    /// <exception cref="ArgumentException">RateFactors are not as many as the model has layers, and two.</exception>
    public static Func<string, double> Of(LanguageModel model, FinetuneSettings settings)
    {
        var names = model.named_parameters().Select(p => p.name).ToArray();
        var layers = settings.RateFactors is { } factors ? Listed(factors, Count(names)) : Of(names, settings.LayerDecay);
        return model.Adapter is { } adapter ? name => layers(name) * adapter.RateOf(name) : layers;
    }

    /// <summary>Factor on the rate by parameter name.</summary>
    /// <param name="names">Names of all parameters.</param>
    /// <param name="decay">Factor from a layer to the one below, in (0, 1]; 1 is the same rate for all.</param>
    public static Func<string, double> Of(IEnumerable<string> names, double decay)
    {
        var layers = Count(names);
        return name => LayerOf(name) is { } layer ? Math.Pow(decay, layers - layer) : IsEmbedding(name) ? Math.Pow(decay, layers + 1) : 1;
    }

    private static Func<string, double> Listed(IReadOnlyList<double> factors, int layers) => factors.Count == layers + 2
        ? name => LayerOf(name) is { } layer ? factors[layer + 1] : IsEmbedding(name) ? factors[0] : factors[^1]
        : throw new ArgumentException($"RateFactors has {factors.Count} numbers; the model needs {layers + 2}: embeddings, {layers} layers, head.");

    /// <summary>Whether a parameter is below the layers that are trained.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="frozen">Layers that are frozen, from the bottom; <c>null</c> freezes nothing, 0 the embeddings.</param>
    public static bool IsFrozen(string name, int? frozen) => frozen is { } count && (LayerOf(name) is { } layer ? layer < count : IsEmbedding(name));

    /// <summary>Number of layers.</summary>
    public static int Count(IEnumerable<string> names) => names.Select(LayerOf).Max() + 1 ?? 0;

    private static int? LayerOf(string name) => Layer().Match(name) is { Success: true } match ? int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : null;

    private static bool IsEmbedding(string name) => name.Contains("embed", StringComparison.OrdinalIgnoreCase) || name.Contains("wte", StringComparison.Ordinal) || name.Contains("wpe", StringComparison.Ordinal);

    [GeneratedRegex(@"\.(?:layer|layers|h|block|albert_layers)\.(\d+)\.")]
    private static partial Regex Layer();
}
