using System.Text;
using System.Text.RegularExpressions;

namespace NotebookKit.Hub;

/// <summary>Checks of everything that becomes part of a path: ids, revisions, file names, tags. Names come from a server, so they are not trusted.</summary>
internal static partial class SafeNames
{
    /// <summary>What is wrong with a hub id, or <c>null</c>.</summary>
    public static string? ProblemOfId(string id)
    {
        var parts = id.Split('/');
        if (parts.Length > 2) return "it has more than one '/'";
        foreach (var part in parts)
            if (!IdPart().IsMatch(part) || part.Contains("--", StringComparison.Ordinal) || part.Contains("..", StringComparison.Ordinal))
                return "its parts are of letters, digits, '-', '_' and '.', start and end with none of '-' and '.', have neither '--' nor '..' and at most 96 characters";
            else if (IsReserved(part)) return $"'{part}' is a name that Windows reserves";
        return null;
    }

    /// <summary>What is wrong with a branch, tag or commit, or <c>null</c>.</summary>
    public static string? ProblemOfRevision(string revision) => revision.Length > 255 ? "it is longer than 255 characters" : Escapes(revision) ?? ProblemOfFile(revision);

    /// <summary>Why a file name could lead out of its folder, or <c>null</c>. A listing that has one is not trusted at all.</summary>
    public static string? Escapes(string name)
    {
        if (name.Length == 0) return "it is empty";
        if (name.Any(char.IsControl)) return "it has a control character";
        if (name.Contains('\\', StringComparison.Ordinal)) return "it has a backslash";
        if (name[0] == '/' || (name.Length > 1 && name[1] == ':' && char.IsAsciiLetter(name[0]))) return "it is an absolute path";
        return name.Split('/').Any(part => part is "" or "." or "..") ? "it has an empty part, '.' or '..'" : null;
    }

    /// <summary>Why a file cannot be kept on every system, or <c>null</c>.</summary>
    public static string? ProblemOfFile(string name)
    {
        if (Escapes(name) is { } escape) return escape;
        if (name.Contains(':', StringComparison.Ordinal)) return "it has a ':'";
        foreach (var part in name.Split('/'))
        {
            if (Encoding.UTF8.GetByteCount(part) > 255) return "a part of it is longer than 255 bytes";
            if (part[^1] is '.' or ' ') return "a part of it ends in '.' or a space";
            if (IsReserved(part)) return $"'{part}' is a name that Windows reserves";
        }
        return null;
    }

    /// <summary>Whether a text is a full commit hash.</summary>
    public static bool IsCommit(string text) => Commit().IsMatch(text);

    /// <summary>Whether an ETag can name a blob.</summary>
    public static bool IsTag(string text) => Tag().IsMatch(text) && !text.Contains("..", StringComparison.Ordinal);

    private static bool IsReserved(string part) => Reserved().IsMatch(part);

    [GeneratedRegex(@"\A[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?\z")] private static partial Regex IdPart();
    [GeneratedRegex(@"\A[0-9a-f]{40}\z")] private static partial Regex Commit();
    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\z")] private static partial Regex Tag();
    [GeneratedRegex(@"\A(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)(\..*)?\z", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)] private static partial Regex Reserved();
}
