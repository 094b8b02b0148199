using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using NotebookKit.Runtime;

namespace NotebookKit.Tool.Execution;

/// <summary>Resolves <c>#r "nuget: Package, Version"</c> with the SDK's own restore; what was restored once needs no network again.</summary>
/// <param name="cache">Folder that remembers what was restored. Default: the kit's cache.</param>
public sealed class NuGetReferences(string? cache = null)
{
    private readonly List<string> _sources = [];
    private readonly string _cache = cache ?? CacheFolder.Of("nuget");

    /// <summary>Folders that hold assemblies of packages resolved so far.</summary>
    public HashSet<string> Folders { get; } = [];

    /// <summary>Adds a package source, from <c>#i "nuget:SOURCE"</c>.</summary>
    public void AddSource(Directive directive)
    {
        if (!directive.Argument.StartsWith("nuget:", StringComparison.OrdinalIgnoreCase)) throw directive.Fail($"a source is written as #i \"nuget:ADDRESS\"; got '{directive.Argument}'");
        _sources.Add(directive.Argument[6..].Trim());
    }

    /// <summary>The assemblies of a package and of all it depends on.</summary>
    /// <exception cref="DirectiveException">The package cannot be restored; the message repeats what the SDK said.</exception>
    public async Task<IReadOnlyList<string>> ResolveAsync(Directive directive, CancellationToken cancellation)
    {
        var parts = directive.Argument[6..].Split(',', StringSplitOptions.TrimEntries);
        if (parts[0].Length == 0 || parts.Length > 2) throw directive.Fail($"a package is written as #r \"nuget: NAME, VERSION\"; got '{directive.Argument}'");
        var version = parts.Length == 2 ? parts[1] : "*";
        var project = new XElement("Project", new XAttribute("Sdk", "Microsoft.NET.Sdk"),
            new XElement("PropertyGroup", new XElement("TargetFramework", "net10.0"), new XElement("ManagePackageVersionsCentrally", "false"),
                new XElement("RestoreAdditionalProjectSources", string.Join(';', _sources))),
            new XElement("ItemGroup", new XElement("PackageReference", new XAttribute("Include", parts[0]), new XAttribute("Version", version)))).ToString();
        var folder = Path.Combine(_cache, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(project)))[..16]);
        var assets = Path.Combine(folder, "obj", "project.assets.json");
        if (version != "*" && Known(assets) is { } known) return known;
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "reference.csproj"), project, cancellation);
        var start = new ProcessStartInfo("dotnet", ["restore", "--force", "--nologo", "-v", "q"]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        if (process.ExitCode != 0)
        {
            File.Delete(assets);
            var said = (await output + await errors).Split('\n').FirstOrDefault(l => l.Contains("error", StringComparison.Ordinal)) ?? "restore failed";
            throw directive.Fail($"the package {parts[0]} {version} could not be restored: {said[(said.IndexOf("error", StringComparison.Ordinal))..].Split(" [")[0].Trim().TrimEnd('.')}");
        }
        return Known(assets) ?? throw directive.Fail($"the package {parts[0]} {version} was restored, but not all of its files are there; delete its folder among the packages, and run the cell again");
    }

    /// <summary>The assemblies that a restore found, or <c>null</c> where there was none, or a file of it has gone since: packages may be cleaned away, or lie elsewhere today.</summary>
    private List<string>? Known(string assets)
    {
        if (!File.Exists(assets)) return null;
        using var json = JsonDocument.Parse(File.ReadAllText(assets));
        var root = json.RootElement;
        var packageFolders = root.GetProperty("packageFolders").EnumerateObject().Select(f => f.Name).ToArray();
        var files = new List<string>();
        foreach (var library in root.GetProperty("targets").EnumerateObject().First().Value.EnumerateObject())
        {
            var path = root.GetProperty("libraries").GetProperty(library.Name).TryGetProperty("path", out var p) ? p.GetString()! : "";
            if (!library.Value.TryGetProperty("runtime", out var runtime)) continue;
            foreach (var file in runtime.EnumerateObject().Where(f => f.Name.EndsWith(".dll", StringComparison.Ordinal)))
            {
                if (packageFolders.Select(f => Path.Combine(f, path, file.Name)).FirstOrDefault(File.Exists) is not { } found) return null;
                files.Add(found);
            }
        }
        Folders.UnionWith(files.Select(f => Path.GetDirectoryName(f)!));
        return files;
    }
}
