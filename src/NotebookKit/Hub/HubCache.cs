using System.Globalization;
using NotebookKit.Display;

namespace NotebookKit.Hub;

/// <summary>A revision in the cache.</summary>
/// <param name="Commit">Its commit.</param>
/// <param name="Names">Branches and tags that point to it.</param>
/// <param name="Files">Number of files.</param>
/// <param name="Bytes">Their size.</param>
public sealed record CachedRevision(string Commit, IReadOnlyList<string> Names, int Files, long Bytes);

/// <summary>A model or dataset in the cache.</summary>
/// <param name="Type">What it is.</param>
/// <param name="Id">Hub id.</param>
/// <param name="Revisions">Its revisions.</param>
/// <param name="Bytes">Bytes on disk; files that revisions share count once.</param>
/// <param name="Incomplete">Bytes of these that belong to downloads cut short.</param>
/// <param name="LastUsed">When a file of it was last read or written.</param>
public sealed record CachedRepository(RepositoryType Type, string Id, IReadOnlyList<CachedRevision> Revisions, long Bytes, long Incomplete, DateTime LastUsed);

/// <summary>Hugging Face's cache on this machine, in its own layout: <c>blobs</c>, <c>refs</c>, <c>snapshots</c> (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).</summary>
/// <param name="root">The cache's folder.</param>
public sealed class HubCache(string root)
{
    /// <summary>The cache that the environment names.</summary>
    public static HubCache FromEnvironment() => new(HubSettings.FromEnvironment().Cache);

    /// <summary>The folder.</summary>
    public string Root => root;

    /// <summary>The snapshot of a revision; <c>null</c> where it is not in the cache.</summary>
    public string? Find(string id, string revision = "main", RepositoryType type = RepositoryType.Model)
    {
        var folder = Path.Combine(root, HubNames.Folder(type, HubNames.CheckId(id)));
        var reference = Path.Combine(folder, "refs", HubNames.CheckRevision(revision));
        var commit = File.Exists(reference) ? File.ReadAllText(reference).Trim() : HubNames.IsCommit(revision) ? revision : null;
        return commit is not null && HubNames.IsCommit(commit) && Path.Combine(folder, "snapshots", commit) is var snapshot && Directory.Exists(snapshot) ? snapshot : null;
    }

    /// <summary>All models and datasets.</summary>
    public IReadOnlyList<CachedRepository> List()
    {
        if (!Directory.Exists(root)) return [];
        var all = new List<CachedRepository>();
        foreach (var folder in Directory.EnumerateDirectories(root).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(folder);
            var type = name.StartsWith("models--", StringComparison.Ordinal) ? RepositoryType.Model : name.StartsWith("datasets--", StringComparison.Ordinal) ? RepositoryType.Dataset : (RepositoryType?)null;
            if (type is null || new DirectoryInfo(folder).LinkTarget is not null) continue;
            var names = Files(Path.Combine(folder, "refs")).GroupBy(f => File.ReadAllText(f).Trim()).ToDictionary(g => g.Key, g => (IReadOnlyList<string>)[.. g.Select(f => Path.GetRelativePath(Path.Combine(folder, "refs"), f).Replace('\\', '/'))]);
            var revisions = Folders(Path.Combine(folder, "snapshots")).Select(s => (Commit: Path.GetFileName(s), Files: Files(s).ToArray()))
                .Select(s => new CachedRevision(s.Commit, names.GetValueOrDefault(s.Commit, []), s.Files.Length, s.Files.Sum(Size))).ToArray();
            var stored = Files(folder).Select(f => new FileInfo(f)).Where(f => f.LinkTarget is null).ToArray();
            all.Add(new CachedRepository(type.Value, name[(name.IndexOf("--", StringComparison.Ordinal) + 2)..].Replace("--", "/", StringComparison.Ordinal), revisions, stored.Sum(f => f.Length),
                stored.Where(f => f.Name.EndsWith(".incomplete", StringComparison.Ordinal)).Sum(f => f.Length),
                stored.Select(f => f.LastAccessTime > f.LastWriteTime ? f.LastAccessTime : f.LastWriteTime).DefaultIfEmpty(Directory.GetLastWriteTime(folder)).Max()));
        }
        return all;
    }

    /// <summary>The listing as a table.</summary>
    public Table Show() => new(["", "id", "revisions", "size", "cut short", "last used"], [.. List().Select(r => (IReadOnlyList<string>)
        [r.Type == RepositoryType.Model ? "model" : "dataset", r.Id, string.Join(", ", r.Revisions.Select(v => v.Names.Count > 0 ? string.Join("/", v.Names) : v.Commit[..Math.Min(8, v.Commit.Length)])), Megabytes(r.Bytes),
            r.Incomplete > 0 ? Megabytes(r.Incomplete) : "", r.LastUsed.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)])], root);

    /// <summary>Deletes a model or dataset, one of its revisions, or what downloads left half done.</summary>
    /// <param name="repository">From <see cref="List"/>.</param>
    /// <param name="commit">Only this revision, and files no other has.</param>
    /// <param name="onlyIncomplete">Only downloads cut short.</param>
    /// <param name="delete">Whether to delete; else only the bytes are counted.</param>
    /// <returns>Bytes freed, or that would be.</returns>
    public long Prune(CachedRepository repository, string? commit = null, bool onlyIncomplete = false, bool delete = false)
    {
        var folder = Path.Combine(root, HubNames.Folder(repository.Type, HubNames.CheckId(repository.Id)));
        if (commit is null && !onlyIncomplete)
        {
            if (delete) Directory.Delete(folder, recursive: true);           // links are removed, not followed
            return repository.Bytes;
        }
        var gone = new List<string>();
        if (onlyIncomplete) gone.AddRange(Files(Path.Combine(folder, "blobs")).Where(f => f.EndsWith(".incomplete", StringComparison.Ordinal)));
        else
        {
            var snapshot = Path.Combine(folder, "snapshots", HubNames.IsCommit(commit!) ? commit! : throw new ArgumentException($"'{commit}' is not a commit.", nameof(commit)));
            string? Blob(string file) => File.ResolveLinkTarget(file, returnFinalTarget: true)?.FullName;
            var kept = Folders(Path.Combine(folder, "snapshots")).Where(s => s != snapshot).SelectMany(Files).Select(Blob).ToHashSet();
            gone.AddRange(Files(snapshot).Select(f => Blob(f) ?? f).Where(b => !kept.Contains(b) && b.StartsWith(Path.GetFullPath(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal)));
            if (delete)
            {
                foreach (var reference in Files(Path.Combine(folder, "refs")).Where(f => File.ReadAllText(f).Trim() == commit)) File.Delete(reference);
                if (Directory.Exists(snapshot)) Directory.Delete(snapshot, recursive: true);
            }
        }
        var bytes = gone.Where(File.Exists).Sum(Size);
        if (delete)
            foreach (var file in gone) File.Delete(file);
        return bytes;
    }

    internal static string Megabytes(long bytes) => bytes >= 1_000_000_000 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:N1} GB") : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:N1} MB");

    private static long Size(string file) => File.Exists(file) && (File.ResolveLinkTarget(file, returnFinalTarget: true) is FileInfo target ? target : new FileInfo(file)) is { Exists: true } info ? info.Length : 0;

    private static IEnumerable<string> Folders(string folder) => Directory.Exists(folder) ? Directory.EnumerateDirectories(folder) : [];

    private static IEnumerable<string> Files(string folder) => Directory.Exists(folder)
        ? Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }) : [];
}
