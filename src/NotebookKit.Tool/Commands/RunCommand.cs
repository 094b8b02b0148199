using System.CommandLine;
using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;
using NotebookKit.Tool.Export;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit run</c>: executes notebooks headless and writes executed copies and a report.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var paths = new Argument<string[]>("notebooks") { Description = "Notebooks, or folders of them. Default: notebooks/", DefaultValueFactory = _ => ["notebooks"] };
        var output = new Option<string>("--output", "-o") { Description = "Folder for executed copies and index.html.", DefaultValueFactory = _ => Path.Combine("artifacts", "report") };
        var inPlace = new Option<bool>("--inplace") { Description = "Write the outputs into the notebooks themselves, too." };
        var parameters = new Option<string[]>("--parameter", "-p") { Description = "name=value for the cell tagged 'parameters'; text is quoted for you.", AllowMultipleArgumentsPerToken = false };
        var timeout = new Option<int>("--timeout") { Description = "Longest time of a cell, in seconds; 0 is for ever.", DefaultValueFactory = _ => 0 };
        var noReport = new Option<bool>("--no-report") { Description = "Write no report." };
        var command = new Command("run", "Execute notebooks in order and write a self-contained HTML report.") { paths, output, inPlace, parameters, timeout, noReport };
        command.SetAction((result, cancellation) => RunAsync(result.GetValue(paths)!, result.GetValue(output)!, result.GetValue(inPlace),
            ParseParameters(result.GetValue(parameters) ?? []), result.GetValue(timeout), !result.GetValue(noReport), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(string[] paths, string output, bool inPlace, Dictionary<string, string> parameters, int timeout, bool writeReport, CancellationToken cancellation)
    {
        var observer = new TerminalObserver();
        var files = Notebooks(paths);
        output = Path.GetFullPath(output);
        var entries = new List<ReportEntry>();
        foreach (var file in files)
        {
            var notebook = NotebookDocument.Load(file);
            observer.Line($"{Path.GetFileName(file)}: {notebook.Title ?? "untitled"}");
            var own = parameters.Where(p => Assigns(notebook, p.Key)).ToDictionary(p => p.Key, p => p.Value);
            var runner = new NotebookRunner(observer, timeout > 0 ? TimeSpan.FromSeconds(timeout) : null);
            var result = await runner.RunAsync(notebook, Path.GetDirectoryName(file)!, own, cancellation);
            notebook.Save(Path.Combine(output, "notebooks", Path.GetFileName(file)));
            if (inPlace) notebook.Save(file);
            entries.Add(new ReportEntry(file, notebook, result));
            observer.Line(result.Error is null ? $"  passed in {result.Took.TotalSeconds:F0} s" : $"  stopped: {Path.GetFileName(file)}, cell {result.CellNumber}"
                + (result.Error.Line is { } line ? $", line {line}" : "") + $": {result.Error.Name}: {result.Error.Message}");
            if (result.Error is not null) break;
        }
        if (writeReport)
        {
            var report = Path.Combine(output, "index.html");
            HtmlReport.Write(report, entries, Machine.Describe(), parameters);
            observer.Line($"report: {Path.GetRelativePath(Directory.GetCurrentDirectory(), report)}");
        }
        return entries.All(e => e.Result?.Error is null) ? ExitCodes.Success : ExitCodes.Failure;
    }

    private static string[] Notebooks(string[] paths)
    {
        var files = new List<string>();
        foreach (var path in paths.Select(Path.GetFullPath))
        {
            if (Directory.Exists(path)) files.AddRange(Directory.EnumerateFiles(path, "*.ipynb").Order(StringComparer.Ordinal));
            else if (File.Exists(path)) files.Add(path);
            else throw new FileNotFoundException($"No notebook or folder at '{path}'.", path);
        }
        return files.Count > 0 ? [.. files] : throw new FileNotFoundException($"No .ipynb file in {string.Join(", ", paths)}.");
    }

    private static bool Assigns(NotebookDocument notebook, string name) => notebook.Cells.Any(c => c.Tags.Contains("parameters")
        && c.Source.Split('\n').Any(l => System.Text.RegularExpressions.Regex.IsMatch(l, $@"\b{System.Text.RegularExpressions.Regex.Escape(name)}\s*=")));

    private static Dictionary<string, string> ParseParameters(string[] given)
    {
        var parsed = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in given)
        {
            var equals = text.IndexOf('=');
            if (equals < 1) throw new ArgumentException($"A parameter is written name=value; got '{text}'.");
            var (name, value) = (text[..equals], text[(equals + 1)..]);
            var isCode = double.TryParse(value, System.Globalization.CultureInfo.InvariantCulture, out _) || value is "true" or "false" || value.StartsWith('"');
            parsed[name] = isCode ? value : Microsoft.CodeAnalysis.CSharp.SymbolDisplay.FormatLiteral(value, quote: true);
        }
        return parsed;
    }
}
