using NotebookKit.Models.Adapting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>y = x Wᵀ + b.</summary>
public sealed class Linear : nn.Module, IAdaptable
{
    /// <summary>A layer from <paramref name="from"/> to <paramref name="to"/> numbers.</summary>
    public Linear(ModelBuilder build, long from, long to, bool hasBias = true) : base(nameof(Linear))
    {
        weight = build.Parameter(Fresh.Normal, to, from);
        bias = hasBias ? build.Parameter(Fresh.Zeros, to) : null;
        RegisterComponents();
    }

    /// <summary>W, (to, from); a shape without numbers where they are held in int8.</summary>
    public Parameter weight;

    /// <summary>b, (to), or <c>null</c>.</summary>
    public readonly Parameter? bias;

    /// <summary>(…, from) to (…, to), in the weight's type.</summary>
    public Tensor forward(Tensor x)
    {
        if (x.dtype != weight.dtype) x = x.to(weight.dtype);                 // in mixed precision layers meet that hold other types
        return _adapter is null ? Plain(x) : _adapter.Apply(x, Plain);
    }

    private Tensor Plain(Tensor x) => _int8 is null ? nn.functional.linear(x, weight, bias) : bias is null ? _int8.Apply(x) : _int8.Apply(x) + bias;

    internal MatrixPlan? Plan => _adapter is null && _int8 is null ? new(weight, bias) : null;

    private ILayerAdapter? _adapter;

    private Int8Weights? _int8;

    Int8Weights? IAdaptable.Int8 => _int8;

    void IAdaptable.HoldInInt8() => _int8 = Int8Weights.InPlaceOf(ref weight, isTransposed: false, shape => ConditionallyRegisterParameter(nameof(weight), shape));

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _int8?.Dispose();
        base.Dispose(disposing);
    }

    ILayerAdapter? IAdaptable.Adapter { get => _adapter; set => _adapter = value; }

    LayerKind IAdaptable.Kind => LayerKind.Linear;

    Parameter IAdaptable.Weight => weight;

    Parameter? IAdaptable.Bias => bias;
}

/// <summary>GPT-2's linear layer, whose weight lies (in, out).</summary>
internal sealed class Conv1D : nn.Module, IAdaptable
{
    public readonly Parameter bias;
    public Parameter weight;

    public Conv1D(ModelBuilder build, long from, long to) : base(nameof(Conv1D))
    {
        weight = build.Parameter(Fresh.Normal, from, to);
        bias = build.Parameter(Fresh.Zeros, to);
        RegisterComponents();
    }

    public Tensor forward(Tensor x) => Adapter is null ? Plain(x) : Adapter.Apply(x, Plain);

    private Tensor Plain(Tensor x) => (_int8 is null ? x.matmul(weight) : _int8.Apply(x)) + bias;

    public MatrixPlan? Plan => Adapter is null && _int8 is null ? new(weight, bias, IsTransposed: true) : null;

    private Int8Weights? _int8;

    Int8Weights? IAdaptable.Int8 => _int8;

    void IAdaptable.HoldInInt8() => _int8 = Int8Weights.InPlaceOf(ref weight, isTransposed: true, shape => ConditionallyRegisterParameter(nameof(weight), shape));

    protected override void Dispose(bool disposing)
    {
        if (disposing) _int8?.Dispose();
        base.Dispose(disposing);
    }

    public ILayerAdapter? Adapter { get; set; }

    LayerKind IAdaptable.Kind => LayerKind.Transposed;

    Parameter IAdaptable.Weight => weight;

    Parameter? IAdaptable.Bias => bias;
}

/// <summary>A table of vectors by id.</summary>
public sealed class Embedding : nn.Module, IAdaptable
{
    private readonly long _untrainedId;

    /// <summary>A table of <paramref name="rows"/> vectors.</summary>
    /// <param name="build">The builder.</param>
    /// <param name="rows">Number of ids.</param>
    /// <param name="width">Width of a vector.</param>
    /// <param name="untrainedId">An id whose look-ups give its row no gradient, as torch's <c>padding_idx</c>; -1 is none. It matters where padding also starts answers or ends texts.</param>
    public Embedding(ModelBuilder build, long rows, long width, long untrainedId = -1) : base(nameof(Embedding))
    {
        _untrainedId = untrainedId;
        weight = build.Parameter(Fresh.Normal, rows, width);
        RegisterComponents();
    }

    /// <summary>The table, (rows, width).</summary>
    public readonly Parameter weight;

    /// <summary>Vectors (…, width) of ids (…) int64.</summary>
    public Tensor forward(Tensor ids) => _adapter is null ? Plain(ids) : _adapter.Apply(ids, Plain);

    private ILayerAdapter? _adapter;

    ILayerAdapter? IAdaptable.Adapter { get => _adapter; set => _adapter = value; }

    LayerKind IAdaptable.Kind => LayerKind.Table;

    Parameter IAdaptable.Weight => weight;

    Parameter? IAdaptable.Bias => null;

    Int8Weights? IAdaptable.Int8 => null;

    void IAdaptable.HoldInInt8() => throw new NotSupportedException("A table is looked up, not multiplied: it stays as it is.");

    private Tensor Plain(Tensor ids)
    {
        var x = weight.index_select(0, ids.reshape(-1)).view([.. ids.shape, weight.size(1)]);
        return _untrainedId >= 0 && x.requires_grad ? where(ids.eq(_untrainedId).unsqueeze(-1), x.detach(), x) : x;
    }
}
