using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Which parts of a model compute in which type.</summary>
internal static class Precision
{
    /// <summary>Converts weights and biases of every linear layer below <paramref name="module"/>; embeddings and norms keep theirs.</summary>
    public static void LinearLayersTo(nn.Module module, ScalarType type)
    {
        foreach (var linear in module.modules().OfType<Linear>()) linear.to(type);
    }
}
