namespace NotebookKit.Runtime;

/// <summary>Where the kit keeps what it can make or download again: <c>notebookkit</c> in <c>XDG_CACHE_HOME</c>, else in <c>~/.cache</c>.</summary>
public static class CacheFolder
{
    /// <summary>A folder in it, which need not exist.</summary>
    public static string Of(params ReadOnlySpan<string> names) => Path.Combine([
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "notebookkit", .. names]);
}
