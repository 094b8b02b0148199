using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Display;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Cards;

/// <summary>Batch and length that costs are stated for.</summary>
public sealed record CostSettings
{
    /// <summary>Sequences in a batch. Default 16.</summary>
    public int Batch { get; init; } = 16;

    /// <summary>Tokens in a sequence. Default 128.</summary>
    public int Length { get; init; } = 128;

    /// <summary>Rank of LoRA's matrices (Hu et al. 2021). Default 8.</summary>
    public int LoraRank { get; init; } = 8;

    /// <summary>Bytes of a weight while it is used. Default 4, fp32.</summary>
    public int BytesPerWeight { get; init; } = 4;
}

/// <summary>
/// What a person wants to know of a pretrained model before using it: its parts, what it needs to load, infer and finetune, its licence and data. Read from the
/// folder without loading weights; the network is laid out on the meta device.
/// </summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class ArchitectureCard : IShown
{
    private readonly List<(string Name, string Value)> _rows = [];

    private ArchitectureCard(string name) => Name = name;

    /// <summary>The model's name.</summary>
    public string Name { get; }

    /// <summary>Number of parameters by component: embeddings, attention, feed-forward, norms, head.</summary>
    public IReadOnlyDictionary<string, long> Parameters { get; private set; } = new Dictionary<string, long>();

    /// <summary>Bytes the tensors take in their files; 0 where only a configuration is there.</summary>
    public long StoredBytes { get; private set; }

    /// <summary>Estimated bytes of memory.</summary>
    public MemoryEstimate Memory { get; private set; } = new(0, 0, 0, 0);

    /// <summary>Multiplications and additions for one token of a forward pass at the stated length; a training step takes three times as many.</summary>
    public double FlopsPerToken { get; private set; }

    /// <summary>The card as rows.</summary>
    public Table Table => new(["", Name], [.. _rows.Select(r => (IReadOnlyList<string>)[r.Name, r.Value])]);

    /// <summary>The card of a model folder or hub id.</summary>
    /// <exception cref="InvalidDataException">The configuration is malformed or of an unknown architecture.</exception>
    public static ArchitectureCard Of(string idOrFolder, CostSettings? costs = null) => Of(PretrainedModel.Open(idOrFolder), costs);

    /// <summary>The card of a pretrained encoder.</summary>
    public static ArchitectureCard Of(PretrainedEncoder encoder, CostSettings? costs = null) => Of(PretrainedModel.Open(encoder.Folder), costs);

    /// <summary>The card of an opened model.</summary>
    public static ArchitectureCard Of(PretrainedModel model, CostSettings? costs = null)
    {
        var card = new ArchitectureCard(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model.Folder))));
        using var checkpoint = Checkpoint.Open(model.Folder);
        card.StoredBytes = checkpoint.Bytes;
        var types = string.Join(", ", checkpoint.Tensors.Select(t => t.DataType).Distinct());
        card.Fill(model.Config, model.Head, costs ?? new CostSettings(), $"{types}, {Bytes(checkpoint.Bytes)}", ModelCard.FrontMatter(Path.Combine(model.Folder, "README.md")));
        return card;
    }

    /// <summary>The card of a configuration alone, of a model of any size.</summary>
    public static ArchitectureCard Of(ConfigJson config, string name, CostSettings? costs = null)
    {
        var card = new ArchitectureCard(name);
        card.Fill(config, Architectures.HeadOf(config), costs ?? new CostSettings(), null, new Dictionary<string, string>());
        return card;
    }

    /// <summary>Several candidates side by side.</summary>
    public static Table Compare(params IReadOnlyList<ArchitectureCard> cards)
    {
        var names = cards.SelectMany(c => c._rows.Select(r => r.Name)).Distinct().ToArray();
        return new Table(["", .. cards.Select(c => c.Name)],
            [.. names.Select(n => (IReadOnlyList<string>)[n, .. cards.Select(c => c._rows.FirstOrDefault(r => r.Name == n).Value ?? "–")])]);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private void Fill(ConfigJson config, HeadSettings head, CostSettings costs, string? stored, IReadOnlyDictionary<string, string> front)
    {
        using var model = Architectures.Build(config, head, new ModelBuilder(new DropoutMask(), onMeta: true));
        Parameters = model.Parameters().GroupBy(p => Component(p.Name)).ToDictionary(g => g.Key, g => g.Sum(p => p.Parameter.numel()));
        var shape = NetworkShape.Of(model);
        Memory = MemoryEstimate.Of(model, shape, costs);
        FlopsPerToken = shape.FlopsPerToken(model, costs.Length);
        void Row(string name, string value) => _rows.Add((name, value));
        Row("architecture", $"{config.ModelType}, {shape.Describe()}");
        Row("parameters", Count(Parameters.Values.Sum()));
        foreach (var component in Components.Where(Parameters.ContainsKey)) Row("– " + component, Count(Parameters[component]));
        Row("vocabulary", Number(config.Int("vocab_size")));
        Row("context", model.MaximumPositions == int.MaxValue ? "no fixed limit" : $"{Number(model.MaximumPositions)} tokens");
        if (stored is not null) Row("stored as", stored);
        Row("memory to load", Bytes(Memory.Load));
        var at = $"{costs.Batch} × {costs.Length} tokens";
        Row($"memory to infer, {at}", Bytes(Memory.Infer));
        Row($"memory to finetune, {at}", Bytes(Memory.Finetune));
        Row($"memory with LoRA rank {costs.LoraRank}, {at}", Bytes(Memory.Lora));
        Row("operations per token", $"{FlopsPerToken / 1e6:N0} MFLOP".ToString(CultureInfo.InvariantCulture));
        foreach (var (key, name) in new[] { ("language", "language"), ("license", "licence"), ("training_data", "training data"), ("datasets", "training data"), ("base_model", "base model"), ("teacher", "teacher") })
            if (front.TryGetValue(key, out var value)) Row(name, value);
    }

    private static readonly string[] Components = ["embeddings", "attention", "feed-forward", "norms", "head"];

    private static string Component(string name)
    {
        bool Has(params string[] parts) => parts.Any(p => name.Contains(p, StringComparison.OrdinalIgnoreCase));
        if (Has("norm", ".ln_")) return "norms";
        if (Has("embed", "wte", "wpe", "shared.", "relative_attention_bias")) return "embeddings";
        if (!name.Split('.').Any(p => p.Length > 0 && p.All(char.IsAsciiDigit))) return "head";
        return Has("attn", "attention", "EncDecAttention") && !Has("mlp", "ffn") ? "attention" : "feed-forward";
    }

    private static string Number(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Count(long value) => value < 100_000 ? Number(value) : string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:N1} million");

    internal static string Bytes(double value) => value >= 1e9 ? string.Create(CultureInfo.InvariantCulture, $"{value / 1e9:N1} GB") : string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:N0} MB");
}
