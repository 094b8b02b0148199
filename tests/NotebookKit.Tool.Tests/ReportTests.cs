using System.Text.RegularExpressions;
using NotebookKit.Metrics;
using NotebookKit.Plotting;
using NotebookKit.Tool.Documents;
using NotebookKit.Tool.Execution;
using NotebookKit.Tool.Export;

namespace NotebookKit.Tool.Tests;

public sealed partial class ReportTests
{
    [Fact]
    public async Task A_report_holds_everything_and_loads_nothing()
    {
        using var fixture = new ToolFixture();
        var dll = Path.GetRelativePath(fixture.Folder, typeof(Figure).Assembly.Location);
        var notebook = NotebookDocument.Parse(ToolFixture.Json(("markdown", "# Title <x>\n\n## Part\n\n[me](x.ipynb) [data](../data/a.md)", []),
            ("code", $"#r \"{dll}\"\nusing NotebookKit.Plotting;\nvar s = \"<i>\"; // comment\nFigures.Bars(\"T\", \"v\", [new Bar(\"b\", 0.5, 0.4, 0.6)])", []), ("code", "throw new Exception(\"<script>alert(1)</script>\")", [])), "x.ipynb");
        var result = await new NotebookRunner(fixture).RunAsync(notebook, fixture.Folder, cancellation: TestContext.Current.CancellationToken);
        var html = HtmlReport.Render([new ReportEntry(Path.Combine(fixture.Folder, "notebooks", "x.ipynb"), notebook, result)], "a machine", new Dictionary<string, string> { ["mode"] = "fast" }, Path.Combine(fixture.Folder, "out"));

        Assert.Contains("stopped in cell 3", html);
        Assert.Contains("0 of 1 notebooks passed", html);
        Assert.Contains("<span class=\"c\">// comment</span>", html);
        Assert.Contains("&lt;script&gt;alert(1)", html);
        Assert.Contains("Plotly.newPlot", html);
        Assert.Contains("mode = fast", html);
        Assert.Contains("href=\"#n1\"", html);
        Assert.Contains("href=\"../data/a.md\"", html);
        // plotly.js itself mentions addresses; what a browser would fetch is src=, href= and url( outside of it.
        var outside = PlotlyScript().Replace(html, "");
        Assert.DoesNotMatch("(src|href)=\"?(https?:)?//", outside);
        Assert.DoesNotContain("url(", outside);
        Assert.True(html.Length > 3_000_000, "plotly.js is inside");
    }

    /// <summary>Same records, same text: diffs of notebooks stay small.</summary>
    [Fact]
    public void Figures_are_the_same_each_time_and_their_pictures_are_well_formed()
    {
        var matrix = ConfusionMatrix.Of([0, 1, 2, 0], [0, 1, 0, 0], 3);
        Func<Figure>[] makers =
        [
            () => Figures.Bars("a & b", "v", [new Bar("x<y", 0.5, 0.4, 0.6)], percent: true),
            () => Figures.Lines("t", "x", "y", [new Series("s", [new PlotPoint(5, 0.1, 0.05, 0.2), new PlotPoint(40, 0.8, 0.7, 0.9)])], logarithmicX: true, percent: true),
            () => Figures.LearningCurve("t", [(1, 2.0, 1.9, 0.4), (2, 1.0, 1.5, 0.6)], 2),
            () => Figures.ConfusionHeatmap(matrix, ["a", "b", "c<d"]),
        ];
        foreach (var make in makers)
        {
            Assert.Equal(make().ToHtml(), make().ToHtml());
            Assert.Equal("svg", System.Xml.Linq.XElement.Parse(make().Svg).Name.LocalName);
            using var json = System.Text.Json.JsonDocument.Parse(make().Json);
            Assert.True(json.RootElement.GetProperty("data").GetArrayLength() > 0);
            Assert.True(json.RootElement.TryGetProperty("layout", out _));
        }
    }

    [GeneratedRegex("<script>(?!\\(function draw).*?</script>", RegexOptions.Singleline)] private static partial Regex PlotlyScript();
}
