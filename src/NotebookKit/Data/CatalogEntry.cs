namespace NotebookKit.Data;

/// <summary>What a dataset is for.</summary>
public enum DatasetTask
{
    /// <summary>A text has one of several classes; <see cref="DatasetCatalog.Load"/> reads it.</summary>
    Classification,
    /// <summary>Sentences in several languages, aligned by line.</summary>
    Translation,
    /// <summary>What users gave to items.</summary>
    Ratings,
    /// <summary>Text to model.</summary>
    PlainText,
}

/// <summary>A file of a public dataset.</summary>
/// <param name="Name">File name.</param>
/// <param name="Sha256">Checksum in lower-case hexadecimal.</param>
/// <param name="Source">Address it is downloaded from, pinned to a commit; empty where only a person can get it, from the entry's page.</param>
/// <param name="Member">Where the source is a zip archive, the file's name in it.</param>
public sealed record DatasetFile(string Name, string Sha256, string Source, string? Member = null);

/// <summary>A dataset the kit knows by name.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Task">What it is for.</param>
/// <param name="Licence">Licence of the data, as its source states it.</param>
/// <param name="Files">Its files; empty for data that the repository holds.</param>
/// <param name="About">One line: what stands in it.</param>
public sealed record CatalogEntry(string Name, DatasetTask Task, string Licence, IReadOnlyList<DatasetFile> Files, string About)
{
    /// <summary>Name of its folder; another than <see cref="Name"/> where two tasks share files.</summary>
    public string Folder { get; init; } = Name;

    /// <summary>Where a person gets files that have no address of their own; else <c>null</c>.</summary>
    public string? Page { get; init; }

    /// <summary>Reads the parts from its folder; <c>null</c> where it has no classes.</summary>
    internal Func<string, DatasetSplits>? Read { get; init; }

    /// <summary>Files that must be there.</summary>
    internal IEnumerable<string> FileNames => Files.Count > 0 ? Files.Select(f => f.Name) : ["train.csv"];
}
