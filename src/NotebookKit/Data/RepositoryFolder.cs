namespace NotebookKit.Data;

/// <summary>The repository's folder, where notebooks find the data and models that come with the kit.</summary>
public static class RepositoryFolder
{
    /// <summary>The nearest folder with a <c>NotebookKit.sln</c>, upwards from the working directory, then from the kit's own DLL; <c>null</c> outside a checkout.</summary>
    public static string? Find()
    {
        foreach (var start in new[] { Directory.GetCurrentDirectory(), Path.GetDirectoryName(typeof(RepositoryFolder).Assembly.Location), AppContext.BaseDirectory })
            for (var folder = start; !string.IsNullOrEmpty(folder); folder = Path.GetDirectoryName(folder))
                if (File.Exists(Path.Combine(folder, "NotebookKit.sln"))) return folder;
        return null;
    }

    /// <summary>A file or folder below <c>data/</c>.</summary>
    /// <exception cref="DirectoryNotFoundException">The working directory is not inside a checkout.</exception>
    public static string Data(params string[] parts) => Path.Combine([
        Find() ?? throw new DirectoryNotFoundException("No NotebookKit.sln in this folder or above: run this inside a checkout of NotebookKit, or give full paths to your own data and models."),
        "data", .. parts]);
}
