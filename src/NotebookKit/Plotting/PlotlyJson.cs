using Plotly.NET;

namespace NotebookKit.Plotting;

/// <summary>Makes Plotly figures through Plotly.NET from plain properties, with the kit's own look.</summary>
internal static class PlotlyJson
{
    /// <summary>Okabe &amp; Ito's colours, told apart by colour-blind readers.</summary>
    public static readonly string[] Colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666"];

    /// <summary>A trace of a type with properties; <c>null</c> values are left out.</summary>
    public static Trace Trace(string type, params (string Name, object? Value)[] properties)
    {
        var trace = new Trace(type);
        foreach (var (name, value) in properties)
            if (value is not null) trace.SetProperty(name, value);
        return trace;
    }

    /// <summary>Properties as Plotly nests them.</summary>
    public static Dictionary<string, object> Object(params (string Name, object Value)[] properties) => properties.ToDictionary(p => p.Name, p => p.Value);

    /// <summary><c>{data, layout}</c> of a figure.</summary>
    public static string Of(string title, int height, Dictionary<string, object> xAxis, Dictionary<string, object> yAxis, IReadOnlyList<Trace> traces, params (string Name, object Value)[] layout)
    {
        var described = new Layout();
        foreach (var axis in new[] { xAxis, yAxis })
        {
            axis.TryAdd("gridcolor", "#e5e9ef");
            axis.TryAdd("zeroline", false);
            axis.TryAdd("automargin", true);
        }
        var properties = Object(
            ("title", Object(("text", title), ("font", Object(("size", 16))), ("x", 0.01), ("xanchor", "left"))), ("height", height),
            ("margin", Object(("l", 60), ("r", 20), ("t", 50), ("b", 50))), ("plot_bgcolor", "#ffffff"), ("paper_bgcolor", "#ffffff"),
            ("font", Object(("family", "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif"), ("size", 13), ("color", "#1c2430"))),
            ("colorway", Colors), ("xaxis", xAxis), ("yaxis", yAxis));
        foreach (var (name, value) in layout) properties[name] = value;
        foreach (var (name, value) in properties) described.SetProperty(name, value);
        return GenericChart.toFigureJson(GenericChart.setLayout(described, GenericChart.ofTraceObjects(false, Microsoft.FSharp.Collections.ListModule.OfSeq(traces))));
    }
}
