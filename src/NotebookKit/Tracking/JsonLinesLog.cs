using System.Text.Json.Nodes;

namespace NotebookKit.Tracking;

/// <summary>Writes what a run reports into a file, a JSON object a line, as it comes: a run that ends unexpectedly has told all up to there. <see cref="RunLog"/> reads it. Thread-safe.</summary>
public sealed class JsonLinesLog : IProgress<TrainingProgress>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly FileStream _file;

    /// <summary>Begins or continues a log.</summary>
    /// <param name="path">The file; what stands in it stays.</param>
    public JsonLinesLog(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
    }

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        var json = new JsonObject { ["phase"] = value.Phase, ["step"] = value.Step, ["total_steps"] = value.TotalSteps, ["epoch"] = value.Epoch, ["seconds"] = Math.Round(value.Elapsed.TotalSeconds, 3) };
        void Add(string name, double? number)
        {
            if (number is { } x && double.IsFinite(x)) json[name] = x;
        }
        switch (value)
        {
            case RunStarted started: json["run"] = started.Run.ToJson(); break;
            case EpochEnded { Measured: var epoch }:
                Add("train_loss", epoch.TrainLoss);
                Add("validation_loss", epoch.ValidationLoss);
                Add("validation_accuracy", epoch.ValidationAccuracy);
                break;
            default:
                Add("loss", value.Loss);
                Add("batch_loss", value.BatchLoss);
                Add("learning_rate", value.LearningRate);
                Add("gradient_norm", value.GradientNorm);
                Add("best_validation_accuracy", value.ValidationMetric);
                if (value is RunEnded ended) (json["best_epoch"], json["stopped_early"]) = (ended.BestEpoch, ended.StoppedEarly);
                break;
        }
        if (value.Message is { } message) json["message"] = message;
        var line = System.Text.Encoding.UTF8.GetBytes(json.ToJsonString());
        lock (_lock)
        {
            _file.Write([.. line, (byte)'\n']);                              // a line in one write: never half of one
            _file.Flush();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
