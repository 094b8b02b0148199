namespace NotebookKit.Hub;

/// <summary>A file that one process holds at a time while it downloads a blob: <c>flock</c> on Unix, as Python's client does, so that both wait for each other. The system lets go when
/// the process ends; the file stays, since deleting it would let two hold it.</summary>
internal static class BlobLock
{
    /// <summary>Takes the lock, waiting as long as the other's download grows.</summary>
    /// <param name="path">The lock's file.</param>
    /// <param name="partial">The file that the other is writing.</param>
    /// <param name="patience">Longest wait without growth.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="HubException">The other holds it and does nothing.</exception>
    public static async Task<FileStream> TakeAsync(string path, string partial, TimeSpan patience, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var (length, since) = (-1L, Environment.TickCount64);
        while (true)
        {
            if (TryTake(path) is { } held) return held;
            var now = File.Exists(partial) ? new FileInfo(partial).Length : 0;
            if (now != length) (length, since) = (now, Environment.TickCount64);
            else if (Environment.TickCount64 - since > patience.TotalMilliseconds)
                throw new HubException(HubFailure.CacheUnusable, $"Another process holds '{path}' and its download has not grown for {patience.TotalSeconds:G3} s. End that process, or run the same again later.");
            await Task.Delay(50, cancellation);
        }
    }

    /// <summary>Takes the lock if nobody holds it.</summary>
    public static FileStream? TryTake(string path)
    {
        try { return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None); }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException or PathTooLongException) && File.Exists(path)) { return null; }
    }
}
