namespace NotebookKit.Benchmarks;

/// <summary>What figures were measured on.</summary>
internal static class Machine
{
    /// <summary>The CPU's name, and the units that decide matrix products.</summary>
    public static string Cpu => OperatingSystem.IsLinux()
        ? $"{Field("model name") ?? "unknown CPU"}{(Flags.Contains("amx_bf16") ? ", AMX" : Flags.Contains("avx512_bf16") ? ", AVX-512 with bf16" : Flags.Contains("avx512f") ? ", AVX-512" : "")}"
        : System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();

    private static HashSet<string> Flags => [.. (Field("flags") ?? "").Split(' ')];

    private static string? Field(string name) => File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[^1].Trim();
}
