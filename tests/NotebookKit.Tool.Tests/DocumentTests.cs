using System.Text.Json.Nodes;
using NJsonSchema;
using NotebookKit.Tool.Documents;

namespace NotebookKit.Tool.Tests;

/// <summary>Expected values: the nbformat 4.5 format, its JSON schema where the shared data has it.</summary>
public sealed class DocumentTests
{
    [Fact]
    public void Reading_and_writing_changes_nothing_that_is_there()
    {
        foreach (var path in Directory.GetFiles(Path.Combine(ToolFixture.RepositoryRoot, "notebooks"), "*.ipynb"))
            Assert.Equal(File.ReadAllText(path), NotebookDocument.Load(path).ToText());
    }

    [Fact]
    public void Unknown_fields_stay_and_source_becomes_lines()
    {
        var notebook = NotebookDocument.Parse("""{"nbformat":4,"nbformat_minor":2,"metadata":{"mine":{"a":1}},"cells":[{"cell_type":"markdown","metadata":{"x":true},"source":"one\ntwo","attachments":{}}]}""", "x");
        Assert.Contains("\"mine\": {\n   \"a\": 1\n  }", notebook.ToText());
        Assert.Contains("\"one\\n\",\n    \"two\"", notebook.ToText());
        Assert.Contains("\"attachments\"", notebook.ToText());
        Assert.Contains("\"nbformat_minor\": 5", notebook.ToText());
        Assert.EndsWith("}\n", notebook.ToText());
    }

    [Fact]
    public void Ids_are_kept_derived_and_made_different()
    {
        const string text = """{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"markdown","id":"mine","metadata":{},"source":"a"},{"cell_type":"markdown","metadata":{},"source":"b"},{"cell_type":"markdown","id":"mine","metadata":{},"source":"c"}]}""";
        var ids = NotebookDocument.Parse(text, "x").Cells.Select(c => c.Id).ToArray();
        Assert.Equal("mine", ids[0]);
        Assert.Equal(3, ids.Distinct().Count());
        Assert.Equal(ids, NotebookDocument.Parse(text, "x").Cells.Select(c => c.Id));
        Assert.All(ids, id => Assert.Matches("^[a-zA-Z0-9-_]{1,64}$", id));
    }

    [Theory]
    [InlineData("{", "not valid JSON")]
    [InlineData("[]", "not a notebook")]
    [InlineData("""{"nbformat":3,"worksheets":[],"cells":[]}""", "nbformat 3")]
    [InlineData("""{"nbformat":4,"cells":[{"source":"x"}]}""", "cell 1")]
    [InlineData("""{"nbformat":4,"cells":[{"cell_type":"heading","source":"x"}]}""", "'heading'")]
    public void Other_files_are_refused_saying_why(string text, string says)
    {
        var error = Assert.Throws<InvalidDataException>(() => NotebookDocument.Parse(text, "some.ipynb"));
        Assert.Contains("some.ipynb", error.Message);
        Assert.Contains(says, error.Message);
    }

    [Fact]
    public async Task What_is_written_validates_against_the_schema()
    {
        var schemaPath = Path.Combine(Path.GetDirectoryName(ToolFixture.RepositoryRoot)!, "shared", "reference", "nbformat", "nbformat.v4.5.schema.json");
        Assert.SkipUnless(File.Exists(schemaPath), "shared data is absent: the nbformat schema");
        // NJsonSchema resolves definitions one level deep: 'definitions/misc/X' becomes 'definitions/misc_X'.
        var root = JsonNode.Parse(await File.ReadAllTextAsync(schemaPath, TestContext.Current.CancellationToken))!;
        foreach (var (name, definition) in root["definitions"]!["misc"]!.AsObject().ToArray()) root["definitions"]!["misc_" + name] = definition!.DeepClone();
        root["definitions"]!.AsObject().Remove("misc");
        var schema = await JsonSchema.FromJsonAsync(root.ToJsonString().Replace("definitions/misc/", "definitions/misc_", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        using var fixture = new ToolFixture();
        var (_, notebook) = await fixture.RunAsync("Console.WriteLine(1); Console.Error.WriteLine(2); display(3); 4", "throw new Exception(\"x\")");
        Assert.Empty(schema.Validate(notebook.ToText()));
        foreach (var path in Directory.GetFiles(Path.Combine(ToolFixture.RepositoryRoot, "notebooks"), "*.ipynb"))
            Assert.Empty(schema.Validate(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken)));
    }

    [Fact]
    public void A_saved_notebook_replaces_the_old_one_and_leaves_nothing_else()
    {
        using var fixture = new ToolFixture();
        var path = fixture.Write("x.ipynb", "old");
        ToolFixture.Notebook("1").Save(path);
        Assert.Single(Directory.GetFiles(fixture.Folder));
        Assert.Equal("1", NotebookDocument.Load(path).Cells[0].Source);
    }
}
