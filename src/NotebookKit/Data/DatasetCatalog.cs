using System.IO.Compression;
using System.Security.Cryptography;
using NotebookKit.Display;
using NotebookKit.Hub;
using NotebookKit.Runtime;

namespace NotebookKit.Data;

/// <summary>
/// Finds datasets by name: in the repository's <c>data/</c>, in the folder that <c>NOTEBOOKKIT_DATASETS</c> names, in <c>shared/datasets</c> beside the
/// repository, in the user's cache; and downloads what is missing when asked to. Files are checked against their checksums.
/// </summary>
public static class DatasetCatalog
{
    private const string Variable = "NOTEBOOKKIT_DATASETS";

    /// <summary>What the kit knows.</summary>
    public static IReadOnlyList<CatalogEntry> Entries => PublicDatasets.Entries;

    /// <summary>Reads a dataset whose texts have classes. Without a validation part of its own, a tenth of every class is cut from the training part, with a fixed seed.</summary>
    /// <exception cref="KeyNotFoundException">No dataset has that name.</exception>
    /// <exception cref="FileNotFoundException">It is nowhere to be found; the message lists the folders and the one thing to do.</exception>
    /// <exception cref="InvalidDataException">A file is not the one the checksum belongs to.</exception>
    /// <exception cref="InvalidOperationException">Its texts have no classes: <see cref="Files"/> gives its files.</exception>
    public static DatasetSplits Load(string name)
    {
        var entry = Entry(name);
        if (entry.Read is null) throw new InvalidOperationException($"'{name}' is {entry.About}: its texts have no classes to load. DatasetCatalog.Files(\"{name}\") gives its files.");
        return entry.Read(Folder(entry));
    }

    /// <summary>A dataset's files, checked: paths by file name.</summary>
    /// <exception cref="KeyNotFoundException">No dataset has that name.</exception>
    /// <exception cref="FileNotFoundException">It is nowhere to be found; the message lists the folders and the one thing to do.</exception>
    /// <exception cref="InvalidDataException">A file is not the one the checksum belongs to.</exception>
    public static IReadOnlyDictionary<string, string> Files(string name)
    {
        var entry = Entry(name);
        var folder = Folder(entry);
        return (entry.Files.Count > 0 ? entry.FileNames : Directory.EnumerateFiles(folder, "*.csv").Select(f => Path.GetFileName(f))).ToDictionary(f => f, f => Path.Combine(folder, f));
    }

    /// <summary>Whether a dataset can be loaded without a network.</summary>
    public static bool IsPresent(string name) => Present(Entry(name)) is not null;

    /// <summary>All that the kit knows, with licences and whether it is on this machine.</summary>
    public static Table Overview() => new(["name", "task", "licence", "here", "what"],
        [.. Entries.Select(e => new[] { e.Name, e.Task.ToString(), e.Licence, Present(e) is null ? "no" : "yes", e.About })]);

    /// <summary>Downloads a dataset into the user's cache: resumed after interruptions, checked, then moved to its name.</summary>
    /// <param name="name">Name in the catalogue.</param>
    /// <param name="client">The client to use; <c>null</c> makes one.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellation">Stops the download; no half written file has a dataset's name.</param>
    /// <returns>The folder; where the data is on this machine already, that one.</returns>
    /// <exception cref="HubException">It did not happen; the message says what to do.</exception>
    public static async Task<string> DownloadAsync(string name, HubClient? client = null, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        var entry = Entry(name);
        if (Present(entry) is { } here) { Check(entry, here); return here; }
        using var own = client is null ? new HubClient() : null;
        var folder = Folders(entry)[^1];
        await FetchAsync(entry, folder, client ?? own!, progress, cancellation);
        return folder;
    }

    /// <summary>Fetches what a folder lacks of a dataset.</summary>
    internal static async Task FetchAsync(CatalogEntry entry, string folder, HubClient client, IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        if (entry.Files.Count == 0) throw new InvalidOperationException($"'{entry.Name}' comes with the kit: run this inside a checkout of NotebookKit.");
        if (entry.Page is { } page)
            throw new InvalidOperationException($"'{entry.Name}' cannot be downloaded by name. Get {string.Join(", ", entry.FileNames)} from {page} and put them into '{folder}'; they are checked when they are read.");
        foreach (var file in entry.Files.Where(f => f.Member is null))
            await client.FetchAsync(new Uri(file.Source), Path.Combine(folder, file.Name), file.Sha256, progress, cancellation);
        foreach (var archive in entry.Files.Where(f => f.Member is not null && !File.Exists(Path.Combine(folder, f.Name))).GroupBy(f => f.Source))
        {
            var zip = Path.Combine(folder, Path.GetFileName(new Uri(archive.Key).AbsolutePath));
            await client.FetchAsync(new Uri(archive.Key), zip, null, progress, cancellation);
            try
            {
                using var opened = ZipFile.OpenRead(zip);
                foreach (var file in archive) Extract(opened, archive.Key, file, Path.Combine(folder, file.Name));
            }
            catch (InvalidDataException e) { throw new HubException(HubFailure.Corrupt, $"{archive.Key} is not the archive that '{entry.Name}' comes from: {e.Message}", e); }
            finally { File.Delete(zip); } // the archive has no checksum of its own, its members do
        }
    }

    private static void Extract(ZipArchive archive, string source, DatasetFile file, string target)
    {
        var member = archive.GetEntry(file.Member!) ?? throw new InvalidDataException($"'{source}' has no '{file.Member}'.");
        if (member.Length > 100_000_000) throw new InvalidDataException($"'{file.Member}' in '{source}' would be {member.Length:N0} bytes long.");
        var bytes = new byte[member.Length];
        using (var stream = member.Open()) stream.ReadExactly(bytes);
        var got = Convert.ToHexStringLower(SHA256.HashData(bytes));
        if (got != file.Sha256) throw new InvalidDataException($"'{file.Member}' has the SHA-256 {got}, the catalogue says {file.Sha256}.");
        Runtime.WholeFile.Write(target, bytes);
    }

    private static CatalogEntry Entry(string name) => Entries.FirstOrDefault(e => e.Name == name)
        ?? throw new KeyNotFoundException($"No dataset is called '{name}'. The catalogue has {string.Join(", ", Entries.Select(e => $"'{e.Name}'"))}.");

    private static string Folder(CatalogEntry entry)
    {
        var folder = Present(entry) ?? throw new FileNotFoundException($"The dataset '{entry.Name}' is not on this machine. Looked in:\n  {string.Join("\n  ", Folders(entry))}\n"
            + $"Do one thing: with a network, run nbkit download {entry.Name} (in code: await DatasetCatalog.DownloadAsync(\"{entry.Name}\")); without one, set {Variable} to a folder that holds '{entry.Folder}'.");
        Check(entry, folder);
        return folder;
    }

    private static string? Present(CatalogEntry entry) => Folders(entry).FirstOrDefault(folder => entry.FileNames.All(f => File.Exists(Path.Combine(folder, f))));

    private static string[] Folders(CatalogEntry entry)
    {
        var folders = new List<string>();
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } chosen) folders.Add(Path.Combine(chosen, entry.Folder));
        if (RepositoryFolder.Find() is { } root)
        {
            folders.Add(Path.Combine(root, "data", entry.Folder));
            folders.Add(Path.Combine(Path.GetDirectoryName(root)!, "shared", "datasets", entry.Folder));
        }
        folders.Add(CacheFolder.Of("datasets", entry.Folder));
        return [.. folders];
    }

    private static void Check(CatalogEntry entry, string folder)
    {
        foreach (var file in entry.Files) Check(Path.Combine(folder, file.Name), file.Sha256);
    }

    private static void Check(string path, string sha256)
    {
        using var stream = File.OpenRead(path);
        var got = Convert.ToHexStringLower(SHA256.HashData(stream));
        if (got != sha256) throw new InvalidDataException($"'{path}' has the SHA-256 {got}, the catalogue says {sha256}. Delete the file and download it again.");
    }
}
