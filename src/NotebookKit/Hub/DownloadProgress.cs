namespace NotebookKit.Hub;

/// <summary>How far a download is. Reported from several threads at a time.</summary>
/// <param name="File">The file that moved.</param>
/// <param name="FileBytes">Bytes of it that are here.</param>
/// <param name="FileSize">Its size, or <c>null</c> where the server does not say.</param>
/// <param name="Bytes">Bytes of all files that are here.</param>
/// <param name="Total">Bytes of all files.</param>
/// <param name="FilesDone">Files that are complete and checked.</param>
/// <param name="Files">Number of files.</param>
public sealed record DownloadProgress(string File, long FileBytes, long? FileSize, long Bytes, long Total, int FilesDone, int Files);

/// <summary>What is to be downloaded from a repository.</summary>
public sealed record DownloadRequest
{
    /// <summary>Model or dataset. Default a model.</summary>
    public RepositoryKind Kind { get; init; }

    /// <summary>Branch, tag or commit. Default <c>main</c>; a commit that is in the cache needs no network.</summary>
    public string Revision { get; init; } = "main";

    /// <summary>Which files. Default: what the kit reads of a model, everything of a dataset.</summary>
    public FileSelection? Files { get; init; }

    /// <summary>Bytes this download may take. Default: the settings' limit.</summary>
    public long? AllowedSize { get; init; }
}

/// <summary>Adds up the files of one download and passes it on, at most ten times a second and at every file's end. Thread-safe.</summary>
internal sealed class ProgressSum(IProgress<DownloadProgress>? progress, long total, int files)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _bytes = [];
    private long _sum, _next;
    private int _done;

    public void Report(string file, long bytes, long? size, bool done = false)
    {
        if (progress is null) return;
        DownloadProgress now;
        lock (_lock)
        {
            _sum += bytes - _bytes.GetValueOrDefault(file);
            _bytes[file] = bytes;
            if (done) _done++;
            if (!done && Environment.TickCount64 < _next) return;
            _next = Environment.TickCount64 + 100;
            now = new DownloadProgress(file, bytes, size, _sum, Math.Max(total, _sum), _done, files);
        }
        progress.Report(now);
    }
}
