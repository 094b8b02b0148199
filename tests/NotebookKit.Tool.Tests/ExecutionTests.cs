using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;

namespace NotebookKit.Tool.Tests;

/// <summary>Expected values: C#'s own meaning, and what .NET Interactive's C# kernel does with the same cell.</summary>
public sealed class ExecutionTests
{
    [Fact]
    public async Task State_usings_and_functions_last_over_cells()
    {
        using var fixture = new ToolFixture();
        var (result, notebook) = await fixture.RunAsync("using System.Globalization;\nvar x = 40;\nint Two() => 2;", "record Pair(int A, int B);", "new Pair(x + Two(), CultureInfo.InvariantCulture.LCID).A");
        Assert.Null(result.Error);
        Assert.Equal("42", ToolFixture.TextOf(notebook, 2));
        Assert.Equal("execute_result", notebook.Cells[2].Outputs.Single()["output_type"]!.GetValue<string>());
    }

    [Fact]
    public async Task Outputs_come_in_order_and_kinds()
    {
        using var fixture = new ToolFixture();
        var (_, notebook) = await fixture.RunAsync("Console.Write(\"a\");\nConsole.WriteLine(\"b\");\ndisplay(\"shown\");\nConsole.Error.WriteLine(\"e\");\n\"last\"", "var quiet = 5;", "quiet;");
        Assert.Equal(["stream", "display_data", "stream", "execute_result"], notebook.Cells[0].Outputs.Select(o => o["output_type"]!.GetValue<string>()));
        Assert.Equal("ab\n", NotebookCell.Join(notebook.Cells[0].Outputs[0]["text"]));
        Assert.Equal("stderr", notebook.Cells[0].Outputs[2]["name"]!.GetValue<string>());
        Assert.Empty(notebook.Cells[1].Outputs);
    }

    [Fact]
    public async Task Await_html_and_updates_work()
    {
        using var fixture = new ToolFixture();
        var (result, notebook) = await fixture.RunAsync("await Task.Delay(1);\nvar d = display(\"one\");\nd.Update(\"two\");\n\"x\".Display();\nHTML(\"<b>&</b>\")");
        Assert.Null(result.Error);
        Assert.Equal("twox", ToolFixture.TextOf(notebook, 0));
        Assert.Equal("<b>&</b>", NotebookCell.Join(notebook.Cells[0].Outputs[^1]["data"]!["text/html"]));
        Assert.Contains("x", fixture.LiveTexts);
    }

    [Fact]
    public async Task The_kit_loaded_by_path_is_the_same_kit()
    {
        using var fixture = new ToolFixture();
        var dll = Path.GetRelativePath(fixture.Folder, typeof(NotebookKit.Notebooks.Kit).Assembly.Location);
        var (result, notebook) = await fixture.RunAsync($"#r \"{dll}\"\nusing NotebookKit.Notebooks;\nusing TorchSharp;\nNotebookHost.Display is not null", "NotebookKit.Runtime.TorchRuntime.EnsureLoaded();\ntorch.ones(3).sum().ToDouble()",
            "new NotebookKit.Display.Table([\"a\"], [[\"<1>\"]])");
        Assert.Null(result.Error);
        Assert.Equal("True", ToolFixture.TextOf(notebook, 0));
        Assert.Equal("3", ToolFixture.TextOf(notebook, 1));
        Assert.Contains("&lt;1&gt;", NotebookCell.Join(notebook.Cells[2].Outputs[0]["data"]!["text/html"]));
    }

    [Fact]
    public async Task Load_and_import_bring_code_in()
    {
        using var fixture = new ToolFixture();
        fixture.Write("a.csx", "int FromLoad() => 7;");
        fixture.Write("b.csx", "using System.Xml;\nint FromImport() => 8;");
        fixture.Write("c.ipynb", ToolFixture.Json(("markdown", "# no code", []), ("code", "int FromNotebook() => 9;", [])));
        var (result, notebook) = await fixture.RunAsync("#load \"a.csx\"\nFromLoad()", "#!import b.csx\n#!import c.ipynb\nFromImport() + FromNotebook() + new XmlDocument().ChildNodes.Count");
        Assert.Null(result.Error);
        Assert.Equal(("7", "17"), (ToolFixture.TextOf(notebook, 0), ToolFixture.TextOf(notebook, 1)));
    }

    [Fact]
    public async Task A_package_is_restored_and_used()
    {
        // Newest of a package that the kit itself uses, so that the package cache has it without a network.
        using var fixture = new ToolFixture();
        var (result, notebook) = await fixture.RunAsync("#r \"nuget: CsvHelper, 33.1.0\"\ntypeof(CsvHelper.CsvReader).Name");
        Assert.Null(result.Error);
        Assert.Equal("CsvReader", ToolFixture.TextOf(notebook, 0));
    }

    [Fact]
    public async Task A_package_whose_files_have_gone_is_restored_again()
    {
        using var fixture = new ToolFixture();
        var directive = Directive.Parse("#r \"nuget: CsvHelper, 33.1.0\"", 1)!;
        var first = await new NuGetReferences(fixture.Folder).ResolveAsync(directive, TestContext.Current.CancellationToken);
        var assets = Directory.GetFiles(fixture.Folder, "project.assets.json", SearchOption.AllDirectories).Single();
        var folders = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(assets))!["packageFolders"]!.AsObject();
        File.WriteAllText(assets, folders.Aggregate(File.ReadAllText(assets), (text, folder) => text.Replace($"\"{folder.Key}\": {{}}", "\"/gone/\": {}", StringComparison.Ordinal)));
        Assert.Equal(first, await new NuGetReferences(fixture.Folder).ResolveAsync(directive, TestContext.Current.CancellationToken));
        Assert.All(first, file => Assert.True(File.Exists(file)));
        Assert.NotEmpty(first);
    }

    [Theory]
    [InlineData("var a = 1;\nint b = \"text\";", "CompilationError", 2)]
    [InlineData("var a = 1;\n\nthrow new InvalidOperationException(\"why\");", "System.InvalidOperationException", 3)]
    [InlineData("\n#r \"no/such.dll\"", "DirectiveError", 2)]
    [InlineData("#!frobnicate", "DirectiveError", 1)]
    [InlineData("#!import missing.csx", "DirectiveError", 1)]
    public async Task Failures_name_the_cell_the_line_and_the_error_and_stop_the_run(string code, string name, int line)
    {
        using var fixture = new ToolFixture();
        var (result, notebook) = await fixture.RunAsync("1", code, "3");
        Assert.Equal((name, line, 2), (result.Error!.Name, result.Error.Line, result.CellNumber));
        Assert.Equal("1", ToolFixture.TextOf(notebook, 0));
        Assert.Equal("error", notebook.Cells[1].Outputs.Last()["output_type"]!.GetValue<string>());
        Assert.Empty(notebook.Cells[2].Outputs);
        Assert.DoesNotContain(fixture.Folder, notebook.ToText());
    }

    [Fact]
    public async Task A_cell_that_takes_too_long_is_stopped()
    {
        using var fixture = new ToolFixture();
        var notebook = ToolFixture.Notebook("await Task.Delay(60_000);");
        var result = await new NotebookRunner(fixture, TimeSpan.FromMilliseconds(200)).RunAsync(notebook, fixture.Folder, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal("Timeout", result.Error!.Name);
    }

    [Fact]
    public async Task Parameters_are_put_over_those_of_the_tagged_cell_and_the_source_stays()
    {
        using var fixture = new ToolFixture();
        var notebook = NotebookDocument.Parse(ToolFixture.Json(("code", "var mode = \"fast\";", ["parameters"]), ("code", "mode", [])), "x");
        var result = await new NotebookRunner(fixture).RunAsync(notebook, fixture.Folder, new Dictionary<string, string> { ["mode"] = "\"full\"" }, TestContext.Current.CancellationToken);
        Assert.Null(result.Error);
        Assert.Equal("full", ToolFixture.TextOf(notebook, 1));
        Assert.Equal("var mode = \"fast\";", notebook.Cells[0].Source);
    }

    [Fact]
    public async Task The_working_directory_is_the_notebooks_and_comes_back()
    {
        using var fixture = new ToolFixture();
        fixture.Write("here.txt", "found");
        var before = Directory.GetCurrentDirectory();
        var (_, notebook) = await fixture.RunAsync("File.ReadAllText(\"here.txt\")");
        Assert.Equal("found", ToolFixture.TextOf(notebook, 0));
        Assert.Equal(before, Directory.GetCurrentDirectory());
    }
}
