using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Training;
using static TorchSharp.torch;

namespace NotebookKit.Pretraining;

/// <summary>Where a pretraining run can go on from: weights, moments, step, curve, in one file that is replaced as a whole.</summary>
internal sealed class PretrainingCheckpoint(string folder)
{
    private string FilePath => Path.Combine(folder, "checkpoint.safetensors");

    public void Save(AdamW optimizer, nn.Module model, long tokens, IReadOnlyList<PretrainingPoint> curve) =>
        SafetensorsWriter.Write(FilePath,
            model.named_parameters().Select(p => KeyValuePair.Create("model." + p.name, (Tensor)p.parameter))
                .Concat(optimizer.State.Select(s => KeyValuePair.Create("optimizer." + s.Key, s.Value))),
            metadata: new Dictionary<string, string>
            {
                ["steps"] = optimizer.Steps.ToString(System.Globalization.CultureInfo.InvariantCulture),
                ["tokens"] = tokens.ToString(System.Globalization.CultureInfo.InvariantCulture),
                ["curve"] = JsonSerializer.Serialize(curve),
            });

    public (long Tokens, List<PretrainingPoint> Curve) TryRestore(AdamW optimizer, nn.Module model)
    {
        if (!File.Exists(FilePath)) return (0, []);
        using var file = SafetensorsFile.Open(FilePath);
        using (no_grad())
        {
            foreach (var (name, parameter) in model.named_parameters())
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
