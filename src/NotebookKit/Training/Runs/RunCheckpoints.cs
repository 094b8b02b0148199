using System.Globalization;
using NotebookKit.Checkpoints;
using NotebookKit.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>The checkpoints of a run: one safetensors file each, whole or absent, with a hash over its tensors and state.</summary>
internal sealed class RunCheckpoints
{
    private const string Hash = "sha256", State = "state", Run = "run";
    private readonly CheckpointSettings _settings;
    private readonly string _run;

    /// <param name="settings">Where and how many.</param>
    /// <param name="run">What the run is: settings, data and first weights, hashed.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public RunCheckpoints(CheckpointSettings settings, string run)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.KeepLast, 1);
        if (settings.EverySteps is < 1) throw new ArgumentOutOfRangeException(nameof(settings), settings.EverySteps, "CheckpointSettings.EverySteps is at least 1, or null.");
        (_settings, _run) = (settings, run);
        try
        {
            // A folder that cannot be written is known before the first step, not after the first hour.
            var probe = Path.Combine(settings.Folder, ".writable");
            WholeFile.Write(probe, "");
            File.Delete(probe);
            foreach (var left in Directory.EnumerateFiles(settings.Folder, "step-*.tmp")) File.Delete(left);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"Checkpoints cannot be written to '{Path.GetFullPath(settings.Folder)}': {e.Message} Choose another folder.", e);
        }
    }

    /// <summary>Whether there is nothing to go on from.</summary>
    public bool IsEmpty => !Found().Any();

    /// <summary>Whether one is due after a step.</summary>
    public bool IsDue(int step) => _settings.EverySteps is { } every && step % every == 0;

    /// <summary>Writes one and deletes those that are no longer kept. What cannot be written is said, and the run goes on.</summary>
    /// <returns>A warning, or <c>null</c>.</returns>
    public string? Save(int step, IEnumerable<KeyValuePair<string, Tensor>> tensors, string state)
    {
        var all = tensors.OrderBy(t => t.Key, StringComparer.Ordinal).ToArray();
        try
        {
            SafetensorsWriter.Write(PathOf(step), all, metadata: new Dictionary<string, string> { [Run] = _run, [State] = state, [Hash] = TensorHash.Of(all, state) });
            foreach (var (_, path) in Found().SkipLast(_settings.KeepLast)) File.Delete(path);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var last = Found().LastOrDefault();
            return $"The checkpoint of step {step} could not be written ({e.Message}). Training goes on; {(last.Path is null ? "there is no checkpoint yet" : $"the last is of step {last.Step}")}.";
        }
    }

    /// <summary>Reads the newest checkpoint that is whole.</summary>
    /// <param name="use">Takes the state and a reader of tensors.</param>
    /// <returns>What was found: a warning where the newest was damaged; <c>null</c> where there is none to go on from.</returns>
    /// <exception cref="InvalidOperationException">The folder belongs to another run.</exception>
    public (int Step, string? Warning)? TryRestore(Action<string, Func<string, Tensor>> use)
    {
        var damaged = new List<string>();
        foreach (var (step, path) in Found().Reverse())
        {
            try
            {
                using var file = SafetensorsFile.Open(path);
                var (run, state) = (file.Metadata.GetValueOrDefault(Run), file.Metadata.GetValueOrDefault(State) ?? "");
                using (var scope = NewDisposeScope())
                    if (TensorHash.Of(file.Tensors.Keys.Order(StringComparer.Ordinal).Select(k => KeyValuePair.Create(k, file.Read(k))), state) != file.Metadata.GetValueOrDefault(Hash)) throw new InvalidDataException("its hash is not that of its contents");
                if (run != _run)
                    throw new InvalidOperationException($"'{Path.GetFullPath(_settings.Folder)}' holds checkpoints of another run: settings, data or first weights differ. Give this run a folder of its own, or delete that one.");
                use(state, name => file.Read(name));
                return (step, damaged.Count == 0 ? null : $"{string.Join("; ", damaged)}. The run goes on from step {step}.");
            }
            catch (Exception e) when (e is InvalidDataException or IOException or KeyNotFoundException)
            {
                damaged.Add($"'{Path.GetFileName(path)}' is damaged ({e.Message.TrimEnd('.')})");
            }
        }
        if (damaged.Count > 0) throw new InvalidDataException($"No checkpoint in '{Path.GetFullPath(_settings.Folder)}' can be read: {string.Join("; ", damaged)}. Delete the folder to begin anew.");
        return null;
    }

    private IEnumerable<(int Step, string Path)> Found() => !Directory.Exists(_settings.Folder) ? [] : Directory.EnumerateFiles(_settings.Folder, "step-*.safetensors")
        .Select(f => (Step: int.TryParse(Path.GetFileNameWithoutExtension(f)["step-".Length..], CultureInfo.InvariantCulture, out var step) ? step : -1, Path: f)).Where(f => f.Step >= 0).OrderBy(f => f.Step);

    private string PathOf(int step) => Path.Combine(_settings.Folder, string.Create(CultureInfo.InvariantCulture, $"step-{step:D8}.safetensors"));
}
