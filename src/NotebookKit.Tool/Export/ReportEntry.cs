using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;

namespace NotebookKit.Tool.Export;

/// <summary>A notebook as the report shows it.</summary>
/// <param name="Path">The notebook's file; its links are relative to it.</param>
/// <param name="Document">The executed notebook.</param>
/// <param name="Result">How the run ended; <c>null</c> where it was not run.</param>
public sealed record ReportEntry(string Path, NotebookDocument Document, RunResult? Result)
{
    /// <summary>Name of the notebook's file.</summary>
    public string FileName => System.IO.Path.GetFileName(Path);
}
