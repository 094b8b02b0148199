namespace NotebookKit.Hub;

/// <summary>Why a download did not happen.</summary>
public enum HubFailure
{
    /// <summary>No repository has that id, or it is private and the token does not open it.</summary>
    RepositoryNotFound,
    /// <summary>The repository has no such branch, tag or commit.</summary>
    RevisionNotFound,
    /// <summary>The repository has no such file at that revision.</summary>
    FileNotFound,
    /// <summary>The owner asks for a licence to be accepted first.</summary>
    Gated,
    /// <summary>The hub wants a token, or refuses the one it got.</summary>
    Unauthorized,
    /// <summary>The server could not be reached, stalled, or kept failing.</summary>
    Unavailable,
    /// <summary>What came is not what was announced: size, checksum, listing or redirect.</summary>
    Corrupt,
    /// <summary>A name that could leave the cache folder, or that file systems reserve.</summary>
    UnsafeName,
    /// <summary>Only pickled weights, which the kit does not read.</summary>
    Pickled,
    /// <summary>More bytes than the limit, or than the disk has free.</summary>
    TooLarge,
    /// <summary>The network is switched off, and the cache does not hold everything.</summary>
    Offline,
    /// <summary>The cache folder cannot be written, or another process holds a file.</summary>
    CacheUnusable,
}

/// <summary>A download that did not happen: the message says what was wanted, what came and what to do.</summary>
public sealed class HubException(HubFailure failure, string message, Exception? inner = null) : IOException(message, inner)
{
    /// <summary>The kind of failure.</summary>
    public HubFailure Failure { get; } = failure;
}
