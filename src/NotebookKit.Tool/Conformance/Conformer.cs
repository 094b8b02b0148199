using System.Text.Json;
using NotebookKit.Models;
using NotebookKit.Tool.Conformance.Cases;
using TorchSharp;

namespace NotebookKit.Tool.Conformance;

/// <summary>Walks a folder, recognises the golden formats of the reference data, and runs every case.</summary>
internal static class Conformer
{
    /// <summary>Outcomes as they come, each with the place it belongs to.</summary>
    public static IEnumerable<(string Place, Outcome Outcome)> Run(string root)
    {
        Runtime.TorchRuntime.EnsureLoaded();
        if (!Directory.Exists(root) && !File.Exists(root)) throw new DirectoryNotFoundException($"No folder at '{Path.GetFullPath(root)}'.");
        var folders = Directory.Exists(root) ? Directory.EnumerateDirectories(root, "*", SearchOption.AllDirectories).Prepend(root).Order(StringComparer.Ordinal) : Enumerable.Empty<string>();
        foreach (var folder in folders)
        {
            var place = Path.GetRelativePath(root, folder);
            foreach (var outcome in Folder(folder)) yield return (place == "." ? Path.GetFileName(Path.GetFullPath(folder)) : place, outcome);
            foreach (var file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal))
                foreach (var outcome in Cases(file)) yield return (place, outcome);
        }
        if (File.Exists(root))
            foreach (var outcome in Cases(root)) yield return (Path.GetFileName(root), outcome);
    }

    private static IEnumerable<Outcome> Folder(string folder)
    {
        foreach (var outcome in Model(folder)) yield return outcome;
        if (AdapterCases.AreIn(folder))
            foreach (var outcome in Safely(() => AdapterCases.Run(folder))) yield return outcome;
        if (TokenizerCases.AreIn(folder))
            foreach (var outcome in Safely(() => TokenizerCases.Run(folder))) yield return outcome;
        if (ChatTemplateCases.AreIn(folder))
            foreach (var outcome in Safely(() => ChatTemplateCases.Run(folder))) yield return outcome;
    }

    private static IEnumerable<Outcome> Model(string folder)
    {
        if (!File.Exists(Path.Combine(folder, "config.json"))) return [];
        if (VariantCases.IsOne(folder)) return Safely(() => VariantCases.Run(folder));
        if (!Golden.IsIn(folder)) return [];
        return Safely(() => Checkpoint(folder));
    }

    private static IEnumerable<Outcome> Checkpoint(string folder)
    {
        using var golden = Golden.Open(folder);
        var model = PretrainedModel.Open(folder);
        var outcomes = golden.Cases.Any() ? CheckpointCases.Run(model, golden, model.Head.Head) : TrainedModelCases.Run(model, golden);
        foreach (var outcome in outcomes) yield return outcome;
    }

    /// <summary>A file that holds cases itself: shapes of a published model, or a list of training cases.</summary>
    private static IEnumerable<Outcome> Cases(string file)
    {
        if (new FileInfo(file).Length > 50_000_000) return [];
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(file));
            if (PublishedCases.IsOne(json.RootElement)) return [PublishedCases.Run(file, json.RootElement)];
            if (!TrainingCases.IsOne(json.RootElement)) return [];
            var cases = json.RootElement.Clone();
            return Safely(() => TrainingCases.Run(cases));
        }
        catch (JsonException)
        {
            return [];   // another tool's file; what is ours says so by its fields
        }
    }

    /// <summary>A folder that cannot be opened is one failed case, not the end of the walk.</summary>
    private static IEnumerable<Outcome> Safely(Func<IEnumerable<Outcome>> cases)
    {
        using var scope = torch.NewDisposeScope();
        using var walk = cases().GetEnumerator();
        while (true)
        {
            Outcome? outcome = null;
            try
            {
                if (walk.MoveNext()) outcome = walk.Current;
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                outcome = Check.Failed("load", e);
            }
            if (outcome is null) yield break;
            yield return outcome;
            if (outcome.Case == "load") yield break;
        }
    }
}
