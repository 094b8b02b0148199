using System.Reflection;
using Microsoft.Data.Analysis;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Plotting;
using NotebookKit.Runtime;
using NotebookKit.Tracking;
using NotebookKit.Training;

namespace NotebookKit.Notebooks;

/// <summary>What a notebook calls first, and small conveniences that only a notebook needs.</summary>
public static class Kit
{
    private const string PlotlyResource = "Plotly.NET.plotly-2.28.0.min.js";

    /// <summary>Loads the native libraries, prepares interactive charts in a live kernel, and says what is in use.</summary>
    /// <param name="device"><c>null</c> for the best there is, or <c>cpu</c> or <c>cuda</c>.</param>
    public static Table Setup(string? device = null)
    {
        TorchRuntime.EnsureLoaded();
        var chosen = ComputeDevice.Choose(device);
        MatrixProducts.UseOneDnn();
        if (LiveDisplay.InInteractiveKernel) LiveDisplay.Show(new PlotlyScript());
        return new Table(["part", "in use"],
        [
            ["NotebookKit", RunRecord.Version(typeof(Kit))], ["TorchSharp", RunRecord.Version(typeof(TorchSharp.torch))],
            ["device", chosen.Reason],
        ]);
    }

    /// <summary>The first rows of a table.</summary>
    public static Table Show(DataFrame frame, int rows = 10) => new(
        [.. frame.Columns.Select(c => c.Name)],
        [.. Enumerable.Range(0, (int)Math.Min(rows, frame.Rows.Count)).Select(r => (IReadOnlyList<string>)[.. frame.Columns.Select(c => Convert.ToString(c[r], System.Globalization.CultureInfo.InvariantCulture) ?? "")])],
        frame.Rows.Count > rows ? $"first {rows} of {frame.Rows.Count:N0} rows" : null);

    /// <summary>Sizes of a task's parts.</summary>
    public static Table Show(DatasetSplits data) => new(["part", "examples", "classes", "fewest per class", "words per text"],
        [.. new[] { ("train", data.Train), ("validation", data.Validation), ("test", data.Test) }.Select(p => (IReadOnlyList<string>)
            [p.Item1, $"{p.Item2.Count}", $"{p.Item2.Labels.Count}", $"{p.Item2.CountByLabel().Min()}", p.Item2.Average(e => e.Text.Split(' ').Length).ToString("F1", System.Globalization.CultureInfo.InvariantCulture)])]);

    /// <summary>The learning curve of a run.</summary>
    public static Figure Show(TrainingHistory history, string title = "Learning curve") =>
        Figures.LearningCurve(title, [.. history.Epochs.Select(e => (e.Epoch, e.TrainLoss, e.ValidationLoss, e.ValidationAccuracy))], history.BestEpoch);

    /// <summary>A search for a learning rate: loss against rate, with the suggestion in the title.</summary>
    public static Figure Show(LearningRateCurve curve) => Figures.Lines(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Loss while the rate grows (suggestion: {curve.Suggestion:0.0e+0})"), "learning rate", "loss",
        [new Series("each batch", [.. curve.Tried.Select(t => new PlotPoint(t.Rate, t.Loss))]), new Series("smoothed", [.. curve.Tried.Select(t => new PlotPoint(t.Rate, t.Smoothed))])], logarithmicX: true);

    /// <summary>plotly.js for a live notebook page, once: under require.js its loader must not see <c>define</c>.</summary>
    [TypeFormatterSource(typeof(ShownFormatterSource))]
    private sealed class PlotlyScript : IShown
    {
        public string ToHtml()
        {
            using var stream = typeof(Plotly.NET.Chart).Assembly.GetManifestResourceStream(PlotlyResource);
            if (stream is null) return "<!-- this Plotly.NET carries no plotly.js: charts stay static -->";
            using var reader = new StreamReader(stream);
            return "<script>if(!window.Plotly){window.nbkitDefine=window.define;window.define=undefined;}</script><script>"
                + reader.ReadToEnd().Replace("</script", "<\\/script", StringComparison.OrdinalIgnoreCase)
                + "</script><script>if(window.nbkitDefine){window.define=window.nbkitDefine;}</script>";
        }

        public string ToText() => "plotly.js loaded";
    }
}
