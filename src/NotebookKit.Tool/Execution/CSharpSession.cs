using System.Collections.Immutable;
using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.CodeAnalysis.Scripting.Hosting;

namespace NotebookKit.Tool.Execution;

/// <summary>
/// Runs C# cells one after another with shared state, on Roslyn's scripting. A DLL that this program carries too (the kit itself, TorchSharp, Plotly.NET)
/// is always its own copy, so that types are the same on both sides.
/// </summary>
public sealed class CSharpSession
{
    private static readonly string[] Usings =
    [
        "System", "System.IO", "System.Text", "System.Linq", "System.Collections", "System.Collections.Generic", "System.Threading", "System.Threading.Tasks", "System.Net.Http",
        "NotebookKit.Tool.Execution",
    ];

    private readonly NotebookGlobals _globals;
    private readonly InteractiveAssemblyLoader _loader = new();
    private readonly NuGetReferences _nuget;
    private readonly List<string> _folders = [];
    private ScriptOptions _options;
    private ScriptState<object>? _state;

    /// <summary>A session whose relative paths start at a folder.</summary>
    public CSharpSession(string folder, NotebookGlobals globals, NuGetReferences nuget)
    {
        (_globals, _nuget) = (globals, nuget);
        var platform = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p) is var name && (name.StartsWith("System.", StringComparison.Ordinal)
                || name is "Microsoft.CSharp.dll" or "mscorlib.dll" or "netstandard.dll" or "nbkit.dll" or "Microsoft.DotNet.Interactive.Formatting.dll"));
        _options = ScriptOptions.Default
            .WithReferences(platform.Select(p => MetadataReference.CreateFromFile(p)))
            .WithImports(Usings)
            .WithLanguageVersion(LanguageVersion.CSharp14)
            .WithOptimizationLevel(OptimizationLevel.Release)
            .WithEmitDebugInformation(true)
            .WithFileEncoding(System.Text.Encoding.UTF8)
            .WithAllowUnsafe(true)
            .WithMetadataResolver(ScriptMetadataResolver.Default.WithBaseDirectory(folder))
            .WithSourceResolver(ScriptSourceResolver.Default.WithBaseDirectory(folder));
        foreach (var assembly in AppDomain.CurrentDomain.GetAssemblies())
            if (!assembly.IsDynamic && assembly.Location.Length > 0) _loader.RegisterDependency(assembly);
        AppDomain.CurrentDomain.AssemblyResolve += FromReferencedFolders;
        Folder = folder;
    }

    /// <summary>Where relative paths start.</summary>
    public string Folder { get; }

    /// <summary>Runs one submission and returns the value of its last expression, or <c>null</c>.</summary>
    /// <param name="code">C# with directives.</param>
    /// <param name="name">What errors and stack traces call it.</param>
    /// <param name="cancellation">Checked between statements that await.</param>
    /// <exception cref="CompilationErrorException">The code does not compile.</exception>
    /// <exception cref="DirectiveException">A directive cannot be followed.</exception>
    public async Task<object?> RunAsync(string code, string name, CancellationToken cancellation = default)
    {
        var (body, imports) = await FollowDirectivesAsync(code, cancellation);
        foreach (var (source, file) in imports) await SubmitAsync(source, file, cancellation);
        return await SubmitAsync(body, name, cancellation);
    }

    private async Task<object?> SubmitAsync(string code, string name, CancellationToken cancellation)
    {
        var options = _options.WithFilePath(name);
        Script<object> script = _state is null
            ? CSharpScript.Create<object>(code, options, typeof(NotebookGlobals), _loader)
            : _state.Script.ContinueWith<object>(code, options);
        var errors = script.Compile(cancellation).Where(d => d.Severity == DiagnosticSeverity.Error).ToImmutableArray();
        if (errors.Length > 0) throw new CompilationErrorException(errors[0].GetMessage(System.Globalization.CultureInfo.InvariantCulture), errors);
        _state = _state is null
            ? await script.RunAsync(_globals, cancellation)
            : await script.RunFromAsync(_state, cancellation);
        return EndsInExpression(code) ? _state.ReturnValue : null;
    }

    private async Task<(string Body, List<(string Source, string Name)> Imports)> FollowDirectivesAsync(string code, CancellationToken cancellation)
    {
        var imports = new List<(string, string)>();
        var lines = code.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            var line = lines[i].Trim();
            if (Directive.Parse(line, i + 1) is not { } directive) continue;
            var followed = true;
            switch (directive.Name)
            {
                case "#r" when directive.Argument.StartsWith("nuget:", StringComparison.OrdinalIgnoreCase):
                    var package = await _nuget.ResolveAsync(directive, cancellation);
                    foreach (var file in package) Reference(file);
                    break;
                case "#i":
                    _nuget.AddSource(directive);
                    break;
                case "#r" when directive.Argument.EndsWith(".dll", StringComparison.OrdinalIgnoreCase):
                    var dll = Path.GetFullPath(directive.Argument, Folder);
                    if (!File.Exists(dll)) throw directive.Fail($"the assembly '{directive.Argument}' does not exist (looked for it from the notebook's folder). Build the project that makes it");
                    _folders.Add(Path.GetDirectoryName(dll)!);
                    foreach (var file in Directory.EnumerateFiles(Path.GetDirectoryName(dll)!, "*.dll").Order(StringComparer.Ordinal)) Reference(file);
                    break;
                case "#!import":
                    var path = Path.GetFullPath(directive.Argument, Folder);
                    if (!File.Exists(path)) throw directive.Fail($"the file '{directive.Argument}' does not exist");
                    if (Path.GetExtension(path).Equals(".ipynb", StringComparison.OrdinalIgnoreCase))
                        imports.AddRange(Documents.NotebookDocument.Load(path).Cells.Where(c => c.Kind == Documents.CellKind.Code).Select((c, n) => (c.Source, $"{Path.GetFileName(path)} cell {n + 1}")));
                    else imports.Add((await File.ReadAllTextAsync(path, cancellation), Path.GetFileName(path)));
                    break;
                case "#!csharp" or "#!c#" or "#!time":
                    break;
                case var magic when magic.StartsWith("#!", StringComparison.Ordinal):
                    throw directive.Fail($"the command '{magic}' is not known here. Known are #r, #i, #load, #!import and #!csharp");
                default:
                    followed = false; // #load, a framework reference, or preprocessor lines: Roslyn's own
                    break;
            }
            if (followed) lines[i] = "";
        }
        return (string.Join('\n', lines), imports);
    }

    /// <summary>Adds a managed DLL; where this program carries one of that name, its own.</summary>
    private void Reference(string file)
    {
        try
        {
            var own = Path.Combine(AppContext.BaseDirectory, Path.GetFileName(file));
            var used = File.Exists(own) ? own : file;
            var identity = AssemblyName.GetAssemblyName(used);
            if (_options.MetadataReferences.OfType<PortableExecutableReference>().Any(r => Path.GetFileName(r.FilePath) == Path.GetFileName(used))) return;
            _options = _options.AddReferences(MetadataReference.CreateFromFile(used));
            if (used == own) _loader.RegisterDependency(Assembly.Load(identity));
        }
        catch (BadImageFormatException)
        {
            // A native library beside the managed ones: nothing to reference.
        }
    }

    private Assembly? FromReferencedFolders(object? sender, ResolveEventArgs args)
    {
        var name = new AssemblyName(args.Name).Name + ".dll";
        var file = _folders.Concat(_nuget.Folders).Select(f => Path.Combine(f, name)).FirstOrDefault(File.Exists);
        return file is null ? null : Assembly.LoadFrom(file);
    }

    private static bool EndsInExpression(string code)
    {
        var root = CSharpSyntaxTree.ParseText(code, new CSharpParseOptions(LanguageVersion.CSharp14, kind: SourceCodeKind.Script)).GetCompilationUnitRoot();
        return root.Members.LastOrDefault() is GlobalStatementSyntax { Statement: ExpressionStatementSyntax { SemicolonToken.IsMissing: true } };
    }
}
