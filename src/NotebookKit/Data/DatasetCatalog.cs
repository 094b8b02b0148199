using System.Security.Cryptography;

namespace NotebookKit.Data;

/// <summary>A file of a public dataset.</summary>
/// <param name="Name">File name.</param>
/// <param name="Sha256">Checksum in lower-case hexadecimal.</param>
/// <param name="Source">Address it is downloaded from, pinned to a commit.</param>
public sealed record DatasetFile(string Name, string Sha256, string Source);

/// <summary>A dataset the kit knows by name.</summary>
/// <param name="Name">Name, and name of its folder.</param>
/// <param name="Licence">Licence of the data.</param>
/// <param name="Files">Its files; empty for data that the repository holds.</param>
/// <param name="Columns">Where text and label stand.</param>
public sealed record CatalogEntry(string Name, string Licence, IReadOnlyList<DatasetFile> Files, ColumnNames Columns);

/// <summary>
/// Finds datasets by name: in the repository's <c>data/</c>, in the folder that <c>NOTEBOOKKIT_DATASETS</c> names, in <c>shared/datasets</c> beside the
/// repository, in the user's cache; and downloads what is missing when asked to. Files are checked against their checksums.
/// </summary>
public sealed class DatasetCatalog
{
    private const string Variable = "NOTEBOOKKIT_DATASETS";
    private const string Banking77 = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/57ec275d8078/banking_data/";

    /// <summary>What the kit knows.</summary>
    public static IReadOnlyList<CatalogEntry> Entries { get; } =
    [
        new("support-intents", "CC0-1.0", [], new ColumnNames()),
        new("banking77", "CC-BY-4.0",
            [new("train.csv", "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b", Banking77 + "train.csv"), new("test.csv", "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d", Banking77 + "test.csv")],
            new ColumnNames(Label: "category")),
    ];

    /// <summary>Reads a dataset.</summary>
    /// <exception cref="KeyNotFoundException">No dataset has that name.</exception>
    /// <exception cref="FileNotFoundException">It is nowhere to be found; the message lists the folders and the one thing to do.</exception>
    /// <exception cref="InvalidDataException">A file is not the one the checksum belongs to.</exception>
    public static DatasetSplits Load(string name)
    {
        var entry = Entry(name);
        var folder = Folders(entry).FirstOrDefault(f => File.Exists(Path.Combine(f, "train.csv")))
            ?? throw new FileNotFoundException($"The dataset '{name}' is not on this machine. Looked in:\n  {string.Join("\n  ", Folders(entry))}\n"
                + $"Do one thing: call DatasetCatalog.DownloadAsync(\"{name}\") with a network, or set {Variable} to a folder that holds '{name}'.");
        foreach (var file in entry.Files) Check(Path.Combine(folder, file.Name), file.Sha256);
        TextDataset Read(string part, LabelSet? labels = null) => DatasetReader.Read(Path.Combine(folder, part + ".csv"), entry.Columns, labels);

        var train = Read("train");
        var test = Read("test", train.Labels);
        if (File.Exists(Path.Combine(folder, "validation.csv")))
            return Named(entry, train, Read("validation", train.Labels), test);
        var (rest, validation) = StratifiedSplit.Cut(train, 0.1, seed: 0);
        return Named(entry, rest, validation, test);
    }

    /// <summary>Whether a dataset can be loaded without a network.</summary>
    public static bool IsPresent(string name) => Folders(Entry(name)).Any(f => File.Exists(Path.Combine(f, "train.csv")));

    /// <summary>Downloads a dataset into the user's cache, each file to a temporary name, checked, then moved.</summary>
    /// <param name="name">Name in the catalogue.</param>
    /// <param name="client">The client to use; <c>null</c> makes one.</param>
    /// <param name="cancellation">Stops the download; nothing half written stays.</param>
    /// <returns>The folder.</returns>
    public static async Task<string> DownloadAsync(string name, HttpClient? client = null, CancellationToken cancellation = default)
    {
        var entry = Entry(name);
        var folder = Folders(entry)[^1];
        using var own = client is null ? new HttpClient() : null;
        Directory.CreateDirectory(folder);
        foreach (var file in entry.Files)
        {
            var target = Path.Combine(folder, file.Name);
            if (File.Exists(target)) continue;
            var temporary = $"{target}.{Environment.ProcessId}.tmp";
            try
            {
                await using (var stream = await (client ?? own!).GetStreamAsync(file.Source, cancellation))
                await using (var written = File.Create(temporary))
                    await stream.CopyToAsync(written, cancellation);
                Check(temporary, file.Sha256);
                File.Move(temporary, target, overwrite: true);
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        return folder;
    }

    private static CatalogEntry Entry(string name) => Entries.FirstOrDefault(e => e.Name == name)
        ?? throw new KeyNotFoundException($"No dataset is called '{name}'. The catalogue has {string.Join(", ", Entries.Select(e => $"'{e.Name}'"))}.");

    private static DatasetSplits Named(CatalogEntry entry, TextDataset train, TextDataset validation, TextDataset test) => new(entry.Name,
        new TextDataset($"{entry.Name} train", train, train.Labels),
        new TextDataset($"{entry.Name} validation", validation, train.Labels),
        new TextDataset($"{entry.Name} test", test, train.Labels));

    private static string[] Folders(CatalogEntry entry)
    {
        var folders = new List<string>();
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen) folders.Add(Path.Combine(chosen, entry.Name));
        if (RepositoryFolder.Find() is { } root)
        {
            folders.Add(Path.Combine(root, "data", entry.Name));
            folders.Add(Path.Combine(Path.GetDirectoryName(root)!, "shared", "datasets", entry.Name));
        }
        folders.Add(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "notebookkit", "datasets", entry.Name));
        return [.. folders];
    }

    private static void Check(string path, string sha256)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"'{path}' is missing; the dataset has it.", path);
        using var stream = File.OpenRead(path);
        var got = Convert.ToHexStringLower(SHA256.HashData(stream));
        if (got != sha256) throw new InvalidDataException($"'{path}' has the SHA-256 {got}, the catalogue says {sha256}. Delete the file and download it again.");
    }
}
