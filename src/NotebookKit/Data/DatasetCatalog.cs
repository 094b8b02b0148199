using System.IO.Compression;
using System.Security.Cryptography;
using NotebookKit.Hub;

namespace NotebookKit.Data;

/// <summary>
/// Finds datasets by name: in the repository's <c>data/</c>, in the folder that <c>NOTEBOOKKIT_DATASETS</c> names, in <c>shared/datasets</c> beside the
/// repository, in the user's cache; and downloads what is missing when asked to. Files are checked against their checksums.
/// </summary>
public sealed class DatasetCatalog
{
    private const string Variable = "NOTEBOOKKIT_DATASETS";

    /// <summary>What the kit knows.</summary>
    public static IReadOnlyList<CatalogEntry> Entries => PublicDatasets.All;

    /// <summary>Reads a dataset.</summary>
    /// <exception cref="KeyNotFoundException">No dataset has that name.</exception>
    /// <exception cref="FileNotFoundException">It is nowhere to be found; the message lists the folders and the one thing to do.</exception>
    /// <exception cref="InvalidDataException">A file is not the one the checksum belongs to.</exception>
    /// <exception cref="InvalidOperationException">It is not labelled texts; <see cref="Files"/> gives its files.</exception>
    public static DatasetSplits Load(string name)
    {
        var entry = Entry(name);
        if (entry.Read is null) throw new InvalidOperationException($"'{name}' is not labelled texts. DatasetCatalog.Files(\"{name}\") gives its files: {string.Join(", ", entry.Files.Select(f => f.Name))}.");
        var (train, validation, test) = entry.Read(Folder(entry));
        // What the authors did not set apart is cut off here, the same for everyone.
        if (test is null) (train, test) = StratifiedSplit.Cut(train, 0.1, seed: 1);
        if (validation is null) (train, validation) = StratifiedSplit.Cut(train, 0.1, seed: 0);
        return Named(entry, train, validation, test);
    }

    /// <summary>The files of a dataset, each checked against its checksum, in the order of the catalogue.</summary>
    /// <exception cref="KeyNotFoundException">No dataset has that name.</exception>
    /// <exception cref="FileNotFoundException">It is nowhere to be found.</exception>
    /// <exception cref="InvalidDataException">A file is not the one the checksum belongs to.</exception>
    public static IReadOnlyList<string> Files(string name) => Entry(name) is var entry && Folder(entry) is var folder ? [.. entry.Files.Select(f => Path.Combine(folder, f.Name))] : [];

    /// <summary>Whether a dataset can be had without a network.</summary>
    public static bool IsPresent(string name) => Entry(name) is var entry && Folders(entry).Any(f => IsIn(entry, f));

    /// <summary>Downloads a dataset into the user's cache, each file checked by its SHA-256 before it is in its place; what was cut short goes on.</summary>
    /// <param name="name">Name in the catalogue.</param>
    /// <param name="client">The client to use; <c>null</c> makes one.</param>
    /// <param name="folder">Where to; by default the user's cache.</param>
    /// <param name="cancellation">Stops the download.</param>
    /// <returns>The folder.</returns>
    /// <exception cref="InvalidOperationException">Its files cannot be fetched by a program; the message says where they are.</exception>
    public static async Task<string> DownloadAsync(string name, HubClient? client = null, string? folder = null, CancellationToken cancellation = default)
    {
        var entry = Entry(name);
        var target = folder ?? Folders(entry)[^1];
        if (entry.Files.FirstOrDefault(f => f.Source.Length == 0) is { } byHand)
            throw new InvalidOperationException($"'{name}' cannot be downloaded by name. Get {string.Join(", ", entry.Files.Select(f => f.Name))} from {entry.Page} and put them into '{target}'; they are checked when they are read.");
        using var own = client is null ? new HubClient() : null;
        foreach (var file in entry.Files) await FetchAsync(client ?? own!, file, Path.Combine(target, file.Name), cancellation);
        return target;
    }

    internal static async Task FetchAsync(HubClient client, DatasetFile file, string target, CancellationToken cancellation)
    {
        if (File.Exists(target)) return;
        if (file.Source.Split('#') is not [var archive, var entry])
        {
            await client.FetchAsync(new Uri(file.Source), target, file.Sha256, cancellation);
            return;
        }
        var zip = Path.Combine(Path.GetDirectoryName(target)!, Path.GetFileName(new Uri(archive).AbsolutePath));
        await client.FetchAsync(new Uri(archive), zip, "", cancellation);
        using (var opened = ZipFile.OpenRead(zip))
        {
            var inside = opened.GetEntry(entry) ?? throw new InvalidDataException($"'{zip}' holds no '{entry}'. Delete it and download it again.");
            inside.ExtractToFile(target + ".tmp", overwrite: true);
        }
        try { Check(target + ".tmp", file.Sha256); }
        catch (InvalidDataException)
        {
            File.Delete(target + ".tmp");
            throw;
        }
        File.Move(target + ".tmp", target, overwrite: true);
    }

    private static string Folder(CatalogEntry entry)
    {
        var folder = Folders(entry).FirstOrDefault(f => IsIn(entry, f))
            ?? throw new FileNotFoundException($"The dataset '{entry.Name}' is not on this machine. Looked in:\n  {string.Join("\n  ", Folders(entry))}\n"
                + $"Do one thing: run `nbkit download {entry.Name}` with a network, or set {Variable} to a folder that holds '{entry.Folder}'.");
        foreach (var file in entry.Files) Check(Path.Combine(folder, file.Name), file.Sha256);
        return folder;
    }

    private static bool IsIn(CatalogEntry entry, string folder) => File.Exists(Path.Combine(folder, entry.Files.Count > 0 ? entry.Files[0].Name : "train.csv"));

    private static CatalogEntry Entry(string name) => Entries.FirstOrDefault(e => e.Name == name)
        ?? throw new KeyNotFoundException($"No dataset is called '{name}'. The catalogue has {string.Join(", ", Entries.Select(e => $"'{e.Name}'"))}.");

    private static DatasetSplits Named(CatalogEntry entry, TextDataset train, TextDataset validation, TextDataset test) => new(entry.Name,
        new TextDataset($"{entry.Name} train", train, train.Labels),
        new TextDataset($"{entry.Name} validation", validation, train.Labels),
        new TextDataset($"{entry.Name} test", test, train.Labels));

    private static string[] Folders(CatalogEntry entry)
    {
        var folders = new List<string>();
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen) folders.Add(Path.Combine(chosen, entry.Folder));
        if (RepositoryFolder.Find() is { } root)
        {
            folders.Add(Path.Combine(root, "data", entry.Folder));
            folders.Add(Path.Combine(Path.GetDirectoryName(root)!, "shared", "datasets", entry.Folder));
        }
        folders.Add(Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "notebookkit", "datasets", entry.Folder));
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
