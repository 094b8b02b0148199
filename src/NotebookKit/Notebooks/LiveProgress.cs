using System.Diagnostics;
using System.Globalization;
using System.Net;
using NotebookKit.Display;
using NotebookKit.Tracking;

namespace NotebookKit.Notebooks;

/// <summary>
/// A progress bar in the running cell, updated about four times a second. What stands there at the end holds no times, so that a saved notebook
/// changes only when results do.
/// </summary>
public sealed class LiveProgress : IProgress<TrainingProgress>
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private readonly string _title;
    private readonly Stopwatch _sinceUpdate = Stopwatch.StartNew();
    private readonly List<string> _decisions = [];
    private TrainingProgress? _last;
    private IDisplayHandle? _handle;

    /// <summary>A bar under a title.</summary>
    public LiveProgress(string title) => _title = title;

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        if (value is RunStarted or EpochEnded or StageStarted) return;        // the bar shows steps; the last of an epoch has told it
        if (value is StageEnded) _decisions.Add("stage " + value.Message);
        else _last = value;
        var ended = value.Message is not null || value.Step >= value.TotalSteps;
        if (!ended && _handle is not null && _sinceUpdate.Elapsed < Interval) return;
        _sinceUpdate.Restart();
        var view = new View(_title, _last, ended, [.. _decisions]);
        if (_handle is null) _handle = LiveDisplay.Show(view);
        else _handle.Update(view);
    }

    [TypeFormatterSource(typeof(ShownFormatterSource))]
    private sealed record View(string Title, TrainingProgress? Progress, bool Ended, IReadOnlyList<string> Decisions) : IShown
    {
        public string ToHtml() =>
            $"<div style=\"max-width:560px\"><div>{WebUtility.HtmlEncode(ToText()).Replace("\n", "<br>", StringComparison.Ordinal)}</div>"
            + $"<div style=\"height:6px;background:#dde3ea;border-radius:3px\"><div style=\"height:6px;border-radius:3px;background:#0072B2;width:{Share * 100:F0}%\"></div></div></div>";

        public string ToText() => string.Join('\n', [.. Progress is null ? Array.Empty<string>() : [Line(Progress)], .. Decisions]);

        private string Line(TrainingProgress at)
        {
            var text = string.Create(CultureInfo.InvariantCulture, $"{Title}: step {at.Step} of {at.TotalSteps}, epoch {at.Epoch}, loss {at.Loss:F3}");
            if (at.ValidationMetric is { } best) text += string.Create(CultureInfo.InvariantCulture, $", best validation accuracy {best * 100:F1} %");
            if (at.Message is { } message) text += "; " + message;
            if (!Ended && at.Step > 0) text += string.Create(CultureInfo.InvariantCulture, $", {at.Elapsed.TotalSeconds / at.Step * (at.TotalSteps - at.Step):F0} s left");
            return text;
        }

        private double Share => Progress is not { TotalSteps: > 0 } ? 1 : (double)Progress.Step / Progress.TotalSteps;
    }
}
