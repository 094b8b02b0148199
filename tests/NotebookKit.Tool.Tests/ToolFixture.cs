using System.Text.Json.Nodes;
using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;

[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)] // the console and the working directory are the process's

namespace NotebookKit.Tool.Tests;

/// <summary>Small notebooks, run in a folder of their own.</summary>
internal sealed class ToolFixture : IDisposable, IRunObserver
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("nbkit-tool-test-").FullName;

    public List<string> LiveTexts { get; } = [];

    public static NotebookDocument Notebook(params string[] code) => NotebookDocument.Parse(Json([.. code.Select(c => ("code", c, Array.Empty<string>()))]), "test.ipynb");

    public static string Json(params (string Kind, string Source, string[] Tags)[] cells) => new JsonObject
    {
        ["nbformat"] = 4, ["nbformat_minor"] = 5, ["metadata"] = new JsonObject(),
        ["cells"] = new JsonArray([.. cells.Select(c =>
        {
            var cell = new JsonObject { ["cell_type"] = c.Kind, ["metadata"] = new JsonObject { ["tags"] = new JsonArray([.. c.Tags.Select(t => (JsonNode)t)]) }, ["source"] = c.Source };
            if (c.Kind == "code") { cell["outputs"] = new JsonArray(); cell["execution_count"] = null; }
            return (JsonNode)cell;
        })]),
    }.ToJsonString();

    public async Task<(RunResult Result, NotebookDocument Notebook)> RunAsync(params string[] code)
    {
        var notebook = Notebook(code);
        return (await new NotebookRunner(this).RunAsync(notebook, Folder), notebook);
    }

    public string PathOf(string name) => Path.Combine(Folder, name);

    public string Write(string name, string content)
    {
        var path = Path.Combine(Folder, name);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>All text of a cell's outputs: streams, plain text, and errors.</summary>
    public static string TextOf(NotebookDocument notebook, int cell) => string.Concat(notebook.Cells[cell].Outputs.Select(o =>
        o["text"] is { } text ? NotebookCell.Join(text) : o["data"]?["text/plain"] is { } plain ? NotebookCell.Join(plain) : o["evalue"]?.GetValue<string>() ?? ""));

    public static string RepositoryRoot
    {
        get
        {
            var folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "NotebookKit.sln"))) folder = Path.GetDirectoryName(folder)!;
            return Path.TrimEndingDirectorySeparator(folder);
        }
    }

    /// <summary>The reference data that is part of the project.</summary>
    public static string Fixtures => Path.Combine(RepositoryRoot, "tests", "NotebookKit.Tests", "Fixtures");

    /// <summary>A path below the shared data; skips the test, saying why, where it is absent.</summary>
    public static string RequireShared(string relative)
    {
        var shared = Environment.GetEnvironmentVariable("NOTEBOOKKIT_SHARED") is { Length: > 0 } chosen ? chosen : Path.Combine(Path.GetDirectoryName(RepositoryRoot)!, "shared");
        Assert.SkipUnless(Path.Exists(Path.Combine(shared, relative)), $"shared data is absent: {relative}");
        return Path.Combine(shared, relative);
    }

    public void CellStarted(int number, int count, NotebookCell cell) { }

    public void Live(string text) => LiveTexts.Add(text);

    public void CellFinished(int number, TimeSpan took, CellError? error) { }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
