using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;

namespace NotebookKit.Tool.Export;

/// <summary>A notebook as the report shows it.</summary>
/// <param name="FileName">Name of the notebook's file.</param>
/// <param name="Document">The executed notebook.</param>
/// <param name="Result">How the run ended; <c>null</c> where it was not run.</param>
public sealed record ReportEntry(string FileName, NotebookDocument Document, RunResult? Result);
