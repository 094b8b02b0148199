using System.IO.Enumeration;
using System.Net;
using System.Text.Json;

namespace NotebookKit.Hub;

/// <summary>
/// Downloads models and datasets from the Hugging Face hub into its own cache, where Python's huggingface_hub finds them too, and finds what that one has left. Files are
/// checked by size and hash, downloads go on where they stopped, and nothing half written is ever found. Thread-safe.
/// </summary>
public sealed class HubClient : IDisposable
{
    /// <summary>What a model needs; pickled weights are never among it.</summary>
    private static readonly string[] ModelFiles =
    [
        "config.json", "generation_config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json",
        "merges.txt", "*.model", "*.spm", "chat_template.jinja", "additional_chat_templates/*", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "adapter_config.json", "README.md",
    ];

    private readonly HubSettings _settings;
    private readonly HttpClient _client;
    private readonly FileFetcher _fetcher;

    /// <summary>A client.</summary>
    /// <param name="settings">Where and how; by default what the environment says.</param>
    public HubClient(HubSettings? settings = null)
    {
        _settings = settings ?? HubSettings.FromEnvironment();
        _client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = _settings.Timeout, AutomaticDecompression = DecompressionMethods.None }) { Timeout = Timeout.InfiniteTimeSpan };
        _fetcher = new FileFetcher(_client, _settings);
    }

    /// <summary>Brings a model or dataset into the cache, as far as it is not there, and answers with its folder.</summary>
    /// <param name="id">Hub id, such as <c>sentence-transformers/all-MiniLM-L6-v2</c>.</param>
    /// <param name="revision">Branch, tag or commit. A commit that is in the cache needs no network. Default <c>main</c>.</param>
    /// <param name="include">Names or patterns (<c>*</c>, <c>?</c>) of files; by default what a model needs, or all of a dataset.</param>
    /// <param name="type">Model or dataset.</param>
    /// <param name="progress">Told as bytes arrive.</param>
    /// <param name="cancellation">Stops the download; what has arrived is kept for the next time.</param>
    /// <exception cref="UnauthorizedAccessException">It is gated or private; the message says what to do.</exception>
    /// <exception cref="FileNotFoundException">There is no such repository, revision or file; or only the cache may be used and lacks it.</exception>
    /// <exception cref="InvalidDataException">The server lies about names, sizes or hashes, or the model has pickled weights only.</exception>
    /// <exception cref="IOException">The network failed again and again, the disk is too small, or more would be fetched than is allowed.</exception>
    public async Task<string> DownloadAsync(string id, string revision = "main", IReadOnlyList<string>? include = null, RepositoryType type = RepositoryType.Model, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        var folder = Path.Combine(_settings.Cache, HubNames.Folder(type, HubNames.CheckId(id)));
        var cached = new HubCache(_settings.Cache).Find(id, revision, type);
        if (_settings.Offline)
            return cached ?? throw new FileNotFoundException($"HF_HUB_OFFLINE is set and the cache '{_settings.Cache}' lacks '{id}' at '{revision}'. Unset it with a network, or download there and copy the folder '{Path.GetFileName(folder)}'.");
        if (cached is not null && HubNames.IsCommit(revision) && include is null && IsWhole(cached)) return cached;

        var prefix = type == RepositoryType.Model ? "" : "datasets/";
        var (commit, listed) = await ListAsync(id, revision, type, cancellation);
        var files = Choose(id, listed, include ?? (type == RepositoryType.Model ? ModelFiles : ["*"]), include is null && type == RepositoryType.Model);
        var snapshot = Path.Combine(folder, "snapshots", commit);
        var missing = files.Where(f => !File.Exists(Path.Combine(snapshot, f.Name))).ToArray();
        CheckRoom(id, missing);
        var (total, done) = (files.Sum(f => Math.Max(0, f.Size)), files.Except(missing).Sum(f => Math.Max(0, f.Size)));
        await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = _settings.Parallel, CancellationToken = cancellation }, async (file, stop) =>
        {
            var address = new Uri(_settings.Endpoint, $"{_settings.Endpoint.AbsolutePath.TrimEnd('/')}/{prefix}{id}/resolve/{commit}/{string.Join('/', file.Name.Split('/').Select(Uri.EscapeDataString))}");
            var blob = Path.Combine(folder, "blobs", file.Hash.Length > 0 ? file.Hash : commit + "-" + file.Name.Replace('/', '-'));
            await _fetcher.FetchAsync(new WantedFile(address, $"{id} {file.Name}", file.Size, file.Hash), blob, n => progress?.Report(new DownloadProgress(file.Name, Interlocked.Add(ref done, n), total)), stop);
            Link(blob, Path.Combine(snapshot, file.Name));
        });
        if (!HubNames.IsCommit(revision)) WriteReference(Path.Combine(folder, "refs", HubNames.CheckRevision(revision)), commit);
        return snapshot;
    }

    /// <summary>One file by address, checked by its SHA-256, as the dataset catalogue fetches its sources.</summary>
    internal Task FetchAsync(Uri address, string target, string sha256, CancellationToken cancellation) => _fetcher.FetchAsync(new WantedFile(address, Path.GetFileName(target), -1, sha256), target, null, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private async Task<(string Commit, List<(string Name, long Size, string Hash)> Files)> ListAsync(string id, string revision, RepositoryType type, CancellationToken cancellation)
    {
        var address = new Uri(_settings.Endpoint, $"{_settings.Endpoint.AbsolutePath.TrimEnd('/')}/api/{(type == RepositoryType.Model ? "models" : "datasets")}/{id}/revision/{Uri.EscapeDataString(HubNames.CheckRevision(revision))}?blobs=true");
        var (status, headers, body) = await _fetcher.TextAsync(address, cancellation);
        if ((int)status is < 200 or > 299) throw HubErrors.Of(status, headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : "", $"{id}{(revision == "main" ? "" : $" at {revision}")}", _settings.Endpoint, _settings.Token is not null);
        try
        {
            using var json = JsonDocument.Parse(body);
            var commit = json.RootElement.GetProperty("sha").GetString() ?? "";
            if (!HubNames.IsCommit(commit)) throw new InvalidDataException($"{address.Host} names the commit '{commit}' for '{id}', which is none.");
            var files = new List<(string, long, string)>();
            foreach (var file in json.RootElement.GetProperty("siblings").EnumerateArray())
            {
                var large = file.TryGetProperty("lfs", out var lfs) && lfs.ValueKind == JsonValueKind.Object ? lfs : default;
                var hash = large.ValueKind == JsonValueKind.Object ? large.GetProperty("sha256").GetString()! : file.TryGetProperty("blobId", out var blob) ? blob.GetString() ?? "" : "";
                if (hash.Length > 0 && (hash.Length is not (40 or 64) || !hash.All(char.IsAsciiHexDigit))) throw new InvalidDataException($"{address.Host} gives the hash '{hash}' for a file of '{id}', which is none.");
                files.Add((file.GetProperty("rfilename").GetString()!, file.TryGetProperty("size", out var size) && size.ValueKind == JsonValueKind.Number ? size.GetInt64() : large.ValueKind == JsonValueKind.Object ? large.GetProperty("size").GetInt64() : -1, hash.ToLowerInvariant()));
            }
            return (commit, files);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{address.Host} does not answer like a hub for '{id}': {e.Message}", e);
        }
    }

    private static List<(string Name, long Size, string Hash)> Choose(string id, List<(string Name, long Size, string Hash)> listed, IReadOnlyList<string> patterns, bool asModel)
    {
        foreach (var file in listed) HubNames.CheckFile(file.Name, id);
        var chosen = listed.Where(f => patterns.Any(p => FileSystemName.MatchesSimpleExpression(p, f.Name, ignoreCase: false) && (p.Contains('/') || !asModel || !f.Name.Contains('/')))).ToList();
        // A repository with the weights in one file and in shards has them twice.
        if (asModel && chosen.Any(f => f.Name == "model.safetensors")) chosen.RemoveAll(f => f.Name.EndsWith(".safetensors", StringComparison.Ordinal) && f.Name != "model.safetensors" && f.Name != "adapter_model.safetensors");
        if (chosen.Count == 0) throw new FileNotFoundException($"'{id}' has no file that {string.Join(", ", patterns)} names. It has {string.Join(", ", listed.Take(12).Select(f => f.Name))}{(listed.Count > 12 ? " …" : "")}.");
        if (asModel && !chosen.Any(f => f.Name.EndsWith(".safetensors", StringComparison.Ordinal)) && listed.Find(f => f.Name.EndsWith(".bin", StringComparison.Ordinal) || f.Name.EndsWith(".pt", StringComparison.Ordinal)).Name is { } pickle)
            throw new InvalidDataException($"'{id}' has its weights only in '{pickle}', a pickle, which can run code when it is read; the kit never fetches one. See whether a revision (often refs/pr/…) has model.safetensors, "
                + "or convert it once where you trust it: in Python, AutoModel.from_pretrained(…).save_pretrained(…, safe_serialization=True).");
        return chosen;
    }

    private void CheckRoom(string id, (string Name, long Size, string Hash)[] files)
    {
        var bytes = files.Sum(f => Math.Max(0, f.Size));
        if (bytes > _settings.MaximumBytes)
            throw new IOException($"'{id}' would take {HubCache.Megabytes(bytes)}, more than the {HubCache.Megabytes(_settings.MaximumBytes)} allowed. The largest file is {files.MaxBy(f => f.Size).Name}. Allow more (HubSettings.MaximumBytes, nbkit download --allow-size), or name the files you need.");
        Directory.CreateDirectory(_settings.Cache);
        var free = new DriveInfo(Path.GetFullPath(_settings.Cache)).AvailableFreeSpace;
        if (bytes > free) throw new IOException($"'{id}' needs {HubCache.Megabytes(bytes)} and '{_settings.Cache}' has {HubCache.Megabytes(free)} free. Make room (nbkit cache prune), or set HF_HOME to another disk.");
    }

    private static bool IsWhole(string snapshot) => File.Exists(Path.Combine(snapshot, "config.json")) && Directory.EnumerateFiles(snapshot, "*.safetensors").Any() && !Directory.EnumerateFiles(snapshot).Any(f => !File.Exists(f));

    /// <summary>The snapshot's entry: a link to the blob as huggingface_hub makes it, or a copy where links are not allowed.</summary>
    private static void Link(string blob, string entry)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(entry)!);
        if (File.Exists(entry)) return;
        if (new FileInfo(entry).LinkTarget is not null) File.Delete(entry);   // a link to a blob that is gone
        try { File.CreateSymbolicLink(entry, Path.GetRelativePath(Path.GetDirectoryName(entry)!, blob)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            if (File.Exists(entry)) return;
            var temporary = $"{entry}.{Guid.NewGuid():N}.tmp";
            File.Copy(blob, temporary, overwrite: true);
            File.Move(temporary, entry, overwrite: true);
        }
    }

    private static void WriteReference(string path, string commit)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        File.WriteAllText(temporary, commit);
        File.Move(temporary, path, overwrite: true);
    }
}
