using System.Text.RegularExpressions;

namespace NotebookKit.Hub;

/// <summary>What lies on the hub.</summary>
public enum RepositoryType
{
    /// <summary>A model.</summary>
    Model,
    /// <summary>A dataset.</summary>
    Dataset,
}

/// <summary>Names from outside that become paths: nothing may leave the cache.</summary>
internal static partial class HubNames
{
    /// <exception cref="ArgumentException">It is no hub id.</exception>
    public static string CheckId(string id) => id.Length <= 96 && Id().IsMatch(id) && !id.Contains("..", StringComparison.Ordinal) && !id.Contains("--", StringComparison.Ordinal) ? id
        : throw new ArgumentException($"'{id}' is not a hub id. One is NAME or OWNER/NAME of letters, digits, '-', '_' and '.', such as sentence-transformers/all-MiniLM-L6-v2.", nameof(id));

    /// <exception cref="ArgumentException">It is no branch, tag or commit.</exception>
    public static string CheckRevision(string revision) => revision.Length <= 200 && Revision().IsMatch(revision) && !revision.Contains("..", StringComparison.Ordinal) ? revision
        : throw new ArgumentException($"'{revision}' is not a revision: a branch, a tag or a commit.", nameof(revision));

    /// <exception cref="InvalidDataException">A file of that name could leave its folder.</exception>
    public static string CheckFile(string file, string id)
    {
        var parts = file.Split('/');
        var good = file.Length is > 0 and <= 400 && parts.All(p => p.Length > 0 && p is not ("." or "..") && !p.EndsWith('.') && !p.EndsWith(' ') && !Reserved().IsMatch(p)) && !file.Any(c => c < ' ' || c is '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|' or '\u007f');
        return good ? file : throw new InvalidDataException($"The hub lists the file '{string.Concat(file.Select(c => c < ' ' ? '?' : c))}' for '{id}', a name that could lead out of the cache. Nothing was downloaded.");
    }

    public static string Folder(RepositoryType type, string id) => (type == RepositoryType.Model ? "models--" : "datasets--") + id.Replace("/", "--", StringComparison.Ordinal);

    public static bool IsCommit(string revision) => Commit().IsMatch(revision);

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)?\z")]
    private static partial Regex Id();

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9._/-]*\z")]
    private static partial Regex Revision();

    [GeneratedRegex(@"\A[0-9a-f]{40}\z")]
    private static partial Regex Commit();

    [GeneratedRegex(@"^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", RegexOptions.IgnoreCase)]
    private static partial Regex Reserved();
}
