using System.Text.Json;
using NotebookKit.Models;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>The same weights under other names or types: they must give the outputs of the checkpoint they came from, or, where weights were rounded, their own.</summary>
internal static class VariantCases
{
    public static bool IsOne(string folder) => File.Exists(Path.Combine(folder, "variant.json"));

    public static IEnumerable<Outcome> Run(string folder)
    {
        var variant = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "variant.json"))).RootElement;
        var origin = Path.GetFullPath(Path.Combine(folder, "..", "..", "tiny", variant.GetProperty("same_as").GetString()!));
        var own = Path.Combine(folder, "golden.safetensors");
        if (File.Exists(own))
        {
            yield return Check.Run("rounded", () => Rounded(folder, own));
            yield break;
        }
        if (!Golden.IsIn(origin))
        {
            yield return new Outcome("same", Verdict.Skipped, $"the checkpoint it came from is absent: {variant.GetProperty("same_as").GetString()}");
            yield break;
        }
        using var golden = Golden.Open(origin);
        var written = PretrainedModel.Open(folder);
        foreach (var outcome in CheckpointCases.Run(written, golden, PretrainedModel.Open(origin).Head.Head)) yield return outcome;
        if (written.Head.Head != ModelHead.None) yield break;
        yield return Check.Run("new head", () =>
        {
            using var model = written.Load(out var report, new HeadSettings(ModelHead.SequenceClassification, 3));
            return report.Missing.Any(m => m.StartsWith("classifier", StringComparison.Ordinal)) ? null : $"the new head is not reported missing: {report}";
        }, "loads into a classifier, whose head is reported missing");
    }

    private static IEnumerable<Deviation> Rounded(string folder, string file)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var golden = Checkpoints.SafetensorsFile.Open(file);
        using var model = PretrainedModel.Open(folder).Load() as DecoderModel ?? throw new InvalidDataException("only decoders are known as rounded variants");
        var mask = golden.Read("attention_mask");
        using var inputs = new DecoderInputs(golden.Read("input_ids"), mask);
        yield return Compare.Close(golden.Read("logits"), model.forward(inputs), Compare.Logits, mask);
    }
}
