using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace NotebookKit.Runtime;

/// <summary>
/// Which library computes fp32 matrix products. libtorch's MKL picks an AVX2 kernel on AMD; oneDNN runs AVX-512 there and is
/// about twice as fast at the same precision (relative error 4e-7).
/// </summary>
/// <remarks>The switch is libtorch's C++ <c>at::Context::setFloat32Precision</c>, reached by its exported name (Linux); elsewhere,
/// or where the name is missing, nothing changes and <see cref="UseOneDnn"/> answers <c>false</c>.</remarks>
public static unsafe class MatrixProducts
{
    private const string GlobalContext = "_ZN2at13globalContextEv";
    private const string SetPrecision = "_ZN2at7Context19setFloat32PrecisionENS_14Float32BackendENS_9Float32OpENS_16Float32PrecisionE";
    private const int BackendMkldnn = 2, OpMatmul = 3, PrecisionIeee = 1, PrecisionBf16 = 3;

    /// <summary>Whether fp32 products through oneDNN keep fp32 precision here: with AMX units oneDNN would really compute in bf16.</summary>
    public static bool OneDnnKeepsFloat32 => X86Base.IsSupported && Avx512F.IsSupported && (X86Base.CpuId(7, 0).Edx & (1 << 22)) == 0;

    /// <summary>Whether products in bf16 are faster than in fp32 here: with AMX units, or on AMD with AVX512_BF16. Intel's AVX512_BF16 alone computes as many numbers a second as fp32 does, and casts cost time.</summary>
    public static bool BFloat16IsFast
    {
        get
        {
            if (!X86Base.IsSupported) return false;
            var amx = (X86Base.CpuId(7, 0).Edx & (1 << 22)) != 0;
            var dotProducts = X86Base.CpuId(7, 0).Eax >= 1 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;
            var isAmd = X86Base.CpuId(0, 0).Ebx == 0x68747541;                // "Auth" of AuthenticAMD
            return amx || (isAmd && dotProducts);
        }
    }

    /// <summary>Routes fp32 matrix products to oneDNN where that keeps fp32 precision.</summary>
    /// <param name="on"><c>false</c> goes back to libtorch's default.</param>
    /// <returns>Whether oneDNN is in use now.</returns>
    public static bool UseOneDnn(bool on = true)
    {
        var runtime = TorchRuntime.EnsureLoaded();
        if (!OperatingSystem.IsLinux() || (on && !OneDnnKeepsFloat32)) return false;
        var torchCpu = NativeLibrary.Load(Path.Combine(runtime.TorchFolder, "libtorch_cpu.so"));
        if (!NativeLibrary.TryGetExport(torchCpu, GlobalContext, out var context) || !NativeLibrary.TryGetExport(torchCpu, SetPrecision, out var set))
            return false;
        var at = ((delegate* unmanaged[Cdecl]<nint>)context)();
        ((delegate* unmanaged[Cdecl]<nint, int, int, int, void>)set)(at, BackendMkldnn, OpMatmul, on ? PrecisionBf16 : PrecisionIeee);
        return on;
    }
}
