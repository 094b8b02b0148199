using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Text.Json;
using NotebookKit.Runtime;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)] // torch uses all cores already, and seeds are global

namespace NotebookKit.Tests;

/// <summary>Where tests find their files: fixtures of this project, and shared reference data beside the checkout, which may be absent.</summary>
internal static class TestData
{
    [ModuleInitializer]
    internal static void LoadTorch() => TorchRuntime.EnsureLoaded();

    public static string RepositoryRoot { get; } = FindRoot();

    public static string Fixture(params string[] parts) => Path.Combine([RepositoryRoot, "tests", "NotebookKit.Tests", "Fixtures", .. parts]);

    /// <summary>A path below the shared data; skips the test, saying why, where it is absent.</summary>
    public static string RequireShared(string relative)
    {
        var shared = Environment.GetEnvironmentVariable("NOTEBOOKKIT_SHARED") is { Length: > 0 } chosen ? chosen : Path.Combine(Path.GetDirectoryName(RepositoryRoot)!, "shared");
        var path = Path.Combine(shared, relative);
        Assert.SkipUnless(Path.Exists(path), $"shared data is absent: {relative}");
        return path;
    }

    public static JsonElement[] Cases(string fixture)
    {
        using var file = File.OpenRead(Fixture(fixture.Split('/')));
        using Stream plain = fixture.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        return [.. JsonDocument.Parse(plain).RootElement.EnumerateArray()];
    }

    public static double[] Doubles(this JsonElement array) => [.. array.EnumerateArray().Select(Number)];

    /// <summary>The fixtures write NaN as text.</summary>
    public static double Number(this JsonElement value) => value.ValueKind == JsonValueKind.String ? double.Parse(value.GetString()!, System.Globalization.CultureInfo.InvariantCulture) : value.GetDouble();

    /// <summary>A folder of its own for a test, deleted afterwards by the caller's <c>using</c>.</summary>
    public static TemporaryFolder NewFolder() => new();

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "NotebookKit.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("Tests run inside a checkout.");
        return Path.TrimEndingDirectorySeparator(folder);
    }
}

internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("nbkit-test-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
