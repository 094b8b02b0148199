using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace NotebookKit.Runtime;

/// <summary>Raw memory of CPU tensors, for kernels written with vector instructions.</summary>
internal static partial class TensorMemory
{
    /// <summary>Address of the first element of a contiguous CPU tensor. Valid while the tensor lives.</summary>
    public static nint Pointer(Tensor tensor)
    {
        if (tensor.device_type != TorchSharp.DeviceType.CPU || !tensor.is_contiguous())
            throw new ArgumentException($"A contiguous CPU tensor is needed; got one on {tensor.device_type}, contiguous: {tensor.is_contiguous()}.");
        return THSTensor_data(tensor.Handle);
    }

    [LibraryImport("LibTorchSharp")]
    private static partial nint THSTensor_data(nint handle);
}
