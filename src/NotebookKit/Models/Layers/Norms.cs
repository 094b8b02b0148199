using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Layer normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450) over the last dimension.</summary>
internal sealed class LayerNorm : nn.Module
{
    public readonly Parameter weight;
    public readonly Parameter? bias;
    private readonly double _epsilon;

    public LayerNorm(ModelBuilder build, long width, double epsilon, bool hasBias = true) : base(nameof(LayerNorm))
    {
        _epsilon = epsilon;
        weight = build.Parameter(Fresh.Ones, width);
        bias = hasBias ? build.Parameter(Fresh.Zeros, width) : null;
        RegisterComponents();
    }

    public NormPlan Plan => new(weight, bias, _epsilon, IsRms: false);

    public Tensor forward(Tensor x) => nn.functional.layer_norm(x, [x.size(-1)], weight, bias, _epsilon);
}

/// <summary>Root-mean-square normalisation (Zhang &amp; Sennrich 2019, https://arxiv.org/abs/1910.07467), computed in fp32; Gemma multiplies by 1 + w.</summary>
internal sealed class RmsNorm : nn.Module
{
    public readonly Parameter weight;
    private readonly double _epsilon;
    private readonly bool _plusOne;

    public RmsNorm(ModelBuilder build, long width, double epsilon, bool plusOne = false) : base(nameof(RmsNorm))
    {
        (_epsilon, _plusOne) = (epsilon, plusOne);
        weight = build.Parameter(plusOne ? Fresh.Zeros : Fresh.Ones, width);
        RegisterComponents();
    }

    /// <summary>For norms that multiply by w itself.</summary>
    public NormPlan Plan => new(weight, null, _epsilon, IsRms: true);

    public Tensor forward(Tensor x)
    {
        var wide = x.to(ScalarType.Float32);
        var unit = wide * (wide * wide).mean([-1], keepdim: true).add(_epsilon).rsqrt();
        return _plusOne ? (unit * (weight.to(ScalarType.Float32) + 1)).to(x.dtype) : weight * unit.to(x.dtype);
    }
}
