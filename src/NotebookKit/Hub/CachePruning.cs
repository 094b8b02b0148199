using NotebookKit.Display;

namespace NotebookKit.Hub;

/// <summary>What is to go from the cache. At least one must be set; <see cref="Id"/>, <see cref="Revision"/> and <see cref="UnusedFor"/> narrow each other down.</summary>
/// <param name="Id">Only this repository, model or dataset.</param>
/// <param name="Revision">Only this branch, tag or commit (its first 7 digits are enough).</param>
/// <param name="UnusedFor">Only revisions that nobody read or wrote for so long.</param>
/// <param name="Incomplete">Downloads that stopped half way; alone, nothing else goes.</param>
public sealed record PruneRequest(string? Id = null, string? Revision = null, TimeSpan? UnusedFor = null, bool Incomplete = false);

/// <summary>A part of the cache that would go.</summary>
/// <param name="What">In words.</param>
/// <param name="Bytes">Bytes that become free.</param>
/// <param name="Paths">Files and links to delete; folders that become empty go with them.</param>
public sealed record PruneItem(string What, long Bytes, IReadOnlyList<string> Paths);

/// <summary>What would go from a cache; nothing goes before <see cref="Delete"/>. Only files and links inside the cache are ever deleted, and no link is followed.</summary>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed class CachePruning : IShown
{
    private readonly string _folder;

    private CachePruning(string folder, IReadOnlyList<PruneItem> items) => (_folder, Items) = (folder, items);

    /// <summary>What would go.</summary>
    public IReadOnlyList<PruneItem> Items { get; }

    /// <summary>Bytes that would become free.</summary>
    public long Bytes => Items.Sum(i => i.Bytes);

    /// <summary>Plans: revisions that the request names, blobs that no other revision uses, refs that would point nowhere.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="request">What is to go.</param>
    /// <param name="now">The time that <see cref="PruneRequest.UnusedFor"/> counts back from, in UTC.</param>
    /// <exception cref="ArgumentException">Nothing was named; everything would go.</exception>
    public static CachePruning Plan(HubCache cache, PruneRequest request, DateTime now)
    {
        if (request == new PruneRequest()) throw new ArgumentException("Say what is to go: an id, a revision, a time unused, or incomplete downloads.", nameof(request));
        if (request.Revision is { Length: < 7 } and not "main" && request.Revision.All(char.IsAsciiHexDigitLower))
            throw new ArgumentException($"The commit '{request.Revision}' is too short; at least 7 digits are needed.", nameof(request));
        var items = new List<PruneItem>();
        var revisions = request.Revision is not null || request.UnusedFor is not null || !request.Incomplete;
        foreach (var repository in cache.List().Repositories.Where(r => request.Id is null || r.Repository.Id == request.Id))
        {
            var gone = !revisions ? [] : repository.Revisions.Where(v => Named(v, request.Revision) && (request.UnusedFor is not { } time || v.LastUsed < now - time)).ToArray();
            if (gone.Length > 0) items.Add(Revisions(repository, gone));
            if (!request.Incomplete && (gone.Length == 0 || gone.Length < repository.Revisions.Count)) continue;
            var free = repository.Incomplete.Where(i => !IsHeld(cache, repository, i.Path)).ToArray();
            if (free.Length > 0) items.Add(new PruneItem($"{repository.Repository}: {free.Length} unfinished download{(free.Length == 1 ? "" : "s")}", free.Sum(i => i.Size), [.. free.Select(i => i.Path)]));
        }
        return new CachePruning(cache.Folder, items);
    }

    /// <summary>Deletes what was planned.</summary>
    public void Delete()
    {
        foreach (var path in Items.SelectMany(i => i.Paths))
        {
            if (!Path.GetFullPath(path).StartsWith(_folder + Path.DirectorySeparatorChar, StringComparison.Ordinal)) throw new InvalidOperationException($"'{path}' is not inside the cache '{_folder}'.");
            File.Delete(path); // of a link, the link
            for (var folder = Path.GetDirectoryName(path)!; folder.Length > _folder.Length && !HubCache.IsLink(folder) && !Directory.EnumerateFileSystemEntries(folder).Any(); folder = Path.GetDirectoryName(folder)!)
                Directory.Delete(folder);
        }
    }

    /// <inheritdoc/>
    public string ToHtml() => ToTable().ToHtml();

    /// <inheritdoc/>
    public string ToText() => ToTable().ToText();

    private Table ToTable() => new(["what", "frees"], [.. Items.Select(i => new[] { i.What, ByteSize.Text(i.Bytes) })], $"{ByteSize.Text(Bytes)} in {_folder}");

    private static bool Named(CachedRevision revision, string? wanted) =>
        wanted is null || revision.Refs.Contains(wanted) || (wanted.Length >= 7 && revision.Commit.StartsWith(wanted, StringComparison.Ordinal));

    private static PruneItem Revisions(CachedRepository repository, IReadOnlyList<CachedRevision> gone)
    {
        var kept = repository.Revisions.Except(gone).SelectMany(v => v.Files).Select(f => f.Blob).ToHashSet(StringComparer.Ordinal);
        var blobs = gone.SelectMany(v => v.Files).Where(f => f.Blob is not null && !kept.Contains(f.Blob)).DistinctBy(f => f.Blob).ToArray();
        var notes = gone.SelectMany(v => v.Refs.Select(r => Path.Combine([repository.Folder, "refs", .. r.Split('/')])).Append(Path.Combine(repository.Folder, ".listings", v.Commit + ".json")));
        var markers = gone.SelectMany(v => HubCache.FilesBelow(Path.Combine(repository.Folder, ".no_exist", v.Commit)));
        var names = string.Join(", ", gone.Select(v => v.Refs.Count > 0 ? $"{string.Join(", ", v.Refs)} ({v.Commit[..12]})" : v.Commit[..12]));
        return new PruneItem($"{repository.Repository}: {names}", blobs.Sum(b => b.Size),
            [.. gone.SelectMany(v => v.Files.Select(f => f.Path)).Concat(blobs.Select(b => b.Blob!)).Concat(notes).Concat(markers).Distinct(StringComparer.Ordinal).Where(p => Path.Exists(p) || HubCache.IsLink(p))]);
    }

    /// <summary>Whether a process is downloading it now.</summary>
    private static bool IsHeld(HubCache cache, CachedRepository repository, string partial)
    {
        var path = cache.LockPath(repository.Repository, Path.GetFileNameWithoutExtension(partial));
        if (!File.Exists(path)) return false;
        using var held = BlobLock.TryTake(path);
        return held is null;
    }
}
