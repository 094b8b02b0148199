using System.Reflection;
using System.Runtime.InteropServices;

namespace NotebookKit.Runtime;

/// <summary>
/// Finds and loads libtorch before anything touches TorchSharp. A failed TorchSharp initialiser poisons the process, so
/// every entry point of the kit calls <see cref="EnsureLoaded"/> first.
/// </summary>
/// <remarks>Thread-safe; the work is done once per process.</remarks>
public static class TorchRuntime
{
    private static readonly Lazy<TorchRuntimeInfo> Loaded = new(Load);

    /// <summary>Loads the native libraries once and says where they came from.</summary>
    /// <exception cref="DllNotFoundException">libtorch or TorchSharp's native half cannot be loaded; the message lists every
    /// folder that was looked in and the one thing to do.</exception>
    public static TorchRuntimeInfo EnsureLoaded() => Loaded.Value;

    private static TorchRuntimeInfo Load()
    {
        // Idle OpenMP threads that spin beside another OpenMP job slow both down 4 to 30 times; read when libgomp loads.
        NativeEnvironment.SetIfAbsent("GOMP_SPINCOUNT", "1000");

        var names = NativeNames.ForThisPlatform();
        var folders = NativeFolders.Candidates(names).Distinct().ToArray();
        var torchFolder = folders.FirstOrDefault(f => File.Exists(Path.Combine(f, names.TorchCpu)))
            ?? throw NotFound(names.TorchCpu, $"{names.TorchPackage} {NativeFolders.LibtorchVersion}", folders);
        var bridge = folders.Select(f => Path.Combine(f, names.Bridge)).FirstOrDefault(File.Exists)
            ?? throw NotFound(names.Bridge, "TorchSharp", folders);

        foreach (var library in names.InLoadOrder.Select(n => Path.Combine(torchFolder, n)).Where(File.Exists))
            NativeLibrary.Load(library);

        var patched = false;
        if (!NativeLibrary.TryLoad(bridge, out _))
        {
            // Debian 12, Ubuntu 22.04 and RHEL 9 lack GLIBCXX_3.4.32; the one symbol of that version is never called.
            var copy = WeakenedCopy.Of(bridge, "GLIBCXX_3.4.32");
            NativeLibrary.Load(copy);
            (bridge, patched) = (copy, true);
        }

        TorchSharp.torch.InitializeDeviceType(TorchSharp.DeviceType.CPU);
        return new TorchRuntimeInfo(torchFolder, bridge, patched);
    }

    private static DllNotFoundException NotFound(string file, string package, IEnumerable<string> folders) => new(
        $"The native library {file} was not found. It comes with the NuGet package {package}. Looked in:\n  "
        + string.Join("\n  ", folders)
        + $"\nDo one thing: run `dotnet restore` on NotebookKit.sln, or set {NativeFolders.OverrideVariable} to the folder that holds {file}.");
}

/// <summary>Where the native libraries of this process came from.</summary>
/// <param name="TorchFolder">The folder libtorch was loaded from.</param>
/// <param name="BridgePath">The file of TorchSharp's native half.</param>
/// <param name="BridgePatched">Whether a copy with one weakened version need was loaded, because the C++ runtime is older than TorchSharp asks for.</param>
public sealed record TorchRuntimeInfo(string TorchFolder, string BridgePath, bool BridgePatched);

internal sealed record NativeNames(string Rid, string TorchPackage, string TorchCpu, string Bridge, string[] InLoadOrder)
{
    public static NativeNames ForThisPlatform()
    {
        if (OperatingSystem.IsWindows())
            return new("win-x64", "libtorch-cpu-win-x64", "torch_cpu.dll", "LibTorchSharp.dll", ["c10.dll", "torch_cpu.dll", "torch_cuda.dll", "torch.dll"]);
        if (OperatingSystem.IsMacOS())
            return new("osx-arm64", "libtorch-cpu-osx-arm64", "libtorch_cpu.dylib", "libLibTorchSharp.dylib", ["libc10.dylib", "libtorch_cpu.dylib", "libtorch.dylib"]);
        if (OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64)
            return new("linux-x64", "libtorch-cpu-linux-x64", "libtorch_cpu.so", "libLibTorchSharp.so", ["libc10.so", "libtorch_cpu.so", "libtorch_cuda.so", "libtorch.so"]);
        throw new PlatformNotSupportedException(
            $"libtorch is published for Linux x64, Windows x64 and macOS arm64; this process runs on {RuntimeInformation.RuntimeIdentifier}.");
    }
}

internal static class NativeFolders
{
    public const string OverrideVariable = "NOTEBOOKKIT_LIBTORCH";

    public static string LibtorchVersion => Metadata("LibtorchVersion");

    /// <summary>Folders that may hold native libraries, most specific first: the override, beside the kit, the package caches.</summary>
    public static IEnumerable<string> Candidates(NativeNames names)
    {
        if (Environment.GetEnvironmentVariable(OverrideVariable) is { Length: > 0 } chosen) yield return chosen;
        foreach (var home in new[] { Path.GetDirectoryName(typeof(TorchRuntime).Assembly.Location), AppContext.BaseDirectory })
        {
            if (string.IsNullOrEmpty(home)) continue;
            yield return Path.TrimEndingDirectorySeparator(home);
            yield return Path.Combine(home, "runtimes", names.Rid, "native");
        }
        var bridgeVersion = typeof(TorchSharp.torch).Assembly.GetName().Version!.ToString(3);
        foreach (var root in PackageRoots())
        {
            yield return Path.Combine(root, names.TorchPackage, LibtorchVersion, "runtimes", names.Rid, "native");
            yield return Path.Combine(root, "torchsharp", bridgeVersion, "runtimes", names.Rid, "native");
        }
    }

    private static IEnumerable<string> PackageRoots()
    {
        if (Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } root) yield return root;
        if (Metadata("PackageRoot") is { Length: > 0 } built) yield return built;
        yield return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
    }

    private static string Metadata(string key) =>
        typeof(TorchRuntime).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(a => a.Key == key)?.Value ?? "";
}

internal static partial class NativeEnvironment
{
    /// <summary>Sets a variable where native code reads it (.NET's own setter does not reach libc on Unix).</summary>
    public static void SetIfAbsent(string name, string value)
    {
        if (Environment.GetEnvironmentVariable(name) is not null) return;
        if (OperatingSystem.IsWindows()) Environment.SetEnvironmentVariable(name, value);
        else _ = SetEnv(name, value, 1);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnv(string name, string value, int overwrite);
}
