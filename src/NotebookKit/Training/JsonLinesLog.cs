using System.Text.Json;

namespace NotebookKit.Training;

/// <summary>Writes what a run reports into a file, a JSON object a line, as it comes: a run that ends unexpectedly has told all up to there. Thread-safe.</summary>
public sealed class JsonLinesLog : IProgress<TrainingProgress>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly FileStream _file;
    private readonly IProgress<TrainingProgress>? _next;

    /// <summary>Begins or continues a log.</summary>
    /// <param name="path">The file; what stands in it stays.</param>
    /// <param name="next">Is told the same, such as a progress bar.</param>
    public JsonLinesLog(string path, IProgress<TrainingProgress>? next = null)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        (_file, _next) = (new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read), next);
    }

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        using var line = new MemoryStream();
        using (var json = new Utf8JsonWriter(line))
        {
            json.WriteStartObject();
            json.WriteString("phase", value.Phase);
            json.WriteNumber("step", value.Step);
            json.WriteNumber("total_steps", value.TotalSteps);
            json.WriteNumber("epoch", value.Epoch);
            if (double.IsFinite(value.Loss)) json.WriteNumber("loss", value.Loss);
            if (value.ValidationMetric is { } metric) json.WriteNumber("validation_accuracy", metric);
            json.WriteNumber("seconds", Math.Round(value.Elapsed.TotalSeconds, 3));
            if (value.Message is { } message) json.WriteString("message", message);
            json.WriteEndObject();
        }
        line.Write("\n"u8);
        lock (_lock)
        {
            _file.Write(line.GetBuffer().AsSpan(0, (int)line.Length));       // a line in one write: never half of one
            _file.Flush();
        }
        _next?.Report(value);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
