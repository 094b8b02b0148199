using NotebookKit.Hub;

namespace NotebookKit.Checkpoints;

/// <summary>Finds models on this machine by their hub id, without a network.</summary>
public static class ModelCache
{
    private const string Variable = "NOTEBOOKKIT_MODELS";

    /// <summary>The folder of a model: one that exists under the path itself, in <c>NOTEBOOKKIT_MODELS</c>, in Hugging Face's cache, or in
    /// <c>shared/reference/checkpoints/real</c> beside the working directory's repository.</summary>
    /// <param name="id">A folder, or a hub id such as <c>sentence-transformers/all-MiniLM-L6-v2</c>.</param>
    /// <exception cref="DirectoryNotFoundException">It is nowhere; the message lists where was looked and the one thing to do.</exception>
    public static string Find(string id)
    {
        if (id.Contains("..", StringComparison.Ordinal)) throw new ArgumentException($"'{id}' is not a hub id.", nameof(id));
        var looked = Candidates(id).ToArray();
        return looked.FirstOrDefault(f => File.Exists(Path.Combine(f, "config.json")))
            ?? throw new DirectoryNotFoundException($"The model '{id}' is not on this machine. Looked in:\n  {string.Join("\n  ", looked)}\n"
                + (SafeNames.ProblemOfId(id) is null ? $"Do one thing: run nbkit download {id} (in code: await new HubClient().DownloadAsync(\"{id}\")); without a network, set {Variable} to the folder above one with its config.json, "
                    + "tokenizer.json and model.safetensors." : "Do one thing: give a folder that has a config.json, or a hub id such as 'organisation/name'."));
    }

    /// <summary>The same, or <c>null</c> where the model is not on this machine.</summary>
    public static string? TryFind(string id) =>
        id.Contains("..", StringComparison.Ordinal) ? null : Candidates(id).FirstOrDefault(f => File.Exists(Path.Combine(f, "config.json")));

    private static IEnumerable<string> Candidates(string id)
    {
        yield return Path.GetFullPath(id);
        var name = id[(id.LastIndexOf('/') + 1)..];
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen) yield return Path.Combine(chosen, name);
        if (HubFolder(id) is { } hub) yield return hub;
        for (var folder = Directory.GetCurrentDirectory(); folder is not null; folder = Path.GetDirectoryName(folder))
            if (Directory.Exists(Path.Combine(folder, "shared"))) yield return Path.Combine(folder, "shared", "reference", "checkpoints", "real", name);
    }

    /// <summary>The snapshot of the model's <c>main</c> in Hugging Face's cache, or where it would be.</summary>
    private static string? HubFolder(string id)
    {
        if (SafeNames.ProblemOfId(id) is not null) return null;
        var (cache, repository) = (new HubCache(HubSettings.FromEnvironment().CacheFolder), new HubRepository(id));
        return cache.NewestSnapshot(repository) ?? Path.Combine(cache.Folder, repository.FolderName, "snapshots");
    }
}
