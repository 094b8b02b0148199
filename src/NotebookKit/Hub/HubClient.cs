using System.Text.Json;

namespace NotebookKit.Hub;

/// <summary>
/// Downloads models and datasets from the Hugging Face hub, or a mirror of it, into Hugging Face's own cache: pinned to a commit, resumed after interruptions, checked against sizes and
/// checksums, never half written. Thread-safe; several processes may fill one cache.
/// </summary>
/// <param name="settings">Where and how; <c>null</c> reads the environment.</param>
/// <param name="time">Clock of the pauses between attempts.</param>
/// <param name="handler">Sends the requests; it must not follow redirects. <c>null</c> makes one.</param>
public sealed class HubClient(HubSettings? settings = null, TimeProvider? time = null, HttpMessageHandler? handler = null) : IDisposable
{
    private readonly HubSettings _settings = settings ??= HubSettings.FromEnvironment();
    private readonly HubConnection _connection = new(settings, time ?? TimeProvider.System, handler);

    /// <summary>Where its files are kept.</summary>
    public HubCache Cache { get; init; } = new(settings.CacheFolder);

    /// <summary>Asks the hub which commit a revision is and which files it has.</summary>
    /// <exception cref="HubException">The hub cannot be reached, has no such repository or revision, or answers nonsense.</exception>
    public async Task<HubRevision> ListAsync(HubRepository repository, string revision = "main", CancellationToken cancellation = default)
    {
        if (SafeNames.ProblemOfRevision(revision) is { } problem) throw new ArgumentException($"'{FileSelection.Printable(revision)}' is not a branch, tag or commit: {problem}.", nameof(revision));
        if (_settings.Offline) throw new HubException(HubFailure.Offline, $"The files of {repository} cannot be listed: HF_HUB_OFFLINE is set.");
        var address = repository.Listing(_settings.Endpoint, revision);
        var listing = Parse(repository, address, await _connection.ReadAsync(address, repository, revision, cancellation));
        return SafeNames.IsCommit(revision) && listing.Commit != revision
            ? throw new HubException(HubFailure.Corrupt, $"{address} answers with the commit {listing.Commit} where {revision} was asked for.") : listing;
    }

    /// <summary>Downloads what is missing and answers with the folder that has the files.</summary>
    /// <param name="id">Such as <c>sentence-transformers/all-MiniLM-L6-v2</c>.</param>
    /// <param name="request">What of it; default what the kit reads of the model's <c>main</c>.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellation">Stops; what is here stays and is gone on with next time.</param>
    /// <exception cref="HubException">It did not happen; the message says what to do.</exception>
    /// <exception cref="ArgumentException">No hub id or revision looks like that.</exception>
    public async Task<string> DownloadAsync(string id, DownloadRequest? request = null, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        request ??= new DownloadRequest();
        var repository = new HubRepository(id, request.Kind);
        var selection = request.Files ?? (request.Kind == RepositoryKind.Model ? FileSelection.Model : FileSelection.All);
        if (_settings.Offline || SafeNames.IsCommit(request.Revision))
        {
            var (folder, missing) = Local(repository, request.Revision, selection);
            if (folder is not null && missing.Count == 0) return folder;
            if (_settings.Offline)
                throw new HubException(HubFailure.Offline, $"HF_HUB_OFFLINE is set and the cache {Cache.Folder} lacks, of {repository} at '{request.Revision}': {string.Join(", ", missing)}. "
                    + $"Do one thing: unset HF_HUB_OFFLINE and run nbkit download {id}.");
        }
        var listing = await ListAsync(repository, request.Revision, cancellation);
        try
        {
            var files = await WithTagsAsync(listing, selection.Of(listing), cancellation);
            var missing = files.Where(f => !Cache.Has(listing, f)).ToArray();
            CheckRoom(repository, missing, request.AllowedSize ?? _settings.SizeLimit);
            var sum = new ProgressSum(progress, missing.Sum(f => f.Size ?? 0), missing.Length);
            await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = _settings.ParallelFiles, CancellationToken = cancellation },
                async (file, stop) => await FetchAsync(listing, file, request.AllowedSize ?? _settings.SizeLimit, sum, stop));
            Cache.Remember(listing, request.Revision);
            return Cache.SnapshotFolder(repository, listing.Commit);
        }
        catch (Exception e) when (Unwritable(e)) { throw CannotWrite(Cache.Folder, "set HF_HUB_CACHE to a folder that you may write", e); }
    }

    /// <summary>Downloads one file from any address, with the same care: resumed, checked, then moved to its name. The token is not sent to other hosts than the hub.</summary>
    /// <param name="address">Where from.</param>
    /// <param name="target">Where to; where it is there already, nothing happens.</param>
    /// <param name="sha256">What it must be, in lower-case hexadecimal; <c>null</c> leaves that to the caller.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellation">Stops; what is here stays and is gone on with next time.</param>
    /// <exception cref="HubException">It did not happen; the message says what to do.</exception>
    public async Task FetchAsync(Uri address, string target, string? sha256 = null, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (File.Exists(target)) return;
        if (_settings.Offline) throw new HubException(HubFailure.Offline, $"'{target}' is missing and HF_HUB_OFFLINE is set. Unset it, or put the file there: {address}");
        void Refuse(HttpResponseMessage answer)
        {
            if (answer.IsSuccessStatusCode) return;
            throw new HubException((int)answer.StatusCode == 404 ? HubFailure.FileNotFound : HubFailure.Unavailable, $"{address} answers {(int)answer.StatusCode}. Fetch the file by other means and put it at {target}.");
        }
        try
        {
            await using var held = await BlobLock.TakeAsync(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(target))!, ".locks", Path.GetFileName(target) + ".lock"), target + ".incomplete", _settings.LockTimeout, cancellation);
            if (File.Exists(target)) return;
            await new FileDownload(_connection, new WantedFile(Path.GetFileName(target), address, target, null, sha256, _settings.SizeLimit, Refuse), new ProgressSum(progress, 0, 1)).RunAsync(cancellation);
        }
        catch (Exception e) when (Unwritable(e)) { throw CannotWrite(target, "choose a folder that you may write", e); }
    }

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    private async ValueTask FetchAsync(HubRevision listing, HubFile file, long most, ProgressSum sum, CancellationToken cancellation)
    {
        var (repository, blob) = (listing.Repository, Cache.BlobPath(listing.Repository, file.Tag!));
        await using var held = await BlobLock.TakeAsync(Cache.LockPath(repository, file.Tag!), blob + ".incomplete", _settings.LockTimeout, cancellation);
        if (Cache.Has(listing, file)) return;
        var isNew = !File.Exists(blob) || HubCache.IsLink(blob) || (file.Size is { } size && new FileInfo(blob).Length != size);
        if (isNew)
            await new FileDownload(_connection, new WantedFile(file.Name, repository.File(_settings.Endpoint, listing.Commit, file.Name), blob, file.Size, file.Tag, most,
                answer => _connection.Refuse(answer, repository, listing.Commit, file.Name)), sum).RunAsync(cancellation);
        else sum.Report(file.Name, new FileInfo(blob).Length, file.Size, done: true);
        Cache.Link(listing, file, blob, isNew);
    }

    /// <summary>Asks for the tags and sizes that the listing lacks.</summary>
    private async Task<IReadOnlyList<HubFile>> WithTagsAsync(HubRevision listing, IReadOnlyList<HubFile> files, CancellationToken cancellation)
    {
        var full = files.ToArray();
        await Parallel.ForAsync(0, full.Length, new ParallelOptions { MaxDegreeOfParallelism = _settings.ParallelFiles, CancellationToken = cancellation }, async (i, stop) =>
        {
            if (full[i] is { Tag: not null, Size: not null }) return;
            var address = listing.Repository.File(_settings.Endpoint, listing.Commit, full[i].Name);
            var (tag, size) = await _connection.HeadAsync(address, listing.Repository, listing.Commit, full[i].Name, stop);
            full[i] = full[i] with { Tag = full[i].Tag ?? tag, Size = full[i].Size ?? size };
        });
        return full.FirstOrDefault(f => f.Tag is null || !SafeNames.IsTag(f.Tag) || f.Size < 0) is { } bad
            ? throw new HubException(HubFailure.Corrupt, $"The hub gives no usable checksum or size for '{bad.Name}' of {listing.Repository}: '{FileSelection.Printable(bad.Tag ?? "")}'.") : full;
    }

    private (string? Folder, IReadOnlyList<string> Missing) Local(HubRepository repository, string revision, FileSelection selection)
    {
        if (Cache.Snapshot(repository, revision) is not { } folder) return (null, [$"the revision ({selection.Name})"]);
        if (Cache.Listing(repository, Path.GetFileName(folder)) is { } listing) return (folder, [.. selection.Of(listing).Where(f => !Cache.Has(listing, f)).Select(f => f.Name)]);
        if (selection == FileSelection.Model) return (folder, FileSelection.MissingFromModel(folder));
        // Another program filled the cache: what it left out is not known, so only without a network is what matches taken for all.
        var matches = HubCache.FilesBelow(folder).Any(f => selection.Matches(Path.GetRelativePath(folder, f).Replace('\\', '/')) && File.Exists(f));
        return (folder, matches && _settings.Offline ? [] : [selection.Name]);
    }

    private void CheckRoom(HubRepository repository, IReadOnlyList<HubFile> missing, long limit)
    {
        var total = missing.DistinctBy(f => f.Tag).Aggregate(0L, (sum, f) => f.Size > long.MaxValue - sum ? long.MaxValue : sum + (f.Size ?? 0));
        if (total > limit)
            throw new HubException(HubFailure.TooLarge, $"{repository} needs {ByteSize.Text(total)} for {missing.Count} files, the limit is {ByteSize.Text(limit)}; the largest is '{missing.MaxBy(f => f.Size)!.Name}'. "
                + $"Choose files with --include, or allow it with --allow-size {Math.Ceiling(total / 1e9):F0} (in GB; DownloadRequest.AllowedSize in code).");
        if (total == 0) return;
        Directory.CreateDirectory(Cache.Folder);
        long free;
        try { free = new DriveInfo(Cache.Folder).AvailableFreeSpace; }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException) { return; } // a drive that does not say
        if (total > free)
            throw new HubException(HubFailure.TooLarge, $"{repository} needs {ByteSize.Text(total)}, the disk of {Cache.Folder} has {ByteSize.Text(free)} free. Make room (nbkit cache prune), or set HF_HUB_CACHE to a larger disk.");
    }

    private static HubRevision Parse(HubRepository repository, Uri address, byte[] answer)
    {
        HubException Bad(string what, Exception? e = null) => new(HubFailure.Corrupt, $"{address} answers with something that is no listing of a repository: {what}. Check HF_ENDPOINT.", e);
        try
        {
            using var json = JsonDocument.Parse(answer);
            var commit = json.RootElement.GetProperty("sha").GetString();
            if (commit is null || !SafeNames.IsCommit(commit)) throw Bad("'sha' is not a commit");
            var files = new List<HubFile>();
            foreach (var sibling in json.RootElement.GetProperty("siblings").EnumerateArray())
            {
                var name = sibling.GetProperty("rfilename").GetString() ?? "";
                if (SafeNames.Escapes(name) is { } problem)
                    throw new HubException(HubFailure.UnsafeName, $"{address} lists a file '{FileSelection.Printable(name)}', which could be written outside the cache: {problem}. Nothing was downloaded.");
                var large = sibling.TryGetProperty("lfs", out var lfs) && lfs.ValueKind == JsonValueKind.Object;
                long? size = sibling.TryGetProperty("size", out var bytes) && bytes.ValueKind == JsonValueKind.Number ? bytes.GetInt64() : large && lfs.TryGetProperty("size", out bytes) ? bytes.GetInt64() : null;
                var tag = large && lfs.TryGetProperty("sha256", out var sha) ? sha.GetString() : !large && sibling.TryGetProperty("blobId", out sha) ? sha.GetString() : null;
                if (size < 0 || (tag is not null && !SafeNames.IsTag(tag))) throw Bad($"'{FileSelection.Printable(name)}' has the size {size} and the checksum '{FileSelection.Printable(tag ?? "")}'");
                files.Add(new HubFile(name, size, tag));
            }
            return files.DistinctBy(f => f.Name).Count() == files.Count ? new HubRevision(repository, commit, files) : throw Bad("a file is listed twice");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException) { throw Bad(e.Message.TrimEnd('.'), e); }
    }

    private static bool Unwritable(Exception e) => e is UnauthorizedAccessException or IOException and not HubException;

    private static HubException CannotWrite(string where, string advice, Exception e) => new(HubFailure.CacheUnusable, $"'{where}' cannot be written: {e.Message.TrimEnd('.')}. Do one thing: {advice}.", e);
}
