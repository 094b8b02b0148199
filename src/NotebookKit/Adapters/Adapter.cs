using System.Globalization;
using NotebookKit.Display;
using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>
/// What stands beside a frozen model and is trained in its place. Several may belong to one model; one at a time takes part. Disposing the model disposes the one that takes part; others are disposed by whoever
/// made them. Not thread-safe.
/// </summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class Adapter : IModelAdapter, IShown
{
    private readonly Injection _injection;
    private readonly SwappedWeights _swapped;
    private readonly Merging _merging;
    private string[] _thawed = [];

    private Adapter(LanguageModel model, AdapterSettings settings, Injection injection)
    {
        (Model, Settings, _injection) = (model, settings, injection);
        _swapped = new SwappedWeights(model, injection.TrainedAsAWhole);
        _merging = new Merging(this);
    }

    /// <summary>The model it stands beside.</summary>
    public LanguageModel Model { get; }

    /// <summary>What it was made from.</summary>
    public AdapterSettings Settings { get; }

    /// <summary>Paths of the layers that carry it.</summary>
    public IReadOnlyList<string> Matched => [.. Parts.Select(p => p.Path)];

    /// <summary>Paths of the layers that could and do not.</summary>
    public IReadOnlyList<string> Unmatched => _injection.Unmatched;

    /// <summary>Names of the pattern that no layer has.</summary>
    public IReadOnlyList<string> NamesWithoutMatch => _injection.NamesWithoutMatch;

    /// <summary>Whether it takes part in what the model computes.</summary>
    public bool IsActive => ReferenceEquals(Model.Adapter, this);

    /// <summary>Whether its change is part of the model's weights.</summary>
    public bool IsMerged => _merging.IsDone;

    /// <summary>Numbers that are trained.</summary>
    public long Trainable => Parameters().Sum(p => p.Parameter.numel());

    /// <summary>Numbers of the model and the adapter together.</summary>
    public long Total => Model.OwnParameters().Sum(p => p.Parameter.numel()) + Added.Sum(p => p.Parameter.numel());

    /// <summary>All that is trained: its own parameters, and the model's that are trained as a whole, under the reference's names.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters()
    {
        var own = Own;
        return Added.Concat(_swapped.Names.Select(n => (Model.Bare(Model.FileKey(n)), own[n])));
    }

    /// <summary>A key of a PEFT file without what PEFT puts around the model's own names, which differs from version to version.</summary>
    public static string PlainName(string key) => PeftFolder.Plain(key);

    internal IReadOnlyList<AdapterPart> Parts => _injection.Parts;

    /// <summary>Names of the model's own parameters that are trained as a whole.</summary>
    internal IReadOnlyList<string> Whole => _swapped.Names;

    /// <summary>Paths of the modules that are trained as a whole.</summary>
    internal IReadOnlyList<string> SavedModules => _injection.SavedModules;

    internal Parameter? Vectors => _injection.Vectors;

    internal IReadOnlyList<(string Name, Parameter Parameter)> Added => _injection.Added;

    internal Dictionary<string, Parameter> Own => Model.OwnParameters().ToDictionary(p => p.Name, p => p.Parameter);

    IReadOnlyList<(string Name, Parameter Parameter)> IModelAdapter.Added => Added;

    int IModelAdapter.PromptTokens => Settings is PromptSettings prompt ? prompt.Tokens : 0;

    int IModelAdapter.PrefixTokens => Settings is PrefixSettings ? (int)Vectors!.size(0) : 0;

    IReadOnlyList<(Tensor Keys, Tensor Values)>? IModelAdapter.Prefix() => Settings is PrefixSettings ? _injection.Prefix() : null;

    double IModelAdapter.RateOf(string name) =>
        Settings is LoraSettings lora && (name.EndsWith("lora_B.weight", StringComparison.Ordinal) || name.EndsWith("lora_embedding_B", StringComparison.Ordinal)) ? lora.RateRatio : 1;

    /// <summary>Puts an adapter beside a model; it takes part from now on, and the model's own weights are frozen. Until it is trained it changes nothing, prompts and prefixes aside.</summary>
    /// <param name="model">The model. An adapter that takes part already leaves off.</param>
    /// <param name="settings">Which method, where, how large.</param>
    /// <param name="seed">Seed of what is drawn.</param>
    /// <exception cref="ArgumentException">A setting does not suit the model: a pattern that matches nothing, a layer that cannot carry the method; the message names the field.</exception>
    public static Adapter Add(LanguageModel model, AdapterSettings settings, int seed = 0)
    {
        settings.Validate();
        model.Adapter?.Deactivate();
        var adapter = new Adapter(model, settings, Injection.Of(model, settings, seed));
        adapter.Activate();
        return adapter;
    }

    /// <summary>Refuses what <see cref="Add"/> would refuse; the model stays as it is.</summary>
    /// <exception cref="ArgumentException">A setting does not suit the model; the message names the field.</exception>
    public static void Check(LanguageModel model, AdapterSettings settings)
    {
        settings.Validate();
        Injection.Of(model, settings, seed: 0).Dispose();
    }

    /// <summary>Reads an adapter that PEFT or <see cref="Save"/> wrote; it takes part from now on.</summary>
    /// <param name="model">The model it was trained on.</param>
    /// <param name="folder">Holds adapter_config.json and adapter_model.safetensors.</param>
    /// <exception cref="InvalidDataException">It is malformed, of a method the kit does not know, or was trained on another base; the message names file and field.</exception>
    public static Adapter Load(LanguageModel model, string folder)
    {
        var settings = PeftFolder.ReadSettings(folder);
        Adapter adapter;
        try { adapter = Add(model, settings); }
        catch (ArgumentException e) { throw new InvalidDataException($"The adapter in '{folder}' does not fit this model. {e.Message}", e); }
        try
        {
            PeftFolder.ReadWeights(folder, adapter);
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    /// <summary>Writes adapter_config.json and adapter_model.safetensors as PEFT does, with the hash of the base; each file is whole or absent. BitFit and bottleneck adapters, which PEFT does not know, take the same form.</summary>
    /// <param name="folder">Made where it is absent.</param>
    /// <param name="baseName">Name of the base model to note; by default where it was read from.</param>
    public void Save(string folder, string? baseName = null)
    {
        if (!IsActive) throw new InvalidOperationException(IsMerged ? "The adapter is merged into the model: Unmerge it first." : "The adapter takes no part at the moment: Activate it first.");
        PeftFolder.Write(folder, this, baseName);
    }

    /// <summary>Takes part from now on; one that took part leaves off.</summary>
    public void Activate()
    {
        if (IsActive) return;
        if (IsMerged) throw new InvalidOperationException("The adapter is merged into the model: Unmerge it first.");
        Model.Adapter?.Deactivate();
        _thawed = [.. Own.Where(p => p.Value.requires_grad).Select(p => p.Key)];
        _swapped.Swap();
        TakeLayers();
    }

    /// <summary>Takes no part any more: the model computes as if there were no adapter, and its weights may be trained.</summary>
    public void Deactivate()
    {
        if (!IsActive) return;
        LeaveLayers();
        _swapped.Swap();
    }

    /// <summary>Makes the change a part of the model's weights, so that it costs no time any more and the model can be saved as a whole.</summary>
    /// <param name="probe">Token ids of a few sequences that are computed before and after; by default 4 × 16 ids drawn at random.</param>
    /// <returns>By how much logits changed.</returns>
    /// <exception cref="InvalidOperationException">The method cannot be merged, or logits change by more than rounding; nothing has changed then.</exception>
    public MergeCertificate Merge(IReadOnlyList<IReadOnlyList<int>>? probe = null) => _merging.Merge(probe, LeaveLayers, TakeLayers);

    /// <summary>Puts the weights back as they were, bit for bit; the adapter takes part again.</summary>
    /// <returns>By how much logits changed.</returns>
    public MergeCertificate Unmerge(IReadOnlyList<IReadOnlyList<int>>? probe = null) => _merging.Unmerge(probe, TakeLayers);

    /// <summary>Leaves off and frees what it holds. A merged adapter stays a part of the weights.</summary>
    public void Dispose()
    {
        Deactivate();
        _merging.Dispose();
        _swapped.Dispose();
        _injection.Dispose();
    }

    /// <summary>The trainable share, in one line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Trainable:N0} of {Total:N0} parameters are trained ({100.0 * Trainable / Total:F2} %)");

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["adapter", ""],
    [
        ["method", Settings.Method], ["trained", ToString()], ["layers that carry it", Ends(Matched)], ["layers that could", Ends(Unmatched)], ["trained as a whole", Whole.Count == 0 ? "–" : string.Join(", ", Whole)],
        .. NamesWithoutMatch.Count == 0 ? Array.Empty<string[]>() : [["names that no layer has", string.Join(", ", NamesWithoutMatch)]],
    ]);

    /// <summary>Paths by their last part, with their number.</summary>
    internal static string Ends(IEnumerable<string> paths) => paths.GroupBy(p => string.Join('.', p.Split('.')[^Math.Min(2, p.Split('.').Length)..])).Select(g => g.Count() == 1 ? g.Key : $"{g.Key} ×{g.Count()}").DefaultIfEmpty("–").Aggregate((a, b) => $"{a}, {b}");

    private void LeaveLayers()
    {
        foreach (var part in Parts) part.Layer.Adapter = null;
        Model.Adapter = null;
        TrainOnly(_thawed);
    }

    private void TakeLayers()
    {
        Model.Adapter?.Deactivate();
        TrainOnly(Whole);
        foreach (var part in Parts) part.Layer.Adapter = part;
        Model.Adapter = this;
    }

    /// <summary>Of the model's own weights these and no others ask for gradients.</summary>
    private void TrainOnly(IReadOnlyCollection<string> names)
    {
        foreach (var (name, parameter) in Own) (parameter.requires_grad, parameter.grad) = (names.Contains(name), null);
    }
}
