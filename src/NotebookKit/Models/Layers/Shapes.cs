using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Parameters that are a shape without numbers.</summary>
internal static class Shapes
{
    /// <summary>A frozen parameter of the same shape and type that takes no memory; the given one is freed.</summary>
    public static Parameter Without(Parameter parameter)
    {
        var shape = new Parameter(empty(parameter.shape, dtype: parameter.dtype, device: new Device(DeviceType.META)), requires_grad: false);
        parameter.Dispose();
        return shape;
    }

    /// <summary>Whether a tensor has no numbers.</summary>
    public static bool IsShape(Tensor tensor) => tensor.device_type == DeviceType.META;
}
