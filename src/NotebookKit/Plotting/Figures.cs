using System.Globalization;
using NotebookKit.Metrics;
using static NotebookKit.Plotting.PlotlyJson;

namespace NotebookKit.Plotting;

/// <summary>The charts of the kit, from plain records.</summary>
public static class Figures
{
    private const int ChartHeight = 400;

    /// <summary>Lines with error bars, such as accuracy against examples per class.</summary>
    /// <param name="title">What the chart says.</param>
    /// <param name="xTitle">Title of the horizontal axis.</param>
    /// <param name="yTitle">Title of the vertical axis.</param>
    /// <param name="series">One line each; at least one with a point.</param>
    /// <param name="logarithmicX">Whether equal distances are equal factors. Needs X above 0.</param>
    /// <param name="percent">Whether values are shares shown in percent.</param>
    public static Figure Lines(string title, string xTitle, string yTitle, IReadOnlyList<Series> series, bool logarithmicX = false, bool percent = false)
    {
        var points = series.SelectMany(s => s.Points).ToArray();
        if (points.Length == 0) throw new ArgumentException("A chart needs at least one point.", nameof(series));
        var ticks = points.Select(p => p.X).Distinct().Order().ToArray();
        var fewTicks = ticks.Length <= 12 ? ticks : [.. SvgCanvas.Ticks(ticks[0], ticks[^1])];
        var traces = series.Select((s, i) => Trace("scatter", ("mode", "lines+markers"), ("name", s.Name), ("x", s.Points.Select(p => p.X).ToArray()), ("y", s.Points.Select(p => p.Y).ToArray()),
            ("yaxis", s.Share ? "y2" : null), ("line", Object(("color", Colors[i % Colors.Length]))),
            ("error_y", s.Points.Any(p => p.Upper is not null) ? Object(("type", "data"), ("symmetric", false),
                ("array", s.Points.Select(p => p.Upper - p.Y ?? 0).ToArray()), ("arrayminus", s.Points.Select(p => p.Y - p.Lower ?? 0).ToArray())) : null))).ToArray();
        var json = Of(title, ChartHeight,
            Object(("title", Object(("text", xTitle))), ("type", logarithmicX ? "log" : "linear"), ("tickvals", fewTicks), ("ticktext", fewTicks.Select(Number).ToArray())),
            Object(("title", Object(("text", yTitle))), ("tickformat", percent ? ".0%" : "")), traces,
            [("legend", Object(("orientation", "h"), ("y", -0.2))), .. RightAxis(series)]);
        return new Figure(title, json, LinesSvg(title, xTitle, yTitle, series, fewTicks, logarithmicX, percent), ChartHeight);
    }

    /// <summary>Loss and accuracy over epochs; the epoch whose weights were kept is marked.</summary>
    /// <param name="title">What the chart says.</param>
    /// <param name="epochs">Epoch, training loss, validation loss and accuracy; the last two may be missing.</param>
    /// <param name="bestEpoch">The epoch that was kept.</param>
    public static Figure LearningCurve(string title, IReadOnlyList<(int Epoch, double TrainLoss, double? ValidationLoss, double? ValidationAccuracy)> epochs, int bestEpoch)
    {
        var series = new List<Series> { new("training loss", [.. epochs.Select(e => new PlotPoint(e.Epoch, e.TrainLoss))]) };
        if (epochs.Any(e => e.ValidationLoss is not null)) series.Add(new("validation loss", [.. epochs.Where(e => e.ValidationLoss is not null).Select(e => new PlotPoint(e.Epoch, e.ValidationLoss!.Value))]));
        if (epochs.Any(e => e.ValidationAccuracy is not null)) series.Add(new("validation accuracy", [.. epochs.Where(e => e.ValidationAccuracy is not null).Select(e => new PlotPoint(e.Epoch, e.ValidationAccuracy!.Value))], Share: true));
        return Lines(bestEpoch > 0 ? $"{title} (kept: epoch {bestEpoch})" : title, "epoch", "loss (nats)", series);
    }

    /// <summary>Horizontal bars with intervals, in the order given from the top.</summary>
    public static Figure Bars(string title, string valueTitle, IReadOnlyList<Bar> bars, bool percent = false)
    {
        if (bars.Count == 0) throw new ArgumentException("A chart needs at least one bar.", nameof(bars));
        var height = 110 + 44 * bars.Count;
        var reversed = bars.Reverse().ToArray();
        var json = Of(title, height, Object(("title", Object(("text", valueTitle))), ("tickformat", percent ? ".0%" : ""), ("rangemode", "tozero")), Object(("automargin", true)),
            [Trace("bar", ("orientation", "h"), ("x", reversed.Select(b => b.Value).ToArray()), ("y", reversed.Select(b => b.Name).ToArray()), ("marker", Object(("color", Colors[0]))),
                ("error_x", Object(("type", "data"), ("symmetric", false), ("array", reversed.Select(b => b.Upper - b.Value ?? 0).ToArray()), ("arrayminus", reversed.Select(b => b.Value - b.Lower ?? 0).ToArray()))))]);

        var largest = bars.Max(b => Math.Max(b.Value, b.Upper ?? 0)) * 1.1;
        var svg = new SvgCanvas(title, height, left: 30 + 7 * Math.Min(34, bars.Max(b => b.Name.Length)));
        svg.Axes(valueTitle, "", SvgCanvas.Ticks(0, largest).Select(t => (t / largest, Label(t, percent))), []);
        for (var i = 0; i < bars.Count; i++)
        {
            var middle = svg.Y(1 - (i + 0.5) / bars.Count);
            svg.Box(svg.X(0), middle - 12, svg.X(bars[i].Value / largest) - svg.X(0), 24, Colors[0]);
            if (bars[i].Lower is { } low && bars[i].Upper is { } high) svg.Line(svg.X(low / largest), middle, svg.X(high / largest), middle, "#1c2430", 2);
            svg.Text(svg.X(0) - 8, middle + 4, bars[i].Name, "end");
            svg.Text(svg.X(Math.Max(bars[i].Value, bars[i].Upper ?? 0) / largest) + 6, middle + 4, percent ? Label(bars[i].Value, true, 1) : Number(bars[i].Value));
        }
        return new Figure(title, json, svg.End(), height);
    }

    /// <summary>A confusion matrix as colours, rows truth, each row as shares of its class; classes that are never confused are left out beyond <paramref name="most"/>.</summary>
    /// <param name="matrix">Counts.</param>
    /// <param name="labels">Names in id order.</param>
    /// <param name="title">What the chart says.</param>
    /// <param name="most">Most classes shown: those with the most errors. Default 30.</param>
    public static Figure ConfusionHeatmap(ConfusionMatrix matrix, IReadOnlyList<string> labels, string title = "Confusion matrix", int most = 30)
    {
        var errors = Enumerable.Range(0, matrix.Classes).Select(c => matrix.TruthCount(c) + matrix.PredictedCount(c) - 2 * matrix[c, c]).ToArray();
        var shown = Enumerable.Range(0, matrix.Classes).OrderByDescending(c => errors[c]).Take(most).Order().ToArray();
        if (shown.Length < matrix.Classes) title += $": the {shown.Length} classes with the most errors of {matrix.Classes}";
        var names = shown.Select(c => labels[c]).ToArray();
        var share = matrix.Normalized(Normalization.Truth);
        return Grid(title, names, names, [.. shown.Select(t => shown.Select(p => share[t, p]).ToArray())], shown.Length > 20 ? 16 : 24, 1, ("predicted", "truth"), "%{y} answered as %{x}: %{z:.1%}", null);
    }

    /// <summary>A small table of numbers as colours, white at zero and below, with the numbers in the cells.</summary>
    /// <param name="title">What the chart says.</param>
    /// <param name="rows">Names of the rows, from the top.</param>
    /// <param name="columns">Names of the columns.</param>
    /// <param name="values">One array for each row.</param>
    public static Figure Heatmap(string title, IReadOnlyList<string> rows, IReadOnlyList<string> columns, double[][] values)
    {
        if (values.Length != rows.Count || values.Any(v => v.Length != columns.Count) || rows.Count == 0 || columns.Count == 0)
            throw new ArgumentException($"{rows.Count} row names and {columns.Count} column names, but values for {values.Length} rows of {string.Join(", ", values.Select(v => v.Length).Distinct())}.", nameof(values));
        return Grid(title, rows, columns, values, 44, Math.Max(1e-9, values.Max(v => v.Max())), ("", ""), "%{y} / %{x}: %{z:.3f}", x => x.ToString("0.00", CultureInfo.InvariantCulture));
    }

    private static Figure Grid(string title, IReadOnlyList<string> rows, IReadOnlyList<string> columns, double[][] values, int cell, double largest, (string X, string Y) axes, string hover,
        Func<double, string>? written)
    {
        var height = (written is null ? 230 : 180) + cell * rows.Count;
        (string, object?)[] trace =
        [
            ("x", columns.ToArray()), ("y", rows.Reverse().ToArray()), ("z", values.Reverse().Select(r => r.Select(v => Math.Round(v, 4)).ToArray()).ToArray()),
            ("colorscale", new object[] { new object[] { 0, "#ffffff" }, new object[] { 0.1, "#cfe3f3" }, new object[] { 1, "#0b4f8a" } }), ("zmin", 0), ("zmax", largest), ("hovertemplate", hover + "<extra></extra>"),
        ];
        var all = trace.Concat(written is null ? [] : new (string, object?)[] { ("text", values.Reverse().Select(r => r.Select(written).ToArray()).ToArray()), ("texttemplate", "%{text}") }).ToArray();
        var json = Of(title, height, Object(("tickangle", -60), ("dtick", 1), ("tickfont", Object(("size", 11))), ("title", Object(("text", axes.X))), ("automargin", true)),
            Object(("dtick", 1), ("tickfont", Object(("size", 11))), ("title", Object(("text", axes.Y), ("standoff", 12))), ("automargin", true)), [Trace("heatmap", all)]);

        var svg = new SvgCanvas(title, height, left: 190);
        var (x0, y0) = (190.0, 44.0);
        for (var c = 0; c < columns.Count; c++) svg.Text(x0 + (c + 0.7) * cell, y0 + rows.Count * cell + 10, columns[c], "end", size: 11, rotate: -60);
        for (var r = 0; r < rows.Count; r++)
        {
            svg.Text(x0 - 8, y0 + (r + 0.5) * cell + 4, rows[r], "end", size: 11);
            for (var c = 0; c < columns.Count; c++)
            {
                svg.Box(x0 + c * cell, y0 + r * cell, cell - 1, cell - 1, Shade(Math.Max(0, values[r][c] / largest)));
                if (written is not null) svg.Text(x0 + (c + 0.5) * cell, y0 + (r + 0.5) * cell + 4, written(values[r][c]), "middle", size: 11);
            }
        }
        return new Figure(title, json, svg.End(), height);
    }

    private static (string, object)[] RightAxis(IReadOnlyList<Series> series) => !series.Any(s => s.Share) ? [] :
        [("yaxis2", Object(("overlaying", "y"), ("side", "right"), ("range", new double[] { 0, 1 }), ("tickformat", ".0%"), ("showgrid", false), ("automargin", true)))];

    private static string LinesSvg(string title, string xTitle, string yTitle, IReadOnlyList<Series> series, double[] xTicks, bool logarithmicX, bool percent)
    {
        var points = series.SelectMany(s => s.Points).ToArray();
        double Map(double x) => logarithmicX ? Math.Log(x) : x;
        var (left, right) = (Map(points.Min(p => p.X)), Map(points.Max(p => p.X)));
        var scaled = series.Where(s => !s.Share).SelectMany(s => s.Points).DefaultIfEmpty(new PlotPoint(0, 0, 0, 1)).ToArray();
        var (low, high) = (scaled.Min(p => p.Lower ?? p.Y), scaled.Max(p => p.Upper ?? p.Y));
        (low, high) = (Math.Max(low >= 0 ? 0 : double.NegativeInfinity, low - 0.08 * (high - low + 1e-9)), high + 0.08 * (high - low + 1e-9));
        var hasShares = series.Any(s => s.Share);
        var svg = new SvgCanvas(title, ChartHeight, right: hasShares ? 50 : 20);
        double X(double x) => svg.X(right > left ? 0.03 + 0.94 * (Map(x) - left) / (right - left) : 0.5);
        double Y(double y, bool share) => svg.Y(share ? y : (y - low) / (high - low));
        svg.Axes(xTitle, yTitle, xTicks.Select(t => ((X(t) - svg.X(0)) / (svg.X(1) - svg.X(0)), Number(t))), SvgCanvas.Ticks(low, high).Select(t => ((t - low) / (high - low), Label(t, percent))));
        if (hasShares) foreach (var tick in SvgCanvas.Ticks(0, 1)) svg.Text(svg.X(1) + 8, svg.Y(tick) + 4, Label(tick, true));
        for (var i = 0; i < series.Count; i++)
        {
            var (color, share) = (Colors[i % Colors.Length], series[i].Share);
            svg.Polyline(series[i].Points.Select(p => (X(p.X), Y(p.Y, share))), color);
            foreach (var point in series[i].Points)
            {
                if (point is { Lower: { } lower, Upper: { } upper }) svg.Line(X(point.X), Y(lower, share), X(point.X), Y(upper, share), color, 1.5);
                svg.Dot(X(point.X), Y(point.Y, share), color);
            }
        }
        var at = 64.0;
        for (var i = 0; i < series.Count; i++)
        {
            svg.Box(at, 32, 12, 4, Colors[i % Colors.Length]);
            svg.Text(at + 16, 38, series[i].Name, size: 11);
            at += 34 + 6.2 * series[i].Name.Length;
        }
        return svg.End();
    }

    private static string Shade(double share)
    {
        var s = Math.Clamp(Math.Sqrt(share), 0, 1);
        int Mix(int from, int to) => (int)Math.Round(from + s * (to - from));
        return share == 0 ? "#f4f6f9" : $"#{Mix(0xE8, 0x0B):x2}{Mix(0xF1, 0x4F):x2}{Mix(0xF9, 0x8A):x2}";
    }

    private static string Label(double value, bool percent, int digits = 0) => percent ? (value * 100).ToString("F" + digits, CultureInfo.InvariantCulture) + " %" : Number(value);

    private static string Number(double value) => Math.Round(value, 4).ToString("0.####", CultureInfo.InvariantCulture);
}
