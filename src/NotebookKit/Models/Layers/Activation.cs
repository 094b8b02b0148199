using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Models.Layers;

/// <summary>Activation functions by the names that configurations use.</summary>
internal static class Activation
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> ByName = new(StringComparer.Ordinal)
    {
        ["gelu"] = x => F.gelu(x), ["gelu_python"] = x => F.gelu(x),
        // The tanh approximation of Hendrycks & Gimpel 2016.
        ["gelu_new"] = GeluTanh, ["gelu_fast"] = GeluTanh, ["gelu_pytorch_tanh"] = GeluTanh, ["gelu_accurate"] = GeluTanh,
        ["quick_gelu"] = x => x * (x * 1.702).sigmoid(),
        ["relu"] = x => F.relu(x), ["relu2"] = x => F.relu(x).square(), ["relu6"] = x => F.relu6(x),
        ["silu"] = x => F.silu(x), ["swish"] = x => F.silu(x), ["tanh"] = x => x.tanh(), ["sigmoid"] = x => x.sigmoid(),
        ["mish"] = x => F.mish(x), ["linear"] = x => x,
    };

    /// <summary>The function a field of a configuration names.</summary>
    /// <exception cref="InvalidDataException">There is none of that name; the message lists the known ones.</exception>
    public static Func<Tensor, Tensor> Of(ConfigJson config, string field, string fallback)
    {
        var name = config.Text(field, fallback);
        return ByName.TryGetValue(name, out var function) ? function : throw config.Wrong(field, "one of " + string.Join(", ", ByName.Keys));
    }

    /// <summary>The function of a name that is known to be there.</summary>
    public static Func<Tensor, Tensor> Named(string name) => ByName[name];

    /// <summary>½ x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³), written as x σ(2u), which keeps less for the backward pass.</summary>
    private static Tensor GeluTanh(Tensor x)
    {
        using var scope = NewDisposeScope();
        var factor = 2 * Math.Sqrt(2 / Math.PI);
        return (x * (x * (x * x * (factor * 0.044715) + factor)).sigmoid()).MoveToOuterDisposeScope();
    }
}
