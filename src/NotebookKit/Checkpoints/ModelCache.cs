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
                + $"Do one thing: run `nbkit download {id}` with a network, or put its config.json, tokenizer.json and model.safetensors into one folder and set {Variable} to the folder above it.");
    }

    /// <summary>The same, or <c>null</c> where the model is not on this machine.</summary>
    public static string? TryFind(string id) =>
        id.Contains("..", StringComparison.Ordinal) ? null : Candidates(id).FirstOrDefault(f => File.Exists(Path.Combine(f, "config.json")));

    private static bool IsId(string id)
    {
        try { return HubNames.CheckId(id) == id; }
        catch (ArgumentException) { return false; }
    }

    private static IEnumerable<string> Candidates(string id)
    {
        yield return Path.GetFullPath(id);
        var name = id[(id.LastIndexOf('/') + 1)..];
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen) yield return Path.Combine(chosen, name);
        if (IsId(id))
        {
            var cache = HubCache.FromEnvironment();
            yield return cache.Find(id) ?? Path.Combine(cache.Root, "models--" + id.Replace("/", "--", StringComparison.Ordinal));
        }
        for (var folder = Directory.GetCurrentDirectory(); folder is not null; folder = Path.GetDirectoryName(folder))
            if (Directory.Exists(Path.Combine(folder, "shared"))) yield return Path.Combine(folder, "shared", "reference", "checkpoints", "real", name);
    }
}
