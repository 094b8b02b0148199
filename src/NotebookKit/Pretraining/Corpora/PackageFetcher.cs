using NotebookKit.Pretraining;
using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;

namespace NotebookKit.Pretraining.Corpora;

/// <summary>Fetches and unpacks packages with the system's own package managers; nothing is installed.</summary>
internal sealed class PackageFetcher(string folder)
{
    /// <summary>Folder with the unpacked files of a source's package.</summary>
    public async Task<string> FetchAsync(CorpusSource source, CancellationToken cancellation)
    {
        var target = Path.Combine(folder, $"{source.From}-{source.Package.Replace('/', '-').Replace("@", "")}");
        if (Directory.Exists(target)) return target;
        var work = target + ".tmp";
        if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
        Directory.CreateDirectory(work);
        switch (source.From)
        {
            case PackageOrigin.Debian:
                await RunAsync("apt-get", ["download", "-qq", source.Package], work, cancellation);
                var deb = Directory.GetFiles(work, "*.deb").Single();
                await RunAsync("dpkg-deb", ["-x", deb, "files"], work, cancellation);
                File.Delete(deb);
                break;
            case PackageOrigin.AptIndex:
                var lists = Directory.CreateDirectory(Path.Combine(work, "lists")).FullName;
                await RunAsync("apt-get", ["update", "-qq", "-o", "Acquire::Languages=en", "-o", $"Dir::State::Lists={lists}"], work, cancellation);
                foreach (var index in Directory.GetFiles(lists, "*Translation-en*"))
                    await File.WriteAllTextAsync(Path.Combine(work, Path.GetFileNameWithoutExtension(index) + ".txt"),
                        await RunAsync("/usr/lib/apt/apt-helper", ["cat-file", index], work, cancellation), cancellation);
                Directory.Delete(lists, recursive: true);
                break;
            case PackageOrigin.Npm:
                await RunAsync("npm", ["pack", "--silent", source.Package], work, cancellation);
                var archive = Directory.GetFiles(work, "*.tgz").Single();
                await using (var file = File.OpenRead(archive))
                await using (var gzip = new GZipStream(file, CompressionMode.Decompress))
                    await TarFile.ExtractToDirectoryAsync(gzip, work, overwriteFiles: false, cancellation);
                File.Delete(archive);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(source));
        }
        Directory.Move(work, target);
        return target;
    }

    private static async Task<string> RunAsync(string program, IEnumerable<string> arguments, string workingFolder, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = workingFolder, RedirectStandardOutput = true, RedirectStandardError = true };
        Process process;
        try { process = Process.Start(start)!; }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException($"'{program}' could not be started ({e.Message}). The corpus is built from Debian and npm packages: run this on Debian or Ubuntu with npm installed.", e);
        }
        using (process)
        {
            var output = process.StandardOutput.ReadToEndAsync(cancellation);
            var errors = process.StandardError.ReadToEndAsync(cancellation);
            await process.WaitForExitAsync(cancellation);
            if (process.ExitCode != 0) throw new InvalidOperationException($"'{program} {string.Join(' ', arguments)}' failed with code {process.ExitCode}: {(await errors).Trim()}");
            return await output;
        }
    }
}
