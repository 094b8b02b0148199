using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>y = x Wᵀ + b.</summary>
public sealed class Linear : nn.Module
{
    /// <summary>A layer from <paramref name="from"/> to <paramref name="to"/> numbers.</summary>
    public Linear(ModelBuilder build, long from, long to, bool hasBias = true) : base(nameof(Linear))
    {
        weight = build.Parameter(Fresh.Normal, to, from);
        bias = hasBias ? build.Parameter(Fresh.Zeros, to) : null;
        RegisterComponents();
    }

    /// <summary>W, (to, from).</summary>
    public readonly Parameter weight;

    /// <summary>b, (to), or <c>null</c>.</summary>
    public readonly Parameter? bias;

    /// <summary>(…, from) to (…, to).</summary>
    public Tensor forward(Tensor x) => nn.functional.linear(x, weight, bias);
}

/// <summary>GPT-2's linear layer, whose weight lies (in, out).</summary>
internal sealed class Conv1D : nn.Module
{
    public readonly Parameter weight, bias;

    public Conv1D(ModelBuilder build, long from, long to) : base(nameof(Conv1D))
    {
        weight = build.Parameter(Fresh.Normal, from, to);
        bias = build.Parameter(Fresh.Zeros, to);
        RegisterComponents();
    }

    public Tensor forward(Tensor x) => x.matmul(weight) + bias;
}

/// <summary>A table of vectors by id.</summary>
public sealed class Embedding : nn.Module
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
    public Tensor forward(Tensor ids)
    {
        var x = weight.index_select(0, ids.reshape(-1)).view([.. ids.shape, weight.size(1)]);
        return _untrainedId >= 0 && x.requires_grad ? where(ids.eq(_untrainedId).unsqueeze(-1), x.detach(), x) : x;
    }
}
