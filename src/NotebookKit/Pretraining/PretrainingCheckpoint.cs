using NotebookKit.Optimizers;
using NotebookKit.Schedules;
using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Training;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace NotebookKit.Pretraining;

/// <summary>Where a pretraining run can go on from: weights, moments, step, curve, in one file that is replaced as a whole.</summary>
internal sealed class PretrainingCheckpoint(string folder)
{
    private string FilePath => Path.Combine(folder, "checkpoint.safetensors");

    public void Save(Optimizer optimizer, IEnumerable<(string Name, Parameter Parameter)> trained, long tokens, IReadOnlyList<PretrainingPoint> curve) =>
        SafetensorsWriter.Write(FilePath,
            trained.Select(p => KeyValuePair.Create("model." + p.Name, (Tensor)p.Parameter))
                .Concat(optimizer.State.Select(s => KeyValuePair.Create("optimizer." + s.Key, s.Value))),
            metadata: new Dictionary<string, string>
            {
                ["steps"] = optimizer.Steps.ToString(System.Globalization.CultureInfo.InvariantCulture),
                ["tokens"] = tokens.ToString(System.Globalization.CultureInfo.InvariantCulture),
                ["curve"] = JsonSerializer.Serialize(curve),
            });

    public (long Tokens, List<PretrainingPoint> Curve) TryRestore(Optimizer optimizer, IEnumerable<(string Name, Parameter Parameter)> trained)
    {
        if (!File.Exists(FilePath)) return (0, []);
        using var file = SafetensorsFile.Open(FilePath);
        using (no_grad())
        {
            foreach (var (name, parameter) in trained)
            {
                using var saved = file.Read("model." + name);
                parameter.copy_(saved);
            }
        }
        optimizer.Restore(name => file.Read("optimizer." + name), int.Parse(file.Metadata["steps"], System.Globalization.CultureInfo.InvariantCulture));
        return (long.Parse(file.Metadata["tokens"], System.Globalization.CultureInfo.InvariantCulture),
            JsonSerializer.Deserialize<List<PretrainingPoint>>(file.Metadata["curve"])!);
    }
}
