using NotebookKit.Display;

namespace NotebookKit.Hub;

/// <summary>A file of a snapshot.</summary>
/// <param name="Name">Path in the repository.</param>
/// <param name="Path">Where it stands in the snapshot.</param>
/// <param name="Blob">Where its bytes are: a blob, or <paramref name="Path"/> itself; <c>null</c> where a link leads nowhere or out of the cache.</param>
/// <param name="Size">Bytes.</param>
/// <param name="LastUsed">Last access or change, in UTC.</param>
public sealed record CachedFile(string Name, string Path, string? Blob, long Size, DateTime LastUsed);

/// <summary>A download that stopped half way, and would go on from there.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Size">Bytes.</param>
public sealed record IncompleteFile(string Path, long Size);

/// <summary>A repository's files at one commit.</summary>
/// <param name="Commit">The commit.</param>
/// <param name="Refs">Branches and tags that were this commit when they were fetched last.</param>
/// <param name="Files">Its files in the cache.</param>
public sealed record CachedRevision(string Commit, IReadOnlyList<string> Refs, IReadOnlyList<CachedFile> Files)
{
    /// <summary>Bytes; other revisions may share some of them.</summary>
    public long Size => Files.Where(f => f.Blob is not null).DistinctBy(f => f.Blob).Sum(f => f.Size);

    /// <summary>When one of its files was last read or written, in UTC.</summary>
    public DateTime LastUsed => Files.Count == 0 ? DateTime.UnixEpoch : Files.Max(f => f.LastUsed);
}

/// <summary>A model or dataset in the cache.</summary>
/// <param name="Repository">Which.</param>
/// <param name="Folder">Its folder.</param>
/// <param name="Size">Bytes on disk, each blob once, incomplete ones included.</param>
/// <param name="Revisions">Its commits.</param>
/// <param name="Incomplete">Downloads that stopped half way.</param>
public sealed record CachedRepository(HubRepository Repository, string Folder, long Size, IReadOnlyList<CachedRevision> Revisions, IReadOnlyList<IncompleteFile> Incomplete);

/// <summary>Everything in the cache.</summary>
/// <param name="Folder">The cache's folder.</param>
/// <param name="Repositories">Models and datasets.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record CacheListing(string Folder, IReadOnlyList<CachedRepository> Repositories) : IShown
{
    /// <summary>Bytes on disk.</summary>
    public long Size => Repositories.Sum(r => r.Size);

    /// <summary>A row per revision, and one per repository with unfinished downloads.</summary>
    public Table ToTable() => new(["kind", "id", "revision", "commit", "files", "size", "last used"],
        [.. Repositories.SelectMany(r => r.Revisions.Select(v => Row(r, v.Refs.Count > 0 ? string.Join(", ", v.Refs) : "–", v.Commit[..12], v.Files.Count, v.Size, v.LastUsed.ToString("yyyy-MM-dd")))
            .Concat(r.Incomplete.Count > 0 ? [Row(r, "unfinished", "", r.Incomplete.Count, r.Incomplete.Sum(i => i.Size), "")] : []))],
        $"{Folder}: {Repositories.Count} repositories, {ByteSize.Text(Size)}");

    /// <inheritdoc/>
    public string ToHtml() => ToTable().ToHtml();

    /// <inheritdoc/>
    public string ToText() => ToTable().ToText();

    private static string[] Row(CachedRepository r, string revision, string commit, int files, long size, string used) =>
        [r.Repository.Kind.ToString().ToLowerInvariant(), r.Repository.Id, revision, commit, files.ToString(), ByteSize.Text(size), used];
}

/// <summary>Bytes for people.</summary>
public static class ByteSize
{
    /// <summary>In powers of 1000, as disks and the hub count: <c>1.5 GB</c>.</summary>
    public static string Text(long bytes)
    {
        string[] units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        var (value, unit) = ((double)bytes, 0);
        for (; value >= 999.95 && unit < units.Length - 1; unit++) value /= 1000;
        return unit == 0 ? $"{bytes} B" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{value:F1} {units[unit]}");
    }
}
