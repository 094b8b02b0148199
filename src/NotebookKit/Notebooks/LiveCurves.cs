using NotebookKit.Plotting;
using NotebookKit.Tracking;

namespace NotebookKit.Notebooks;

/// <summary>
/// A progress bar with a chart under it that grows by a point an epoch: validation accuracy, or the training loss where nothing is validated. The stages of a plan are lines over one axis; one that its gate
/// rolled back is marked, and nothing follows its line. What stands there at the end holds no times.
/// </summary>
/// <param name="title">Over bar and chart.</param>
public sealed class LiveCurves(string title) : IProgress<TrainingProgress>
{
    private readonly LiveProgress _bar = new(title);
    private readonly List<(string Name, List<EpochRecord> Epochs, int Start)> _lines = [];
    private IDisplayHandle? _chart;
    private int _done;

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        _bar.Report(value);
        switch (value)
        {
            case StageStarted stage:
                _lines.Add((stage.Stage, [], _done));
                break;
            case EpochEnded epoch:
                if (_lines.Count == 0) _lines.Add((title, [], 0));
                _lines[^1].Epochs.Add(epoch.Measured);
                _done++;
                Show();
                break;
            case StageEnded { Promoted: false } ended when _lines.Count > 0 && _lines[^1].Name == ended.Stage:
                _lines[^1] = _lines[^1] with { Name = $"{ended.Stage} (rolled back)" };
                Show();
                break;
        }
    }

    /// <summary>The chart as it is now, or <c>null</c> before the first epoch has ended.</summary>
    public Figure? AsFigure()
    {
        var validated = _lines.Any(l => l.Epochs.Any(e => e.ValidationAccuracy is not null));
        Series[] series = [.. _lines.Select(l => new Series(l.Name, [.. l.Epochs.Select((e, i) => (Place: l.Start + i + 1, Value: validated ? e.ValidationAccuracy : e.TrainLoss)).Where(p => p.Value is not null).Select(p => new PlotPoint(p.Place, p.Value!.Value))])).Where(s => s.Points.Count > 0)];
        return series.Length == 0 ? null : Figures.Lines(title, "epoch", validated ? "validation accuracy" : "training loss", series, percent: validated);
    }

    private void Show()
    {
        if (AsFigure() is not { } figure) return;
        if (_chart is null) _chart = LiveDisplay.Show(figure);
        else _chart.Update(figure);
    }
}
