using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Markdig;
using NotebookKit.Tool.Documents;

namespace NotebookKit.Tool.Export;

/// <summary>Writes executed notebooks as one HTML file that needs nothing else: style, plotly.js and pictures are inside.</summary>
public static partial class HtmlReport
{
    private const string PlotlyResource = "Plotly.NET.plotly-2.28.0.min.js";
    private static readonly MarkdownPipeline Markdown = new MarkdownPipelineBuilder().UseAdvancedExtensions().Build();

    /// <summary>Writes the report: to a temporary name, then moved.</summary>
    /// <param name="path">Target file.</param>
    /// <param name="entries">Notebooks in order.</param>
    /// <param name="machine">One line on where it ran.</param>
    /// <param name="parameters">Parameters of the run.</param>
    public static void Write(string path, IReadOnlyList<ReportEntry> entries, string machine, IReadOnlyDictionary<string, string> parameters)
    {
        Runtime.WholeFile.Write(path, Render(entries, machine, parameters, Path.GetDirectoryName(Path.GetFullPath(path))!));
    }

    internal static string Render(IReadOnlyList<ReportEntry> entries, string machine, IReadOnlyDictionary<string, string> parameters, string folder)
    {
        var (navigation, body) = (new StringBuilder(), new StringBuilder());
        for (var n = 0; n < entries.Count; n++) Notebook(navigation, body, entries[n], $"n{n + 1}", link => Relink(link, entries, entries[n], folder));
        var failed = entries.Count(e => e.Result?.Error is not null);
        var ran = entries.Aggregate(TimeSpan.Zero, (t, e) => t + (e.Result?.Took ?? TimeSpan.Zero));
        var usesPlotly = body.ToString().Contains("nbkit-figure", StringComparison.Ordinal);
        var summary = $"<p class=\"summary\"><span class=\"{(failed == 0 ? "good" : "bad")}\">{entries.Count - failed} of {entries.Count} notebooks passed</span>"
            + $" · {Duration(ran)} · {Encode(machine)}{string.Concat(parameters.Select(p => $" · <code>{Encode(p.Key)} = {Encode(p.Value)}</code>"))}</p>";
        return $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>NotebookKit report</title>
            <style>{ReportStyle.Css}</style>
            {(usesPlotly ? $"<script>{Plotly()}</script>" : "")}
            </head>
            <body>
            <nav><p class="brand">NotebookKit</p>{navigation}</nav>
            <main><header><h1 class="report">NotebookKit report</h1>{summary}</header>{body}</main>
            </body>
            </html>

            """;
    }

    private static void Notebook(StringBuilder navigation, StringBuilder body, ReportEntry entry, string prefix, Func<string, string> relink)
    {
        var title = entry.Document.Title ?? entry.FileName;
        var failed = entry.Result?.Error is not null;
        navigation.Append($"<a class=\"notebook\" href=\"#{prefix}\">{(failed ? "✗ " : "")}{Encode(title)}</a>");
        body.Append($"<article id=\"{prefix}\"><p class=\"file\">{Encode(entry.FileName)} · ")
            .Append(entry.Result is null ? "not run" : failed ? $"<span class=\"bad\">stopped in cell {entry.Result.CellNumber}</span>" : "<span class=\"good\">passed</span>")
            .Append(entry.Result is null ? "" : $" · {Duration(entry.Result.Took)}").Append("</p>");
        var headings = 0;
        foreach (var cell in entry.Document.Cells)
        {
            if (cell.Kind == CellKind.Markdown)
            {
                var html = HeadingTag().Replace(Markdig.Markdown.ToHtml(cell.Source, Markdown), match =>
                {
                    var id = $"{prefix}-{++headings}";
                    if (match.Groups[1].Value == "2")
                        navigation.Append($"<a href=\"#{id}\">{AnyTag().Replace(match.Groups[2].Value, "")}</a>");
                    return $"<h{match.Groups[1].Value} id=\"{id}\">{match.Groups[2].Value}</h{match.Groups[1].Value}>";
                });
                html = LocalLink().Replace(html, match => $"href=\"{relink(match.Groups[1].Value)}\"");
                body.Append($"<section class=\"markdown\">{html}</section>");
            }
            else if (cell.Kind == CellKind.Code && !string.IsNullOrWhiteSpace(cell.Source))
            {
                body.Append($"<section class=\"code\"><pre class=\"source\"><code>{CodeHighlighter.ToHtml(cell.Source)}</code></pre>");
                foreach (var output in cell.Outputs) Output(body, output);
                body.Append("</section>");
            }
        }
        body.Append("</article>");
    }

    /// <summary>A notebook's relative link as the report needs it: to the other notebook's place in the report, or to the file from the report's folder.</summary>
    private static string Relink(string link, IReadOnlyList<ReportEntry> entries, ReportEntry from, string folder)
    {
        for (var n = 0; n < entries.Count; n++)
            if (entries[n].FileName == link) return $"#n{n + 1}";
        var target = Path.GetFullPath(link, Path.GetDirectoryName(Path.GetFullPath(from.Path))!);
        return Encode(Path.GetRelativePath(folder, target).Replace('\\', '/'));
    }

    private static void Output(StringBuilder body, JsonObject output)
    {
        switch (output["output_type"]?.GetValue<string>())
        {
            case "stream":
                body.Append($"<pre class=\"output {(output["name"]?.GetValue<string>() == "stderr" ? "stderr" : "")}\">{Encode(NotebookCell.Join(output["text"]))}</pre>");
                break;
            case "error":
                body.Append($"<pre class=\"output error\">{Encode(output["ename"]?.GetValue<string>() ?? "error")}: {Encode(output["evalue"]?.GetValue<string>() ?? "")}</pre>");
                break;
            case "display_data" or "execute_result" when output["data"] is JsonObject data:
                if (data["text/html"] is { } html) body.Append($"<div class=\"output\">{NotebookCell.Join(html)}</div>");
                else if (data["image/svg+xml"] is { } svg) body.Append($"<div class=\"output\">{NotebookCell.Join(svg)}</div>");
                else if (data["image/png"] is { } png) body.Append($"<div class=\"output\"><img alt=\"\" src=\"data:image/png;base64,{NotebookCell.Join(png).Trim()}\"></div>");
                else if (data["text/markdown"] is { } markdown) body.Append($"<div class=\"output\">{Markdig.Markdown.ToHtml(NotebookCell.Join(markdown), Markdown)}</div>");
                else body.Append($"<pre class=\"output\">{Encode(NotebookCell.Join(data["text/plain"] ?? data.FirstOrDefault().Value))}</pre>");
                break;
        }
    }

    private static string Plotly()
    {
        using var stream = typeof(Plotly.NET.Chart).Assembly.GetManifestResourceStream(PlotlyResource)
            ?? throw new InvalidOperationException($"Plotly.NET carries no {PlotlyResource}: another version of the package is in use.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Replace("</script", "<\\/script", StringComparison.OrdinalIgnoreCase);
    }

    private static string Duration(TimeSpan time) => time.TotalMinutes >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds} s")
        : string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:F1} s");

    private static string Encode(string text) => WebUtility.HtmlEncode(text);

    [GeneratedRegex("<h([1-6])[^>]*>(.*?)</h\\1>", RegexOptions.Singleline)] private static partial Regex HeadingTag();
    [GeneratedRegex("href=\"(?!#|[a-z]+:)([^\"]+)\"")] private static partial Regex LocalLink();
    [GeneratedRegex("<[^>]*>")] private static partial Regex AnyTag();
}
