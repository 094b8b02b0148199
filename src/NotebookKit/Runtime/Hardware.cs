using System.Runtime.InteropServices;

namespace NotebookKit.Runtime;

/// <summary>The machine that figures were measured on.</summary>
public static class Hardware
{
    /// <summary>The CPU's name, and the units that decide matrix products.</summary>
    public static string Cpu => OperatingSystem.IsLinux() && Field("model name") is { } name
        ? $"{name}{(Flags.Contains("amx_bf16") ? ", AMX" : Flags.Contains("avx512_bf16") ? ", AVX-512 with bf16" : Flags.Contains("avx512f") ? ", AVX-512" : "")}"
        : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();

    /// <summary>Memory that this process may use, in bytes.</summary>
    public static long Memory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>CPU, cores and memory in one line.</summary>
    public static string Describe() => $"{Cpu}, {Environment.ProcessorCount} cores, {Math.Round(Memory / (double)(1 << 30))} GiB";

    private static HashSet<string> Flags => [.. (Field("flags") ?? "").Split(' ')];

    private static string? Field(string name) => File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[^1].Trim();
}
