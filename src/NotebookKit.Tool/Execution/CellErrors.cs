using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting;

namespace NotebookKit.Tool.Execution;

/// <summary>Says what went wrong in a cell: name, message, line in the cell, and a traceback without machine paths.</summary>
internal static partial class CellErrors
{
    public static CellError Describe(Exception exception, int cellNumber)
    {
        while (exception is AggregateException { InnerExceptions.Count: 1 } or System.Reflection.TargetInvocationException { InnerException: not null }) exception = exception.InnerException!;
        switch (exception)
        {
            case CompilationErrorException compilation:
                var lines = compilation.Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).Select(d =>
                {
                    var place = d.Location.GetMappedLineSpan();
                    return (Line: place.StartLinePosition.Line + 1, Text: $"{FileOf(place.Path)}({place.StartLinePosition.Line + 1},{place.StartLinePosition.Character + 1}): {d.Id}: {d.GetMessage(System.Globalization.CultureInfo.InvariantCulture)}");
                }).ToArray();
                return new CellError("CompilationError", string.Join('\n', lines.Select(l => l.Text)), lines[0].Line, [.. lines.Select(l => l.Text)]);
            case DirectiveException directive:
                return new CellError("DirectiveError", directive.Message, directive.Line, [$"cell {cellNumber}, line {directive.Line}: {directive.Message}"]);
            case OperationCanceledException:
                return new CellError("Canceled", "The run was cancelled.", null, ["The run was cancelled."]);
        }
        var frames = (exception.StackTrace ?? "").Split('\n').Select(l => l.Trim()).TakeWhile(l => !l.Contains("Microsoft.CodeAnalysis.Scripting", StringComparison.Ordinal))
            .Where(l => l.Length > 0 && !l.StartsWith("---", StringComparison.Ordinal)).Select(l => SourcePath().Replace(l, m => $" in {FileOf(m.Groups[1].Value)}:line {m.Groups[2].Value}")).ToArray();
        var own = frames.Select(f => OwnLine().Match(f)).FirstOrDefault(m => m.Success && m.Groups[1].Value == $"cell {cellNumber}");
        var name = exception.GetType().FullName ?? exception.GetType().Name;
        return new CellError(name, exception.Message, own is { Success: true } ? int.Parse(own.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture) : null,
            [$"{name}: {exception.Message}", .. frames]);
    }

    private static string FileOf(string path) => path.Length == 0 ? "cell" : Path.GetFileName(path);

    [GeneratedRegex(@" in (.*):line (\d+)$")] private static partial Regex SourcePath();
    [GeneratedRegex(@" in (cell \d+):line (\d+)$")] private static partial Regex OwnLine();
}
