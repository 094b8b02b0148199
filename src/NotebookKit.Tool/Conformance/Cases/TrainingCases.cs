using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Lists of cases with inputs, params and expected: losses with gradients, learning-rate schedules, and trajectories of optimisers (README-metrics of the reference data).</summary>
internal static class TrainingCases
{
    /// <summary>Whether a JSON file is such a list.</summary>
    public static bool IsOne(JsonElement root) => root.ValueKind == JsonValueKind.Array && root.GetArrayLength() > 0 && root.EnumerateArray().All(c => c.ValueKind == JsonValueKind.Object && c.TryGetProperty("expected", out _)
        && c.TryGetProperty("params", out var p) && p.ValueKind == JsonValueKind.Object && (p.TryGetProperty("loss", out _) || p.TryGetProperty("schedule", out _) || p.TryGetProperty("optimizer", out _)
            || (p.TryGetProperty("kind", out var kind) && kind.ValueKind == JsonValueKind.String && kind.GetString() is "inputs" or "clip")));

    public static IEnumerable<Outcome> Run(JsonElement root)
    {
        var shared = root.EnumerateArray().FirstOrDefault(c => c.GetProperty("params").TryGetProperty("kind", out var kind) && kind.GetString() == "inputs");
        foreach (var one in root.EnumerateArray())
        {
            var (name, p) = (one.GetProperty("name").GetString()!, one.GetProperty("params"));
            if (p.TryGetProperty("schedule", out _)) yield return Case(name, () => ScheduleCase.Run(one));
            else if (p.TryGetProperty("loss", out _)) yield return Case(name, () => LossCase.Run(one));
            else if (p.TryGetProperty("optimizer", out _)) yield return Case(name, () => OptimizerCase.Run(one, shared));
            else if (p.GetProperty("kind").GetString() == "clip") yield return Case(name, () => OptimizerCase.Clip(one));
        }
    }

    /// <summary>A case of a kind that is unknown is skipped; one that the reference refuses must be refused here, or answered with numbers that the reference could not give.</summary>
    private static Outcome Case(string name, Func<IEnumerable<Deviation>?> body)
    {
        IEnumerable<Deviation>? deviations = null;
        try { deviations = body(); }
        catch (Exception e) when (e is not OutOfMemoryException) { return Check.Failed(name, e); }
        return deviations is null ? new Outcome(name, Verdict.Skipped, "its kind is unknown") : Check.Run(name, () => deviations);
    }

    /// <summary>Distance of two lists of numbers, relative where more than 1 is expected.</summary>
    internal static Deviation Close(JsonElement expected, IReadOnlyList<double> got, double allowed)
    {
        var wanted = Numbers(expected);
        if (wanted.Length != got.Count) return new Deviation(double.PositiveInfinity, allowed);
        var worst = 0.0;
        for (var i = 0; i < wanted.Length; i++)
        {
            if (double.IsNaN(wanted[i]) && double.IsNaN(got[i])) continue;
            var difference = Math.Abs(wanted[i] - got[i]);
            if (Math.Abs(wanted[i]) > 1) difference /= Math.Abs(wanted[i]);
            worst = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(worst, difference);
        }
        return new Deviation(worst, allowed);
    }

    /// <summary>All numbers of a value, row by row.</summary>
    internal static double[] Numbers(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => [.. value.EnumerateArray().SelectMany(Numbers)],
        JsonValueKind.String => [double.Parse(value.GetString()!, System.Globalization.CultureInfo.InvariantCulture)],
        _ => [value.GetDouble()],
    };

    internal static Tensor Read(JsonElement value, ScalarType type = ScalarType.Float64)
    {
        var shape = new List<long>();
        for (var inner = value; inner.ValueKind == JsonValueKind.Array; inner = inner[0]) shape.Add(inner.GetArrayLength());
        return tensor(Numbers(value), [.. shape], ScalarType.Float64).to(type);
    }

    internal static double Number(this JsonElement parameters, string name, double fallback = double.NaN) =>
        parameters.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? Numbers(value)[0] : double.IsNaN(fallback) ? throw new InvalidDataException($"The case has no '{name}'.") : fallback;

    internal static int Int(this JsonElement parameters, string name) => (int)parameters.Number(name);

    internal static bool Flag(this JsonElement parameters, string name) => parameters.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
}
