using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models;

/// <summary>Fresh layers with the weights a paper asks for.</summary>
internal static class Init
{
    /// <summary>A linear layer with normal weights and zero biases.</summary>
    public static Linear Linear(long from, long to, double deviation)
    {
        var layer = nn.Linear(from, to);
        nn.init.normal_(layer.weight!, 0, deviation);
        nn.init.zeros_(layer.bias!);
        return layer;
    }
}
