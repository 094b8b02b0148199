using NotebookKit.Models.Adapting;
using System.Text.RegularExpressions;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>Where an adapter's parts go in a model: pattern against paths, as PEFT matches them.</summary>
internal sealed class Injection : IDisposable
{
    private readonly LanguageModel _model;
    private readonly (string Path, IAdaptable Layer)[] _layers;
    private readonly string[] _others, _saved;

    private Injection(LanguageModel model, AdapterSettings settings)
    {
        _model = model;
        var modules = model.named_modules().Where(m => m.name.Length > 0).Select(m => (Path: PathOf(model, m.name), m.module)).ToArray();
        // By the names of their weights: a module may stand in the model under a second name.
        var byWeight = model.modules().OfType<IAdaptable>().GroupBy(l => l.Weight.Handle).ToDictionary(g => g.Key, g => g.First());
        _layers = [.. model.OwnParameters().Where(p => p.Name.EndsWith(".weight", StringComparison.Ordinal) && byWeight.ContainsKey(p.Parameter.Handle))
            .Select(p => (model.Bare(model.FileKey(p.Name))[..^".weight".Length], byWeight[p.Parameter.Handle]))];
        _others = [.. modules.Where(m => m.module is not IAdaptable).Select(m => m.Path)];
        _saved = FindSaved(settings, [.. modules.Select(m => m.Path)]);
    }

    /// <summary>Paths of the modules that are trained as a whole.</summary>
    public IReadOnlyList<string> SavedModules => _saved;

    public IReadOnlyList<AdapterPart> Parts { get; private set; } = [];

    public IReadOnlyList<string> Unmatched { get; private set; } = [];

    public IReadOnlyList<string> NamesWithoutMatch { get; private set; } = [];

    /// <summary>Names of the model's own parameters that are trained as a whole: modules to save, and biases.</summary>
    public IReadOnlyList<string> TrainedAsAWhole { get; private set; } = [];

    /// <summary>A prompt's vectors (n, D), or a prefix's keys and values (n, 2 L G d).</summary>
    public Parameter? Vectors { get; private set; }

    /// <summary>All parameters, under names that say where they belong.</summary>
    public IReadOnlyList<(string Name, Parameter Parameter)> Added { get; private set; } = [];

    /// <summary>Works out where the parts go and makes them; the model is as it was.</summary>
    public static Injection Of(LanguageModel model, AdapterSettings settings, int seed)
    {
        var injection = new Injection(model, settings);
        using var random = new Generator((ulong)seed);
        injection.Make(settings, random);
        injection.Added = [.. injection.Parts.SelectMany(p => p.Parameters.Select(q => ($"{p.Path}.{q.Name}", q.Parameter))), .. injection.Vectors is { } vectors ? new[] { ("prompt_embeddings", vectors) } : []];
        if (injection.Added.Count + injection.TrainedAsAWhole.Count == 0)
            throw new ArgumentException($"{settings.GetType().Name} would train nothing in this {model.Config.ModelType} model{(settings is BitFitSettings ? ": it has no biases. Use LoraSettings" : "")}.", nameof(settings));
        return injection;
    }

    /// <summary>A module's path as the reference has it.</summary>
    public static string PathOf(LanguageModel model, string name) => name + "." == model.BasePrefix ? name : model.Bare(model.FileKey(name + ".weight"))[..^".weight".Length];

    /// <summary>A prefix's keys and values, layer by layer.</summary>
    public IReadOnlyList<(Tensor Keys, Tensor Values)> Prefix()
    {
        var (layers, groups, width) = Heads(_model.Config);
        var all = Vectors!.view(Vectors.size(0), 2 * layers, groups, width).permute(1, 2, 0, 3);                     // (2 L, G, n, d)
        // Of an encoder-decoder, the reference doubles them to four a layer, keys and values for the target and for the source, and uses the target's alone: layer i reads pair 2 i modulo L.
        var step = _model is EncoderDecoderModel ? 4 : 2;
        return [.. Enumerable.Range(0, layers).Select(i => step * i % (2 * layers)).Select(at => (all[at], all[at + 1]))];
    }

    public void Dispose()
    {
        foreach (var (_, parameter) in Added) parameter.Dispose();
    }

    private void Make(AdapterSettings settings, Generator random)
    {
        TrainedAsAWhole = [.. Names(n => _saved.Any(s => n.StartsWith(s + ".", StringComparison.Ordinal)))];
        switch (settings)
        {
            case LoraSettings lora: Lora(lora, random); break;
            case Ia3Settings ia3: Ia3(ia3); break;
            case BottleneckSettings bottleneck:
                var usual = settings.Targets ?? UsualTargets.Bottleneck(_model.Config) ?? throw NoUsual(settings);
                Parts = [.. Match(usual, settings, tables: false).Select(l => new BottleneckPart(l.Path, l.Layer, bottleneck.Width, random))];
                break;
            case BitFitSettings:
                TrainedAsAWhole = [.. TrainedAsAWhole.Union(Names(n => n.EndsWith(".bias", StringComparison.Ordinal)))];
                break;
            case PromptSettings prompt: Prompt(prompt, random); break;
            case PrefixSettings prefix: MakePrefix(prefix, random); break;
            default: throw new ArgumentException($"{settings.GetType().Name} is not known.", nameof(settings));
        }
    }

    private void Lora(LoraSettings settings, Generator random)
    {
        var layers = Match(settings.Targets ?? ModulePattern.AllLinear, settings, tables: true);
        Parts = [.. layers.Select(l =>
        {
            var (rank, alpha) = (Pattern(settings.RankPattern, l.Path, settings.Rank), Pattern(settings.AlphaPattern, l.Path, settings.Alpha));
            var scale = alpha / (settings.RankStabilised ? Math.Sqrt(rank) : rank);
            if (l.Layer.Kind != LayerKind.Table) return (AdapterPart)new LoraLinear(l.Path, l.Layer, settings, rank, scale, _model.Dropout, () => _model.training, random);
            return new LoraTable(l.Path, l.Layer, settings.DecomposesWeights, rank, scale, random);
        })];
        TrainedAsAWhole = settings.Biases switch
        {
            TrainedBiases.None => TrainedAsAWhole,
            TrainedBiases.All => [.. TrainedAsAWhole.Union(Names(n => n.Contains("bias", StringComparison.Ordinal)))],
            _ => [.. TrainedAsAWhole.Union(Names(n => n.EndsWith(".bias", StringComparison.Ordinal) && Parts.Any(p => p.Path + ".bias" == n)))],
        };
    }

    private void Ia3(Ia3Settings settings)
    {
        var usual = UsualTargets.Ia3(_model.Config);
        if ((settings.Targets is null || settings.FeedForward is null) && usual is null) throw NoUsual(settings);
        var layers = Match(settings.Targets ?? usual!.Value.Targets, settings, tables: false);
        var feed = settings.FeedForward ?? usual!.Value.FeedForward;
        Parts = [.. layers.Select(l => new Ia3Part(l.Path, l.Layer, feed.Matches(l.Path)))];
        if (settings.FeedForward?.Names is { } names && names.FirstOrDefault(n => !layers.Any(l => ModulePattern.IsNamed(l.Path, n))) is { } astray)
            throw new ArgumentException($"Ia3Settings.FeedForward: '{astray}' is none of the layers that Targets matches ({Adapter.Ends(layers.Select(l => l.Path))}).", nameof(settings));
    }

    private void Prompt(PromptSettings settings, Generator random)
    {
        Unwanted(settings);
        if (_model.Config.ModelType == "marian") throw new ArgumentException("PromptSettings: a marian model multiplies what its table gives, which the reference leaves out, for the text, too, once a prompt stands before it; it takes LoraSettings or PrefixSettings.", nameof(settings));
        var table = _layers.FirstOrDefault(l => l.Layer.Kind == LayerKind.Table && l.Path.Split('.')[^1] is "word_embeddings" or "wte" or "embed_tokens" or "embed_in" or "tok_embeddings" or "shared");
        if (table.Layer is null) throw new ArgumentException($"PromptSettings: a {_model.Config.ModelType} model has no token table that is known by name.", nameof(settings));
        if (settings.Tokens >= _model.MaximumPositions) throw new ArgumentOutOfRangeException(nameof(settings), settings.Tokens, $"PromptSettings.Tokens leaves no place for a text: the model has {_model.MaximumPositions} positions.");
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var weight = table.Layer.Weight;
        var drawn = randint(0, weight.size(0), [settings.Tokens], dtype: ScalarType.Int64, generator: random);
        var vectors = weight.index_select(0, drawn).to(ScalarType.Float32);
        if (_model is EncoderDecoderModel) vectors = cat([vectors, vectors]);  // the reference holds as many again for the answer's side, and reads them nowhere
        Vectors = new Parameter(vectors.MoveToOuterDisposeScope());
        // These multiply what the table gives; a prompt's vectors stand beside the product.
        var scaled = _model.Config.ModelType is "gemma3_text" or "gemma3" || (_model is EncoderDecoderModel && _model.Config.Flag("scale_embedding", false));
        Parts = [new PromptPart(table.Path, table.Layer, Vectors, scaled ? 1 / Math.Sqrt(weight.size(1)) : 1)];
    }

    private void MakePrefix(PrefixSettings settings, Generator random)
    {
        Unwanted(settings);
        if (_model is not (DecoderModel or EncoderDecoderModel or Models.Encoders.Bert)) throw new ArgumentException($"PrefixSettings is for decoders, encoder-decoders and the BERT family; a {_model.Config.ModelType} model takes LoraSettings.", nameof(settings));
        var source = Heads(_model.Config);
        var (layers, groups, width) = source;
        if (_model is EncoderDecoderModel && HeadsOfDecoder(_model.Config, source) is var target && target != source)
            throw new ArgumentException($"PrefixSettings: a prefix has the encoder's layers, heads and head width, {source}, and this model's decoder has {target}; it takes LoraSettings.", nameof(settings));
        using var scope = NewDisposeScope();
        Vectors = new Parameter((randn(settings.Tokens, 2 * layers * groups * width, generator: random) * 0.02).MoveToOuterDisposeScope());
    }

    private static void Unwanted(AdapterSettings settings)
    {
        if (settings.Targets is not null) throw new ArgumentException($"{settings.GetType().Name} has no Targets: it stands before the sequence, not beside layers.", nameof(settings));
    }

    /// <summary>Layers, heads of keys, and width of one.</summary>
    internal static (int Layers, int Groups, int Width) Heads(ConfigJson config)
    {
        var (layers, heads, width) = (config.Int(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"], 12), config.Int(["num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"], 12), config.Int(["hidden_size", "n_embd", "dim", "d_model"], 768));
        return (layers, config.Int("num_key_value_heads", heads), config.Int("head_dim", width / heads));
    }

    /// <summary>The same of an encoder-decoder's other side, where it has figures of its own; T5 alone says how wide a head is.</summary>
    private static (int Layers, int Groups, int Width) HeadsOfDecoder(ConfigJson config, (int Layers, int Groups, int Width) encoder)
    {
        var heads = config.Int("decoder_attention_heads", encoder.Groups);
        return (config.Int(["num_decoder_layers", "decoder_layers"], encoder.Layers), heads, config.Int("d_kv", encoder.Groups * encoder.Width / heads));
    }

    private (string Path, IAdaptable Layer)[] Match(ModulePattern pattern, AdapterSettings settings, bool tables)
    {
        var free = _layers.Where(l => !_saved.Any(s => l.Path == s || l.Path.StartsWith(s + ".", StringComparison.Ordinal))).ToArray();
        var isOpen = pattern.Names is null && pattern.Expression is null;
        var prefix = _model.Bare(_model.BasePrefix + ".").TrimEnd('.');
        var found = free.Where(l => pattern.Matches(l.Path) && (!isOpen || (l.Layer.Kind != LayerKind.Table && l.Path.StartsWith(prefix, StringComparison.Ordinal)))).ToArray();
        var owner = settings.GetType().Name;
        if (pattern.Names?.FirstOrDefault(n => !found.Any(l => ModulePattern.IsNamed(l.Path, n)) && _others.Any(o => ModulePattern.IsNamed(o, n))) is { } wrong)
            throw new ArgumentException($"{owner}.Targets: '{wrong}' is not a linear layer or a table. Layers that can carry an adapter: {Adapter.Ends(free.Select(l => l.Path))}.", nameof(settings));
        if (found.Length == 0)
            throw new ArgumentException($"{owner}.Targets matches no layer: {pattern}. Layers that can carry an adapter: {Adapter.Ends(free.Select(l => l.Path))}.", nameof(settings));
        if (!tables && found.FirstOrDefault(l => l.Layer.Kind == LayerKind.Table) is { Layer: not null } table)
            throw new ArgumentException($"{owner}.Targets: '{table.Path}' is a table, which takes LoRA alone.", nameof(settings));
        NamesWithoutMatch = pattern.Names?.Where(n => !found.Any(l => ModulePattern.IsNamed(l.Path, n))).ToArray() ?? [];
        Unmatched = [.. free.Except(found).Select(l => l.Path)];
        return found;
    }

    private IEnumerable<string> Names(Func<string, bool> which) => _model.OwnParameters().Select(p => p.Name).Where(n => which(_model.Bare(_model.FileKey(n))));

    /// <summary>Paths of the modules that are trained as a whole. PEFT takes every module whose path ends with a name, with or without a dot before it.</summary>
    private string[] FindSaved(AdapterSettings settings, string[] paths)
    {
        if (settings.ModulesToSave is null)
            return _model.Head.Classifies ? [.. paths.Where(p => !p.Contains('.') && p + "." != _model.BasePrefix)] : [];
        var found = paths.Where(p => settings.ModulesToSave.Any(m => p.EndsWith(m, StringComparison.Ordinal))).ToArray();
        if (found.Length == 0 && settings.ModulesToSave.Count > 0)
            throw new ArgumentException($"{settings.GetType().Name}.ModulesToSave matches no module: {string.Join(", ", settings.ModulesToSave)}. The model has {string.Join(", ", paths.Where(p => !p.Contains('.')))}.", nameof(settings));
        return found;
    }

    private static T Pattern<T>(IReadOnlyDictionary<string, T> patterns, string path, T usual)
    {
        foreach (var (key, value) in patterns)
            if (Regex.IsMatch(path, $@"^(?:.*\.)?(?:{key})$")) return value;
        return usual;
    }

    private ArgumentException NoUsual(AdapterSettings settings) =>
        new($"{settings.GetType().Name}.Targets: nothing is usual for a {_model.Config.ModelType} model; name the layers. There are {Adapter.Ends(_layers.Select(l => l.Path))}.", nameof(settings));
}
