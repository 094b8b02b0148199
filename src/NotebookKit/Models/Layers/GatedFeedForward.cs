using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>SwiGLU and its like (Shazeer 2020, https://arxiv.org/abs/2002.05202): Wdown (activation(Wgate x) · Wup x).</summary>
internal sealed class GatedFeedForward : nn.Module
{
    private readonly Linear gate_proj, up_proj, down_proj;
    private readonly Func<Tensor, Tensor> _activation;

    public GatedFeedForward(ModelBuilder build, int width, int inner, bool bias, Func<Tensor, Tensor> activation) : base(nameof(GatedFeedForward))
    {
        _activation = activation;
        gate_proj = new Linear(build, width, inner, bias);
        up_proj = new Linear(build, width, inner, bias);
        down_proj = new Linear(build, inner, width, bias);
        RegisterComponents();
    }

    public MatrixPlan?[] Plan => [gate_proj.Plan, up_proj.Plan, down_proj.Plan];

    /// <summary>(B, T, D) to (B, T, D).</summary>
    public Tensor forward(Tensor x) => down_proj.forward(_activation(gate_proj.forward(x)) * up_proj.forward(x));
}
