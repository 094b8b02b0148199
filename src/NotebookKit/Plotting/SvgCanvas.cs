using System.Globalization;
using System.Net;
using System.Text;

namespace NotebookKit.Plotting;

/// <summary>Draws static charts as SVG: an area with axes, and marks in its coordinates. The same calls give the same text.</summary>
internal sealed class SvgCanvas
{
    public const int Width = 760;
    private readonly StringBuilder _svg = new();
    private readonly int _height, _left, _right, _top = 44, _bottom = 46;

    public SvgCanvas(string title, int height, int left = 60, int right = 20)
    {
        (_height, _left, _right) = (height, left, right);
        Raw($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" width=\"{Width}\" height=\"{height}\" font-family=\"system-ui,Segoe UI,Roboto,DejaVu Sans,sans-serif\" font-size=\"12\" fill=\"#1c2430\">");
        Raw($"<rect width=\"{Width}\" height=\"{height}\" fill=\"#ffffff\"/>");
        Raw($"<text x=\"8\" y=\"22\" font-size=\"15\" font-weight=\"600\">{Escape(title)}</text>");
    }

    /// <summary>Pixels from the left for a share of the area's width.</summary>
    public double X(double share) => _left + share * (Width - _left - _right);

    /// <summary>Pixels from the top for a share of the area's height, counted from below.</summary>
    public double Y(double share) => _height - _bottom - share * (_height - _top - _bottom);

    public void Line(double x1, double y1, double x2, double y2, string color, double width = 1, bool dashed = false) =>
        Raw($"<line x1=\"{N(x1)}\" y1=\"{N(y1)}\" x2=\"{N(x2)}\" y2=\"{N(y2)}\" stroke=\"{color}\" stroke-width=\"{N(width)}\"{(dashed ? " stroke-dasharray=\"5 4\"" : "")}/>");

    public void Polyline(IEnumerable<(double X, double Y)> points, string color, bool dashed = false) =>
        Raw($"<polyline points=\"{string.Join(' ', points.Select(p => $"{N(p.X)},{N(p.Y)}"))}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{(dashed ? " stroke-dasharray=\"5 4\"" : "")}/>");

    public void Dot(double x, double y, string color) => Raw($"<circle cx=\"{N(x)}\" cy=\"{N(y)}\" r=\"3.5\" fill=\"{color}\"/>");

    public void Box(double x, double y, double width, double height, string color) =>
        Raw($"<rect x=\"{N(x)}\" y=\"{N(y)}\" width=\"{N(width)}\" height=\"{N(height)}\" fill=\"{color}\"/>");

    public void Text(double x, double y, string text, string anchor = "start", string color = "#1c2430", int size = 12, int rotate = 0) =>
        Raw($"<text x=\"{N(x)}\" y=\"{N(y)}\" text-anchor=\"{anchor}\" fill=\"{color}\" font-size=\"{size}\"{(rotate == 0 ? "" : $" transform=\"rotate({rotate} {N(x)} {N(y)})\"")}>{Escape(text)}</text>");

    /// <summary>Grid lines and numbers on the left, and both axis titles.</summary>
    public void Axes(string xTitle, string yTitle, IEnumerable<(double Share, string Label)> xTicks, IEnumerable<(double Share, string Label)> yTicks)
    {
        foreach (var (share, label) in yTicks)
        {
            Line(X(0), Y(share), X(1), Y(share), "#e5e9ef");
            Text(X(0) - 8, Y(share) + 4, label, "end");
        }
        foreach (var (share, label) in xTicks) Text(X(share), Y(0) + 18, label, "middle");
        Text(X(0.5), _height - 8, xTitle, "middle", "#5b6675");
        Text(16, Y(0.5), yTitle, "middle", "#5b6675", rotate: -90);
    }

    /// <summary>The picture, ended.</summary>
    public string End() => _svg.ToString() + "</svg>";

    /// <summary>Round numbers between two values, about five.</summary>
    public static IReadOnlyList<double> Ticks(double low, double high)
    {
        var raw = (high - low) / 5;
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        var step = new[] { 1, 2, 2.5, 5, 10 }.Select(m => m * power).First(s => s >= raw * 0.999);
        return [.. Enumerable.Range(0, 20).Select(i => (Math.Ceiling(low / step - 1e-9) + i) * step).TakeWhile(t => t <= high + step * 1e-9)];
    }

    private static string N(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);

    private static string Escape(string text) => WebUtility.HtmlEncode(text);

    private void Raw(string text) => _svg.Append(text);
}
