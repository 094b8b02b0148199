using NotebookKit.Models.Adapting;
using NotebookKit.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>An adapter's part at one layer: what it computes there and what it trains.</summary>
internal abstract class AdapterPart(string path, IAdaptable layer) : ILayerAdapter
{
    /// <summary>The layer's path in the model.</summary>
    public string Path => path;

    /// <summary>The layer.</summary>
    public IAdaptable Layer => layer;

    /// <summary>Parameters under the names that PEFT's files have after the layer's path.</summary>
    public abstract IEnumerable<(string Name, Parameter Parameter)> Parameters { get; }

    public abstract Tensor Apply(Tensor x, Func<Tensor, Tensor> layer);

    /// <summary>Weight and bias that give by themselves what the layer gives with this part, in fp32; <c>null</c> where no weight does. <paramref name="weight"/> and <paramref name="bias"/> are in fp32.</summary>
    public abstract (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias);

    /// <summary>DoRA: m over the lengths of a changed weight along a dimension; the lengths have no gradient (section 4.3 of the paper).</summary>
    protected static Tensor OverLengths(Parameter magnitude, Func<Tensor> changed, int dimension)
    {
        using var noGradient = no_grad();
        var lengths = changed().norm(dimension);
        using var gradient = enable_grad();
        return magnitude / lengths;
    }
}

/// <summary>LoRA beside a linear layer. x (…, from), y (…, to), A (r, from), B (to, r).</summary>
internal sealed class LoraLinear : AdapterPart
{
    private readonly Parameter _a, _b;
    private readonly Parameter? _magnitude;
    private readonly double _scale, _dropoutShare;
    private readonly DropoutMask _dropout;
    private readonly Func<bool> _isTraining;

    public LoraLinear(string path, IAdaptable layer, LoraSettings settings, int rank, double scale, DropoutMask dropout, Func<bool> isTraining, Generator random) : base(path, layer)
    {
        var (from, to) = layer.Widths;
        (_scale, _dropoutShare, _dropout, _isTraining) = (scale, settings.Dropout, dropout, isTraining);
        using var scope = NewDisposeScope();
        var bound = 1 / Math.Sqrt(from);                                    // Kaiming's uniform draw with a = √5, as the reference
        _a = new Parameter((rand(rank, from, generator: random) * (2 * bound) - bound).MoveToOuterDisposeScope());
        _b = new Parameter(zeros(to, rank).MoveToOuterDisposeScope());
        using var noGradient = no_grad();
        if (settings.DecomposesWeights) _magnitude = new Parameter(Weight().norm(1).MoveToOuterDisposeScope());
    }

    public override IEnumerable<(string Name, Parameter Parameter)> Parameters => _magnitude is null
        ? [("lora_A.weight", _a), ("lora_B.weight", _b)]
        : [("lora_A.weight", _a), ("lora_B.weight", _b), ("lora_magnitude_vector", _magnitude)];

    public override Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
    {
        var y = layer(x);
        var drops = _dropoutShare > 0 && _isTraining();
        var read = drops ? _dropout.Apply(x, _dropoutShare) : x;
        var change = nn.functional.linear(nn.functional.linear(read, _a.to(x.dtype)), _b.to(x.dtype));              // (…, to)
        if (_magnitude is null)
        {
            _ = y.add_(change, alpha: _scale);                               // nobody needs the layer's own answer for the way back
            return y;
        }
        var factor = Factor().to(x.dtype);                                                                           // (to)
        var plain = drops ? layer(read) : y;
        if (Layer.Bias is not null) plain = plain - Layer.Bias;
        return y + (factor - 1) * plain + factor * (change * _scale);
    }

    public override (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias)
    {
        var change = _b.matmul(_a) * _scale;                                                                          // (to, from)
        if (Layer.Kind == LayerKind.Transposed) change = change.t();
        var sum = weight + change;
        if (_magnitude is null) return (sum, bias);
        var factor = Factor().unsqueeze(1);
        return (sum * (Layer.Kind == LayerKind.Transposed ? factor.t() : factor), bias);
    }

    /// <summary>m / ‖W + α/r B A‖, row by row.</summary>
    private Tensor Factor() => OverLengths(_magnitude!, () => Weight() + _b.matmul(_a) * _scale, 1);

    /// <summary>W, (to, from), in fp32.</summary>
    private Tensor Weight() => Layer.Kind == LayerKind.Transposed ? Layer.Numbers().t() : Layer.Numbers();
}

/// <summary>LoRA beside a table: its change of a row is B times a column of A. A (r, rows), B (to, r). DoRA's lengths are those of the table's columns, (to).</summary>
internal sealed class LoraTable : AdapterPart
{
    private readonly Parameter _a, _b;
    private readonly Parameter? _magnitude;
    private readonly double _scale;

    public LoraTable(string path, IAdaptable layer, bool decomposes, int rank, double scale, Generator random) : base(path, layer)
    {
        var (rows, to) = layer.Widths;
        using var scope = NewDisposeScope();
        (_a, _b, _scale) = (new Parameter(zeros(rank, rows).MoveToOuterDisposeScope()), new Parameter(randn(to, rank, generator: random).MoveToOuterDisposeScope()), scale);
        using var noGradient = no_grad();
        if (decomposes) _magnitude = new Parameter(Layer.Numbers().norm(0).MoveToOuterDisposeScope());
    }

    public override IEnumerable<(string Name, Parameter Parameter)> Parameters => _magnitude is null
        ? [("lora_embedding_A", _a), ("lora_embedding_B", _b)]
        : [("lora_embedding_A", _a), ("lora_embedding_B", _b), ("lora_magnitude_vector", _magnitude)];

    public override Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
    {
        var y = layer(x);
        var columns = _a.t().index_select(0, x.reshape(-1));                                                         // (…, r)
        y = y + (nn.functional.linear(columns, _b) * _scale).view(y.shape).to(y.dtype);
        return _magnitude is null ? y : y * Factor(Layer.Numbers()).to(y.dtype);
    }

    public override (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias) => (_magnitude is null ? Changed(weight) : Changed(weight) * Factor(weight), bias);

    private Tensor Changed(Tensor weight) => weight + _b.matmul(_a).t() * _scale;                                     // (rows, to)

    /// <summary>m / ‖W + α/r (B A)ᵀ‖, column by column.</summary>
    private Tensor Factor(Tensor weight) => OverLengths(_magnitude!, () => Changed(weight), 0);
}

/// <summary>A factor on each number that comes out of a layer, or goes into it.</summary>
internal sealed class Ia3Part : AdapterPart
{
    private readonly Parameter _factors;

    public Ia3Part(string path, IAdaptable layer, bool onInput) : base(path, layer)
    {
        var (from, to) = layer.Widths;
        (_factors, OnInput) = (new Parameter(onInput ? ones(1, from) : ones(to, 1)), onInput);
    }

    /// <summary>Whether inputs are multiplied rather than outputs.</summary>
    public bool OnInput { get; }

    public override IEnumerable<(string Name, Parameter Parameter)> Parameters => [("ia3_l", _factors)];

    public override Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
    {
        var factors = _factors.view(-1).to(x.dtype);
        return OnInput ? layer(x * factors) : layer(x) * factors;
    }

    public override (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias)
    {
        var factors = Layer.Kind == LayerKind.Transposed ? _factors.t() : _factors;
        return (weight * factors, OnInput || bias is null ? bias : bias * _factors.view(-1));
    }
}

/// <summary>Two narrow layers after a layer, y + W₂ relu(W₁ y).</summary>
internal sealed class BottleneckPart : AdapterPart
{
    private readonly Parameter _down, _downBias, _up, _upBias;

    public BottleneckPart(string path, IAdaptable layer, int width, Generator random) : base(path, layer)
    {
        var to = layer.Widths.To;
        using var scope = NewDisposeScope();
        Parameter Zeros(params long[] shape) => new(zeros(shape).MoveToOuterDisposeScope());
        (_down, _downBias) = (new Parameter((randn(width, to, generator: random) * 0.01).MoveToOuterDisposeScope()), Zeros(width));        // as the paper draws it
        (_up, _upBias) = (Zeros(to, width), Zeros(to));
    }

    public override IEnumerable<(string Name, Parameter Parameter)> Parameters => [("adapter_down.weight", _down), ("adapter_down.bias", _downBias), ("adapter_up.weight", _up), ("adapter_up.bias", _upBias)];

    public override Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
    {
        var y = layer(x);
        var inner = nn.functional.relu(nn.functional.linear(y, _down.to(y.dtype), _downBias.to(y.dtype)));
        return y + nn.functional.linear(inner, _up.to(y.dtype), _upBias.to(y.dtype));
    }

    public override (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias) => null;
}

/// <summary>Vectors for the places of a prompt, whose ids are -1, -2, …, times a factor that undoes the model's own on what its table gives.</summary>
internal sealed class PromptPart(string path, IAdaptable layer, Parameter vectors, double factor) : AdapterPart(path, layer)
{
    public override IEnumerable<(string Name, Parameter Parameter)> Parameters => [];                                // the adapter's own

    public override Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
    {
        var y = layer(x.clamp_min(0));                                                                              // (…, D)
        var places = (-1 - x).clamp(0, vectors.size(0) - 1).reshape(-1);
        var prompt = vectors.index_select(0, places).view(y.shape).to(y.dtype);
        return where((x < 0).unsqueeze(-1), factor == 1 ? prompt : prompt * factor, y);
    }

    public override (Tensor Weight, Tensor? Bias)? Merged(Tensor weight, Tensor? bias) => null;
}
