namespace NotebookKit.Tracking;

/// <summary>The commit a folder's repository stands at, read from git's own files; git itself need not be there.</summary>
internal static class GitCommit
{
    /// <summary>The commit's hash, or <c>null</c> outside a repository and before its first commit.</summary>
    public static string? Of(string folder)
    {
        try
        {
            for (var at = new DirectoryInfo(folder); at is not null; at = at.Parent)
                if (GitFolder(Path.Combine(at.FullName, ".git")) is { } git) return Head(git);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A repository that cannot be read is none to a record.
        }
        return null;
    }

    /// <summary>The folder itself, or where a working tree's file points to.</summary>
    private static string? GitFolder(string path)
    {
        if (Directory.Exists(path)) return path;
        if (!File.Exists(path)) return null;
        var text = File.ReadAllText(path).Trim();
        return text.StartsWith("gitdir:", StringComparison.Ordinal) ? Path.GetFullPath(text["gitdir:".Length..].Trim(), Path.GetDirectoryName(path)!) : null;
    }

    private static string? Head(string git)
    {
        var head = File.ReadAllText(Path.Combine(git, "HEAD")).Trim();
        if (!head.StartsWith("ref:", StringComparison.Ordinal)) return head;
        var name = head["ref:".Length..].Trim();
        var common = Path.Combine(git, "commondir") is var c && File.Exists(c) ? Path.GetFullPath(File.ReadAllText(c).Trim(), git) : git;
        foreach (var folder in new[] { git, common })
            if (File.Exists(Path.Combine(folder, name))) return File.ReadAllText(Path.Combine(folder, name)).Trim();
        var packed = Path.Combine(common, "packed-refs");
        return File.Exists(packed) ? File.ReadLines(packed).FirstOrDefault(l => l.EndsWith(' ' + name, StringComparison.Ordinal))?.Split(' ')[0] : null;
    }
}
