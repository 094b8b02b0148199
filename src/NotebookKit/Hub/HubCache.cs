using System.IO.Enumeration;
using System.Text.Json;

namespace NotebookKit.Hub;

/// <summary>
/// The cache on disk, in the layout of Python's huggingface_hub, so that both read what the other wrote: <c>models--org--name/</c> with <c>blobs/TAG</c> (the bytes, named by their
/// checksum), <c>refs/REVISION</c> (a commit) and <c>snapshots/COMMIT/FILE</c> (a relative link to a blob; the file itself where the system has no links).
/// </summary>
public sealed class HubCache
{
    private readonly bool _links;

    /// <summary>The cache in a folder; it need not exist.</summary>
    /// <param name="folder">Such as <see cref="HubSettings.CacheFolder"/>.</param>
    public HubCache(string folder) : this(folder, links: true) { }

    internal HubCache(string folder, bool links) => (Folder, _links) = (Path.GetFullPath(folder), links);

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>The folder with a repository's files at a revision, or <c>null</c> where the cache has none. It may hold only some of the repository's files.</summary>
    /// <param name="repository">The repository.</param>
    /// <param name="revision">Branch, tag or full commit.</param>
    public string? Snapshot(HubRepository repository, string revision = "main")
    {
        if (SafeNames.ProblemOfRevision(revision) is not null) return null;
        var commit = SafeNames.IsCommit(revision) ? revision : Commit(Path.Combine(FolderOf(repository), "refs", revision));
        return commit is not null && SnapshotFolder(repository, commit) is var folder && Directory.Exists(folder) ? folder : null;
    }

    /// <summary>The snapshot of <c>main</c>; where <c>main</c> was never resolved (only commits or tags were fetched), the one written last.</summary>
    public string? NewestSnapshot(HubRepository repository) => Snapshot(repository)
        ?? (Path.Combine(FolderOf(repository), "snapshots") is var all && Directory.Exists(all) ? Directory.EnumerateDirectories(all).MaxBy(Directory.GetLastWriteTimeUtc) : null);

    /// <summary>Everything in the cache.</summary>
    public CacheListing List()
    {
        var repositories = !Directory.Exists(Folder) ? [] : Directory.EnumerateDirectories(Folder).Where(f => !IsLink(f)).Order(StringComparer.Ordinal)
            .Select(f => (Folder: f, Repository: HubRepository.FromFolderName(Path.GetFileName(f)))).Where(r => r.Repository is not null)
            .Select(r => Read(r.Folder, r.Repository!)).ToArray();
        return new CacheListing(Folder, repositories);
    }

    internal string FolderOf(HubRepository repository) => Path.Combine(Folder, repository.FolderName);

    internal string SnapshotFolder(HubRepository repository, string commit) => Path.Combine(FolderOf(repository), "snapshots", commit);

    internal string BlobPath(HubRepository repository, string tag) => Path.Combine(FolderOf(repository), "blobs", tag);

    internal string LockPath(HubRepository repository, string tag) => Path.Combine(Folder, ".locks", repository.FolderName, tag + ".lock");

    /// <summary>Whether a snapshot has a file, whole.</summary>
    internal bool Has(HubRevision revision, HubFile file)
    {
        var path = Path.Combine(SnapshotFolder(revision.Repository, revision.Commit), file.Name);
        if (!File.Exists(path)) return false;
        var target = File.ResolveLinkTarget(path, returnFinalTarget: true) as FileInfo ?? new FileInfo(path);
        return target.Exists && (file.Size is null || target.Length == file.Size);
    }

    /// <summary>Makes a blob appear in a snapshot.</summary>
    internal void Link(HubRevision revision, HubFile file, string blob, bool isNew)
    {
        var path = Path.Combine(SnapshotFolder(revision.Repository, revision.Commit), file.Name);
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        var temporary = Runtime.WholeFile.Beside(Path.Combine(folder, "." + Path.GetFileName(path)));
        try
        {
            if (!_links || !TryLink(temporary, Path.GetRelativePath(folder, blob)))
            {
                // As Python's client does on Windows without links: a new blob moves, one that other snapshots may use is copied.
                if (isNew) File.Move(blob, temporary, overwrite: true);
                else File.Copy(blob, temporary, overwrite: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        finally { File.Delete(temporary); }
    }

    /// <summary>Remembers which commit a branch or tag is, and what the commit holds.</summary>
    internal void Remember(HubRevision revision, string name)
    {
        if (!SafeNames.IsCommit(name)) Runtime.WholeFile.Write(Path.Combine(FolderOf(revision.Repository), "refs", name), System.Text.Encoding.ASCII.GetBytes(revision.Commit));
        Runtime.WholeFile.Write(ListingPath(revision.Repository, revision.Commit), JsonSerializer.SerializeToUtf8Bytes([.. revision.Files], ListingJson.Default.HubFileArray));
    }

    /// <summary>The files of a commit, as the hub once listed them; <c>null</c> where another program filled the cache.</summary>
    internal HubRevision? Listing(HubRepository repository, string commit)
    {
        try
        {
            return File.Exists(ListingPath(repository, commit)) && JsonSerializer.Deserialize(File.ReadAllBytes(ListingPath(repository, commit)), ListingJson.Default.HubFileArray) is { } files
                ? new HubRevision(repository, commit, files) : null;
        }
        catch (JsonException) { return null; }
    }

    /// <summary>Files below a folder, links to files included, folders that are links left alone.</summary>
    internal static IEnumerable<string> FilesBelow(string folder) => !Directory.Exists(folder) || IsLink(folder) ? []
        : new FileSystemEnumerable<string>(folder, static (ref FileSystemEntry e) => e.ToFullPath(), new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 })
        {
            ShouldIncludePredicate = static (ref FileSystemEntry e) => !e.IsDirectory || (e.Attributes & FileAttributes.ReparsePoint) != 0,
            ShouldRecursePredicate = static (ref FileSystemEntry e) => (e.Attributes & FileAttributes.ReparsePoint) == 0,
        };

    internal static bool IsLink(string path) => new FileInfo(path).LinkTarget is not null;

    private string ListingPath(HubRepository repository, string commit) => Path.Combine(FolderOf(repository), ".listings", commit + ".json");

    private static CachedRepository Read(string folder, HubRepository repository)
    {
        var refs = FilesBelow(Path.Combine(folder, "refs")).Select(f => (Name: Path.GetRelativePath(Path.Combine(folder, "refs"), f).Replace('\\', '/'), Commit: Commit(f))).ToArray();
        var snapshots = Path.Combine(folder, "snapshots");
        var revisions = !Directory.Exists(snapshots) || IsLink(snapshots) ? [] : Directory.EnumerateDirectories(snapshots)
            .Where(s => !IsLink(s) && SafeNames.IsCommit(Path.GetFileName(s))).Order(StringComparer.Ordinal)
            .Select(s => new CachedRevision(Path.GetFileName(s), [.. refs.Where(r => r.Commit == Path.GetFileName(s)).Select(r => r.Name).Order(StringComparer.Ordinal)],
                [.. FilesBelow(s).Order(StringComparer.Ordinal).Select(f => FileOf(folder, s, f))])).ToArray();
        var blobs = FilesBelow(Path.Combine(folder, "blobs")).Where(b => !IsLink(b)).Select(b => new FileInfo(b)).ToArray();
        var inSnapshots = revisions.SelectMany(r => r.Files).Where(f => f.Path == f.Blob).Sum(f => f.Size);
        return new CachedRepository(repository, folder, blobs.Sum(b => b.Length) + inSnapshots, revisions,
            [.. blobs.Where(b => b.Name.EndsWith(".incomplete", StringComparison.Ordinal)).Select(b => new IncompleteFile(b.FullName, b.Length))]);
    }

    /// <summary>A file of a snapshot. A link that leads out of the repository's folder has no blob here and no size.</summary>
    private static CachedFile FileOf(string repository, string snapshot, string path)
    {
        var link = new FileInfo(path);
        var name = Path.GetRelativePath(snapshot, path).Replace('\\', '/');
        var target = link.LinkTarget is { } to ? Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, to)) : path;
        var blob = new FileInfo(target);
        var own = target.StartsWith(repository + Path.DirectorySeparatorChar, StringComparison.Ordinal) && blob.Exists && (target == path || blob.LinkTarget is null);
        if (!own) return new CachedFile(name, path, null, 0, link.LastWriteTimeUtc);
        return new CachedFile(name, path, target, blob.Length, blob.LastAccessTimeUtc > blob.LastWriteTimeUtc ? blob.LastAccessTimeUtc : blob.LastWriteTimeUtc);
    }

    private static string? Commit(string path) => File.Exists(path) && new FileInfo(path).Length < 200 && File.ReadAllText(path).Trim() is var text && SafeNames.IsCommit(text) ? text : null;

    private static bool TryLink(string path, string target)
    {
        try { File.CreateSymbolicLink(path, target); return true; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException) { return false; }
    }
}

/// <summary>Listings as JSON without reflection, which scripts of one file switch off.</summary>
[System.Text.Json.Serialization.JsonSerializable(typeof(HubFile[]))]
internal sealed partial class ListingJson : System.Text.Json.Serialization.JsonSerializerContext;
