using System.Text.Json;
using NotebookKit.Optimizers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Twenty steps of an optimiser on given gradients, and clipping by norm.</summary>
internal static class OptimizerCase
{
    public static IEnumerable<Deviation>? Run(JsonElement one, JsonElement shared) => Rule(one.GetProperty("params")) is { } rule ? Steps(one, shared, rule) : null;

    private static IEnumerable<Deviation> Steps(JsonElement one, JsonElement shared, OptimizerSettings rule)
    {
        var (p, expected, inputs) = (one.GetProperty("params"), one.GetProperty("expected"), shared.GetProperty("inputs"));
        var type = Type(p);
        // Some rules take matrices only; the case says which parameters it used.
        var used = one.GetProperty("inputs").TryGetProperty("params_used", out var indices) ? TrainingCases.Numbers(indices).Select(i => (int)i).ToArray() : [.. Enumerable.Range(0, inputs.GetProperty("params").GetArrayLength())];
        Parameter[] parameters = [.. used.Select(i => inputs.GetProperty("params")[i]).Select(w => new Parameter(TrainingCases.Read(w, type)))];
        using var optimizer = new Optimizer(parameters.Select((w, i) => ($"p{i}", w)), rule);
        var allowed = rule is MuonSettings ? 1e-2 : type == ScalarType.Float32 ? 1e-5 : rule is AdafactorSettings or TorchAdafactorSettings ? 1e-8 : 1e-10;
        var (step, norms) = (0, new List<double>());
        foreach (var gradients in inputs.GetProperty("grads").EnumerateArray())
        {
            foreach (var (parameter, gradient) in parameters.Zip(used.Select(i => gradients[i]))) parameter.grad = TrainingCases.Read(gradient, type);
            var norm = optimizer.Step(p.Number("lr", 0));
            norms.AddRange([norm, Math.Min(1, rule.ClipNorm / (norm + 1e-6)) * norm]);
            var wanted = expected.GetProperty("params_per_step")[step++];
            for (var i = 0; i < parameters.Length; i++) yield return TrainingCases.Close(wanted[i], Numbers(parameters[i]), allowed);
        }
        if (expected.TryGetProperty("grad_norm_before_after", out var clipped)) yield return TrainingCases.Close(clipped, norms, allowed);
    }

    /// <summary>Clipping alone: a step of plain descent at rate 1 from zero leaves minus the clipped gradients.</summary>
    public static IEnumerable<Deviation> Clip(JsonElement one)
    {
        var (p, expected) = (one.GetProperty("params"), one.GetProperty("expected"));
        var type = Type(p);
        Tensor[] gradients = [.. one.GetProperty("inputs").GetProperty("grads").EnumerateArray().Select(g => TrainingCases.Read(g, type))];
        Parameter[] parameters = [.. gradients.Select(g => new Parameter(zeros_like(g)))];
        foreach (var (parameter, gradient) in parameters.Zip(gradients)) parameter.grad = gradient;
        using var optimizer = new Optimizer(parameters.Select((w, i) => ($"p{i}", w)), new SgdSettings { Momentum = 0, ClipNorm = p.Number("max_norm"), ClipNormType = p.Number("norm_type") });
        var allowed = type == ScalarType.Float32 ? 1e-5 : 1e-10;
        yield return TrainingCases.Close(expected.GetProperty("total_norm"), [optimizer.Step(1)], allowed);
        foreach (var (parameter, wanted) in parameters.Zip(expected.GetProperty("clipped").EnumerateArray()))
            yield return TrainingCases.Close(wanted, [.. Numbers(parameter).Select(x => -x)], allowed);
    }

    /// <summary>The rule that a name stands for; torch decays every parameter that it is given.</summary>
    private static OptimizerSettings? Rule(JsonElement p)
    {
        var name = p.GetProperty("optimizer").GetString()!;
        double[] betas = p.TryGetProperty("betas", out var b) ? TrainingCases.Numbers(b) : [0, 0];
        double?[] epsilons = p.TryGetProperty("eps", out var e) && e.ValueKind == JsonValueKind.Array ? [.. e.EnumerateArray().Select(x => x.ValueKind == JsonValueKind.Number ? x.GetDouble() : (double?)null)] : [];
        OptimizerSettings? rule = name switch
        {
            _ when name.StartsWith("sgd", StringComparison.Ordinal) => new SgdSettings { Momentum = p.Number("momentum"), Dampening = p.Number("dampening"), IsNesterov = p.Flag("nesterov") },
            _ when name.StartsWith("adamw", StringComparison.Ordinal) || name == "adam" || name.StartsWith("adam_", StringComparison.Ordinal) =>
                new AdamWSettings { Beta1 = betas[0], Beta2 = betas[1], Epsilon = p.Number("eps"), IsAmsGrad = p.Flag("amsgrad"), IsCoupled = !p.Flag("decoupled_weight_decay") },
            _ when name.StartsWith("rmsprop", StringComparison.Ordinal) => new RmsPropSettings { Alpha = p.Number("alpha"), Epsilon = p.Number("eps"), Momentum = p.Number("momentum"), IsCentered = p.Flag("centered") },
            _ when name.StartsWith("adagrad", StringComparison.Ordinal) => new AdagradSettings { RateDecay = p.Number("lr_decay"), Epsilon = p.Number("eps"), InitialSum = p.Number("initial_accumulator_value") },
            _ when name.StartsWith("nadam", StringComparison.Ordinal) && !p.Flag("decoupled_weight_decay") => new NAdamSettings { Beta1 = betas[0], Beta2 = betas[1], Epsilon = p.Number("eps"), MomentumDecay = p.Number("momentum_decay") },
            _ when name.StartsWith("radam", StringComparison.Ordinal) && !p.Flag("decoupled_weight_decay") => new RAdamSettings { Beta1 = betas[0], Beta2 = betas[1], Epsilon = p.Number("eps") },
            _ when name.StartsWith("adamax", StringComparison.Ordinal) => new AdamaxSettings { Beta1 = betas[0], Beta2 = betas[1], Epsilon = p.Number("eps") },
            _ when name.StartsWith("adadelta", StringComparison.Ordinal) => new AdadeltaSettings { Rho = p.Number("rho"), Epsilon = p.Number("eps") },
            _ when name.StartsWith("muon", StringComparison.Ordinal) && TrainingCases.Numbers(p.GetProperty("ns_coefficients")) is [var a, var c1, var c2] =>
                new MuonSettings { Momentum = p.Number("momentum"), IsNesterov = p.Flag("nesterov"), Coefficients = (a, c1, c2), Iterations = p.Int("ns_steps"), Epsilon = p.Number("eps") },
            _ when name.StartsWith("lion", StringComparison.Ordinal) => new LionSettings { Beta1 = betas[0], Beta2 = betas[1] },
            _ when name.StartsWith("adafactor_torch", StringComparison.Ordinal) =>
                new TorchAdafactorSettings { DecayPower = p.Number("beta2_decay"), RootEpsilon = epsilons[0], ScaleEpsilon = epsilons[1]!.Value, ClipThreshold = p.Number("d") },
            _ when name.StartsWith("adafactor_hf", StringComparison.Ordinal) => new AdafactorSettings
            {
                SquareEpsilon = epsilons[0]!.Value, ScaleEpsilon = epsilons[1]!.Value, ClipThreshold = p.Number("clip_threshold"), DecayPower = p.Number("decay_rate"),
                Beta1 = p.GetProperty("beta1").ValueKind == JsonValueKind.Number ? p.Number("beta1") : null, ScalesWithParameter = p.Flag("scale_parameter"), IsRelative = p.Flag("relative_step"), WarmsUp = p.Flag("warmup_init"),
            },
            _ => null,
        };
        return rule is null ? null : rule with { WeightDecay = p.Number("weight_decay", 0), DecaysVectors = true, ClipNorm = p.Number("clip_norm", 0), Maximizes = p.Flag("maximize") };
    }

    private static ScalarType Type(JsonElement p) => p.GetProperty("dtype").GetString() == "float32" ? ScalarType.Float32 : ScalarType.Float64;

    private static double[] Numbers(Tensor value) => value.detach().to(ScalarType.Float64).flatten().contiguous().data<double>().ToArray();
}
