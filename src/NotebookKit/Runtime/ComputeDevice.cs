using static TorchSharp.torch;

namespace NotebookKit.Runtime;

/// <summary>The device that a run uses, and why it was chosen.</summary>
/// <param name="Device">The torch device.</param>
/// <param name="Reason">One sentence for the person who reads the report.</param>
public sealed record ComputeDevice(Device Device, string Reason)
{
    /// <summary>Picks CUDA where a CUDA build of libtorch is referenced and a card answers, else the CPU.</summary>
    /// <param name="wanted"><c>null</c> for the best there is, or <c>cpu</c> or <c>cuda</c>.</param>
    /// <exception cref="InvalidOperationException"><c>cuda</c> was asked for and cannot be had.</exception>
    /// <exception cref="ArgumentException">Another name was asked for.</exception>
    public static ComputeDevice Choose(string? wanted = null)
    {
        var runtime = TorchRuntime.EnsureLoaded();
        if (wanted == "cpu") return new(CPU, "CPU, as asked");
        if (wanted is not (null or "cuda"))
            throw new ArgumentException($"The device must be 'cpu' or 'cuda' (or null for the best there is); got '{wanted}'.", nameof(wanted));

        var cudaBuild = Directory.EnumerateFiles(runtime.TorchFolder).Any(f => Path.GetFileName(f).Contains("torch_cuda", StringComparison.Ordinal));
        if (cudaBuild && TryInitializeDeviceType(TorchSharp.DeviceType.CUDA) && cuda.is_available())
            return new(CUDA, "CUDA: a CUDA build of libtorch is referenced and a card answers");
        var reason = cudaBuild
            ? "a CUDA build of libtorch is referenced, but no card answers"
            : "the referenced libtorch is the CPU build (reference a libtorch-cuda package to use a card)";
        if (wanted == "cuda") throw new InvalidOperationException($"CUDA was asked for and cannot be used: {reason}.");
        return new(CPU, $"CPU: {reason}");
    }

    /// <inheritdoc/>
    public override string ToString() => Reason;
}
