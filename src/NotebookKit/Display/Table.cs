using System.Net;
using System.Text;

namespace NotebookKit.Display;

/// <summary>Rows and columns to look at. Columns whose cells all read as numbers are set right.</summary>
/// <param name="Columns">Headings.</param>
/// <param name="Rows">Cells as text, each row as long as the headings.</param>
/// <param name="Caption">A line above the table, or <c>null</c>.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record Table(IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows, string? Caption = null) : IShown
{
    /// <inheritdoc/>
    public string ToHtml()
    {
        var html = new StringBuilder("<table>");
        if (Caption is not null) html.Append($"<caption style=\"text-align:left;font-weight:600\">{WebUtility.HtmlEncode(Caption)}</caption>");
        var numeric = Columns.Select((_, c) => IsNumeric(c)).ToArray();
        html.Append("<thead><tr>");
        for (var c = 0; c < Columns.Count; c++) html.Append(Cell("th", Columns[c], numeric[c]));
        html.Append("</tr></thead><tbody>");
        foreach (var row in Rows)
        {
            html.Append("<tr>");
            for (var c = 0; c < row.Count; c++) html.Append(Cell("td", row[c], numeric[c]));
            html.Append("</tr>");
        }
        return html.Append("</tbody></table>").ToString();
    }

    /// <inheritdoc/>
    public string ToText()
    {
        var widths = Columns.Select((name, c) => Rows.Select(r => r[c].Length).Append(name.Length).Max()).ToArray();
        string Line(IReadOnlyList<string> cells) => string.Join("  ", cells.Select((cell, c) => IsNumeric(c) ? cell.PadLeft(widths[c]) : cell.PadRight(widths[c]))).TrimEnd();
        return string.Join('\n', new[] { Caption, Line(Columns), string.Join("  ", widths.Select(w => new string('-', w))) }.OfType<string>().Concat(Rows.Select(Line)));
    }

    private bool IsNumeric(int column) => Rows.Count > 0 && Rows.All(r => r[column].Length == 0 || char.IsAsciiDigit(r[column][0]) || r[column][0] is '-' or '+' or '−' && r[column].Length > 1);

    private static string Cell(string tag, string text, bool numeric) =>
        $"<{tag}{(numeric ? " style=\"text-align:right\"" : " style=\"text-align:left\"")}>{WebUtility.HtmlEncode(text)}</{tag}>";
}
