using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Data;
using NotebookKit.Runtime;

namespace NotebookKit.Benchmarks;

/// <summary>Ratios of this run, written to <c>artifacts/benchmarks.json</c> and compared with those that stand there from the run before on the same CPU.</summary>
internal static class Kept
{
    private static readonly Dictionary<string, double> Ratios = [];

    private static string PathOf => Path.Combine(RepositoryFolder.Find() ?? ".", "artifacts", "benchmarks.json");

    public static void Add(string name, double ratio) => Ratios[name] = ratio;

    /// <summary>Says what changed by more than a tenth, which is noise on shared machines, and writes the file anew.</summary>
    public static void Compare()
    {
        var before = File.Exists(PathOf) ? JsonNode.Parse(File.ReadAllText(PathOf))!.AsObject() : [];
        var here = before[Hardware.Cpu]?.AsObject() ?? [];
        foreach (var (name, ratio) in Ratios)
        {
            if (here[name] is { } old && Math.Abs(ratio / (double)old - 1) > 0.1)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {ratio:F2}x, the run before had {(double)old:F2}x"));
            here[name] = Math.Round(ratio, 3);
        }
        before[Hardware.Cpu] = here.DeepClone();
        WholeFile.Write(PathOf, before.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    }
}
