using NotebookKit.Models.Layers;
using NotebookKit.Checkpoints;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Adapting;

/// <summary>A frozen matrix in int8 with a factor per output (Dettmers et al. 2022, https://arxiv.org/abs/2208.07339, weights alone): a quarter of the memory of fp32. Products are computed in the input's type from numbers that are made for them and thrown away.</summary>
internal sealed class Int8Weights
{
    private readonly Tensor _values, _factors;

    /// <param name="weight">(to, from), or (from, to) where <paramref name="isTransposed"/>.</param>
    /// <param name="isTransposed">How it lies.</param>
    public Int8Weights(Tensor weight, bool isTransposed)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var wide = weight.to(ScalarType.Float32);
        var largest = wide.abs().amax([isTransposed ? 0 : 1], keepdim: true) / 127;
        _factors = where(largest == 0, ones_like(largest), largest).DetachFromDisposeScope();
        _values = (wide / _factors).round().to(ScalarType.Int8).DetachFromDisposeScope();
        (IsTransposed, SourceHash) = (isTransposed, TensorHash.Of(weight));
    }

    /// <summary>Rounds a layer's weight; the parameter becomes a shape without numbers.</summary>
    /// <param name="weight">The layer's parameter.</param>
    /// <param name="isTransposed">How it lies.</param>
    /// <param name="register">Tells the layer's module of the new parameter.</param>
    public static Int8Weights InPlaceOf(ref Parameter weight, bool isTransposed, Action<Parameter> register)
    {
        var rounded = new Int8Weights(weight, isTransposed);
        weight = Shapes.Without(weight);
        register(weight);
        return rounded;
    }

    /// <summary>Hash of the numbers before rounding: an adapter that is trained here belongs to that base.</summary>
    public string SourceHash { get; }

    public bool IsTransposed { get; }

    /// <summary>What is held, for hashes.</summary>
    public IEnumerable<(string Name, Tensor Value)> Held => [("int8", _values), ("factors", _factors)];

    /// <summary>Bytes held.</summary>
    public long Bytes => _values.numel() + _factors.numel() * sizeof(float);

    /// <summary>The matrix as numbers, as it lay.</summary>
    public Tensor Dense(ScalarType type)
    {
        using var scope = NewDisposeScope();
        return (_values.to(ScalarType.Float32) * _factors).to(type).MoveToOuterDisposeScope();
    }

    /// <summary>x Wᵀ, with a gradient for x alone.</summary>
    public Tensor Apply(Tensor x) => x.requires_grad && is_grad_enabled() ? Product.apply(x, this) : Forward(x);

    public void Dispose()
    {
        _values.Dispose();
        _factors.Dispose();
    }

    private Tensor Forward(Tensor x)
    {
        using var dense = Dense(x.dtype);
        return IsTransposed ? x.matmul(dense) : nn.functional.linear(x, dense);
    }

    /// <summary>Keeps nothing but the int8 numbers for the way back.</summary>
    private sealed class Product : autograd.SingleTensorFunction<Product>
    {
        public override string Name => nameof(Int8Weights);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("weights", vars[1]);
            using var noGradient = no_grad();
            return ((Int8Weights)vars[1]).Forward((Tensor)vars[0]);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            using var noGradient = no_grad();
            var weights = (Int8Weights)ctx.get_data("weights");
            using var dense = weights.Dense(grad_output.dtype);
            return [weights.IsTransposed ? grad_output.matmul(dense.t()) : grad_output.matmul(dense), null!];
        }
    }
}
