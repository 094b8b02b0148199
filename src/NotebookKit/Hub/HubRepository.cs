namespace NotebookKit.Hub;

/// <summary>What a repository holds.</summary>
public enum RepositoryKind
{
    /// <summary>A model.</summary>
    Model,
    /// <summary>A dataset.</summary>
    Dataset,
}

/// <summary>A repository on the hub. The id is checked: it cannot name a place outside the cache.</summary>
public sealed record HubRepository
{
    /// <summary>A repository by its id.</summary>
    /// <param name="id"><c>organisation/name</c>, or <c>name</c> for the oldest ones.</param>
    /// <param name="kind">Model or dataset.</param>
    /// <exception cref="ArgumentException">No hub id looks like this.</exception>
    public HubRepository(string id, RepositoryKind kind = RepositoryKind.Model)
    {
        if (SafeNames.ProblemOfId(id) is { } problem) throw new ArgumentException($"'{id}' is not a hub id: {problem}. An id looks like 'organisation/name'.", nameof(id));
        (Id, Kind) = (id, kind);
    }

    /// <summary><c>organisation/name</c>.</summary>
    public string Id { get; }

    /// <summary>Model or dataset.</summary>
    public RepositoryKind Kind { get; }

    /// <summary>Its folder in the cache: <c>models--organisation--name</c>.</summary>
    public string FolderName => $"{(Kind == RepositoryKind.Model ? "models" : "datasets")}--{Id.Replace("/", "--", StringComparison.Ordinal)}";

    /// <summary>The repository that a folder of the cache belongs to, or <c>null</c>.</summary>
    public static HubRepository? FromFolderName(string folder)
    {
        var parts = folder.Split("--", 2);
        if (parts.Length < 2 || parts[0] is not ("models" or "datasets")) return null;
        var id = parts[1].Replace("--", "/", StringComparison.Ordinal);
        return SafeNames.ProblemOfId(id) is null ? new HubRepository(id, parts[0] == "models" ? RepositoryKind.Model : RepositoryKind.Dataset) : null;
    }

    /// <summary>Its page, where a licence is accepted.</summary>
    internal Uri Page(Uri endpoint) => At(endpoint, Prefix + Id);

    /// <summary>Address of its listing at a revision, with sizes and checksums.</summary>
    internal Uri Listing(Uri endpoint, string revision) => At(endpoint, $"api/{(Kind == RepositoryKind.Model ? "models" : "datasets")}/{Id}/revision/{Uri.EscapeDataString(revision)}?blobs=true");

    /// <summary>Address of a file at a revision.</summary>
    internal Uri File(Uri endpoint, string revision, string name) =>
        At(endpoint, $"{Prefix}{Id}/resolve/{Uri.EscapeDataString(revision)}/{string.Join('/', name.Split('/').Select(Uri.EscapeDataString))}");

    private string Prefix => Kind == RepositoryKind.Model ? "" : "datasets/";

    private static Uri At(Uri endpoint, string path) => new($"{endpoint.AbsoluteUri.TrimEnd('/')}/{path}");

    /// <inheritdoc/>
    public override string ToString() => Kind == RepositoryKind.Model ? Id : $"datasets/{Id}";
}

/// <summary>A file that the hub lists.</summary>
/// <param name="Name">Path in the repository, with <c>/</c>.</param>
/// <param name="Size">Bytes, or <c>null</c> where the listing does not say.</param>
/// <param name="Tag">Name of its blob in the cache: the SHA-256 of a large file (64 hexadecimal digits), git's SHA-1 of a small one (40), or <c>null</c>.</param>
public sealed record HubFile(string Name, long? Size, string? Tag);

/// <summary>A repository's files at one commit.</summary>
/// <param name="Repository">The repository.</param>
/// <param name="Commit">The commit, 40 hexadecimal digits.</param>
/// <param name="Files">Its files.</param>
public sealed record HubRevision(HubRepository Repository, string Commit, IReadOnlyList<HubFile> Files);
