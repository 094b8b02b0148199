using NotebookKit.Models.Adapting;
using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models;

/// <summary>A network of a known architecture with a head. Parameters carry the reference's names, so that checkpoints are read and written as they are.</summary>
public abstract class LanguageModel : nn.Module
{
    private protected LanguageModel(string name, ConfigJson config, HeadSettings head, ModelBuilder build) : base(name) =>
        (Config, Head, Dropout, DataType, _layers) = (config, head, build.Dropout, build.Type, build.Layers);

    private readonly LayerStack _layers;

    /// <summary>The configuration it was built from.</summary>
    public ConfigJson Config { get; }

    /// <summary>What stands on top.</summary>
    public HeadSettings Head { get; }

    /// <summary>Source of dropout masks.</summary>
    public DropoutMask Dropout { get; }

    /// <summary>Whether training keeps a layer's input alone and computes the layer once more for the backward pass (Chen et al. 2016, https://arxiv.org/abs/1604.06174): the same result for a third more time
    /// and the activations of one layer instead of all. Default <c>false</c>.</summary>
    public bool RecomputesLayers { get => _layers.Recomputes; set => _layers.Recomputes = value; }

    /// <summary>Goes back from a loss and answers with its value.</summary>
    /// <exception cref="InvalidOperationException">The loss is not finite, and gradients are gone; or a layer that was to be computed once more failed, and gradients are not to be used.</exception>
    internal double Backward(Tensor loss, int step)
    {
        var value = loss.ToDouble();
        if (!double.IsFinite(value))
        {
            foreach (var parameter in parameters()) parameter.grad = null;
            throw new InvalidOperationException($"The loss is {value} at step {step}. Lower the learning rate, or look at the batch.");
        }
        loss.backward();
        if (_layers.Failure is not { } failure) return value;
        _layers.Failure = null;
        throw new InvalidOperationException($"A layer could not be computed once more for the backward pass: {failure.Message}", failure);
    }

    /// <summary>Type of the matrix weights, and so of the attention bias.</summary>
    public ScalarType DataType { get; private set; }

    /// <summary>Width D of the hidden states.</summary>
    public abstract int Width { get; }

    /// <summary>Most tokens in a sequence; <see cref="int.MaxValue"/> where positions set no limit.</summary>
    public abstract int MaximumPositions { get; }

    /// <summary>What the reference puts before the names of the network's own parameters when a head stands on it, such as <c>bert.</c>.</summary>
    public abstract string BasePrefix { get; }

    /// <summary>Other names that published files use: a part of a name here, and what stands in its place there.</summary>
    internal virtual IReadOnlyList<(string Here, string There)> Aliases => [];

    /// <summary>Parameters that a name stands for which the model does not have: the table behind a tied output matrix.</summary>
    public IEnumerable<string> TiedTo(string name) => Aliases.Where(a => name.Contains(a.There, StringComparison.Ordinal)).Select(a => name.Replace(a.There, a.Here, StringComparison.Ordinal));

    /// <summary>The key under which the reference's files hold a parameter, where it is not the parameter's own name.</summary>
    public virtual string FileKey(string name) => name;

    /// <summary>Whether a file may lack a parameter of the network itself: the pooler, which few heads read, and tables that are computed.</summary>
    internal virtual bool MayBeAbsent(string name) => name.Contains("pooler", StringComparison.Ordinal);

    /// <summary>The adapter that takes part, or <c>null</c>.</summary>
    internal IModelAdapter? Adapter { get; set; }

    /// <summary>Places or keys that the adapter puts before every sequence.</summary>
    internal int AdapterTokens => Adapter is null ? 0 : Adapter.PromptTokens + Adapter.PrefixTokens;

    /// <summary>The parameters that are the model's own.</summary>
    internal IEnumerable<(string Name, Parameter Parameter)> OwnParameters() => base.named_parameters();

    /// <summary>Whether matrices are held in int8.</summary>
    internal bool IsInInt8 => modules().Any(m => m is IAdaptable { Int8: not null });

    /// <summary>All numbers that the model's own parameters hold, as they are held.</summary>
    internal IEnumerable<(string Name, Tensor Value)> Held() => OwnParameters().Where(p => !Shapes.IsShape(p.Parameter)).Select(p => (p.Name, (Tensor)p.Parameter))
        .Concat(named_modules().Where(m => m.module is IAdaptable { Int8: not null }).SelectMany(m => ((IAdaptable)m.module).Int8!.Held.Select(h => ($"{m.name}.{h.Name}", h.Value))));

    /// <summary>All parameters, those of the adapter that takes part included; without <paramref name="recurse"/> the model's own level alone, which conversion replaces.</summary>
    public override IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) => recurse ? base.named_parameters().Concat(Adapter?.Added ?? []) : base.named_parameters(false);

    /// <summary>All parameters, those of the adapter that takes part included.</summary>
    public override IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(p => p.parameter);

    /// <summary>All that a checkpoint holds, under the reference's names.</summary>
    public IEnumerable<(string Name, Tensor Value)> Stored() =>
        OwnParameters().Select(p => (Bare(p.Name), (Tensor)p.Parameter)).Concat(named_buffers().Select(b => (Bare(b.name), b.buffer)));

    /// <summary>Parameters under the reference's names.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters() => OwnParameters().Select(p => (Bare(p.Name), p.Parameter));

    /// <summary>Converts the weights. The last layer of a classifier stays in fp32: there small differences decide.</summary>
    /// <param name="type">bf16 or fp32.</param>
    /// <param name="linearLayersOnly">Whether embeddings and norms stay as they are, too. Where an optimiser keeps fp32 master weights they need not.</param>
    public void ComputeIn(ScalarType type, bool linearLayersOnly = false)
    {
        if (linearLayersOnly) Precision.LinearLayersTo(this, type);
        else
        {
            _ = this.to(type);
            (this as EncoderModel)?.LastLayer?.to(ScalarType.Float32);
        }
        DataType = type;
    }

    /// <summary>Gives the output matrix that is one with the input table a weight of its own, with the same numbers.</summary>
    /// <exception cref="NotSupportedException">This architecture cannot.</exception>
    internal virtual void Untie() => throw new NotSupportedException($"The input table of a {Config.ModelType} model is its output matrix, too, and cannot be separated from it here.");

    /// <summary>An output matrix with the numbers of the input table.</summary>
    private protected Linear Untied(string name, Tensor table)
    {
        var output = new Linear(new ModelBuilder(Dropout, table.dtype), table.size(1), table.size(0), hasBias: false);
        using (no_grad()) output.weight.copy_(table);
        output.weight.requires_grad = table.requires_grad;
        register_module(name, output);
        Config.Json["tie_word_embeddings"] = false;
        return output;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) Adapter?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Dropout while training.</summary>
    private protected Tensor Drop(Tensor x, double p) => training ? Dropout.Apply(x, p) : x;

    internal string Bare(string name) =>
        Head.Head == ModelHead.None && name.StartsWith(BasePrefix, StringComparison.Ordinal) ? name[BasePrefix.Length..] : name;
}
