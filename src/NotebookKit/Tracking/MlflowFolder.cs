using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using NotebookKit.Runtime;

namespace NotebookKit.Tracking;

/// <summary>
/// Writes a run into a folder as MLflow's file store has it (<c>mlflow ui --backend-store-uri folder</c>): an experiment, in it a folder a run with <c>meta.yaml</c>, <c>params</c>,
/// <c>metrics</c> (a line of time, value and step each) and <c>tags</c> (https://mlflow.org/docs/latest/tracking.html). Not thread-safe.
/// </summary>
public sealed class MlflowFolder : IProgress<TrainingProgress>, IDisposable
{
    private const int Running = 1, Finished = 3, Failed = 4;
    private readonly string _experiment, _run, _id;
    private readonly long _begun = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
    private string _name;
    private bool _isDone;

    /// <summary>Begins a run.</summary>
    /// <param name="folder">The store, such as <c>mlruns</c>.</param>
    /// <param name="experiment">The experiment's name.</param>
    /// <param name="runName">The run's name; by default the one that it reports.</param>
    public MlflowFolder(string folder, string experiment = "Default", string? runName = null)
    {
        // MLflow numbers its experiments; the same name has the same number here.
        _experiment = experiment == "Default" ? "0" : (BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(experiment))) % 900_000_000_000_000_000 + 100_000_000_000_000_000).ToString(CultureInfo.InvariantCulture);
        (_id, _name) = (Guid.NewGuid().ToString("N"), runName ?? "");
        var root = Path.GetFullPath(Path.Combine(folder, _experiment));
        _run = Path.Combine(root, _id);
        foreach (var part in new[] { "params", "metrics", "tags", "artifacts" }) Directory.CreateDirectory(Path.Combine(_run, part));
        var meta = Path.Combine(root, "meta.yaml");
        if (!File.Exists(meta))
            WholeFile.Write(meta, Yaml([("artifact_location", Quoted(new Uri(root).AbsoluteUri)), ("creation_time", Text(_begun)), ("experiment_id", Quoted(_experiment)), ("last_update_time", Text(_begun)), ("lifecycle_stage", "active"), ("name", Quoted(experiment))]));
        WriteMeta(Running);
    }

    /// <summary>The run's folder.</summary>
    public string Folder => _run;

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        switch (value)
        {
            case RunStarted { Run: var run }:
                if (_name.Length == 0) _name = run.Name;
                foreach (var (name, setting) in run.Settings) Write("params", name, setting);
                foreach (var (name, tag) in run.Hashes.Select(h => ("sha256." + h.Key, h.Value)).Concat(run.Versions.Select(v => ("version." + v.Key, v.Value))).Append(("machine", run.Machine)).Append(("mlflow.runName", _name)))
                    Write("tags", name, tag);
                if (run.Commit is { } commit) Write("tags", "mlflow.source.git.commit", commit);
                WriteMeta(Running);
                break;
            case EpochEnded { Measured: var e }:
                Append("train_loss", e.TrainLoss, value.Step);
                Append("validation_loss", e.ValidationLoss, value.Step);
                Append("validation_accuracy", e.ValidationAccuracy, value.Step);
                break;
            case RunEnded:
                _isDone = true;
                WriteMeta(Finished);
                break;
            default:
                Append("batch_loss", value.BatchLoss, value.Step);
                Append("learning_rate", value.LearningRate, value.Step);
                Append("gradient_norm", value.GradientNorm, value.Step);
                break;
        }
    }

    /// <summary>Ends the record; a run that has not said that it is done has failed.</summary>
    public void Dispose()
    {
        if (!_isDone) WriteMeta(Failed);
    }

    private void WriteMeta(int status) => WholeFile.Write(Path.Combine(_run, "meta.yaml"), Yaml(
    [
        ("artifact_uri", Quoted(new Uri(Path.Combine(_run, "artifacts")).AbsoluteUri)), ("end_time", status == Running ? "null" : Text(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds())), ("entry_point_name", "''"),
        ("experiment_id", Quoted(_experiment)), ("lifecycle_stage", "active"), ("run_id", _id), ("run_name", Quoted(_name)), ("run_uuid", _id), ("source_name", "''"), ("source_type", "4"), ("source_version", "''"),
        ("start_time", Text(_begun)), ("status", Text(status)), ("tags", "[]"), ("user_id", Quoted(Environment.UserName)),
    ]));

    private void Append(string name, double? value, int step)
    {
        if (value is { } x && double.IsFinite(x))
            File.AppendAllText(Path.Combine(_run, "metrics", name), string.Create(CultureInfo.InvariantCulture, $"{DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()} {x:R} {step}\n"));
    }

    /// <summary>MLflow takes letters, digits and a few marks in names.</summary>
    private void Write(string part, string name, string value) =>
        WholeFile.Write(Path.Combine(_run, part, string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '_'))), value);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Quoted(string text) => $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";

    private static string Yaml(IEnumerable<(string Name, string Value)> fields) => string.Concat(fields.Select(f => $"{f.Name}: {f.Value}\n"));
}
