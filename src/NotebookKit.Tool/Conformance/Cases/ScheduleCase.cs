using System.Text.Json;
using NotebookKit.Schedules;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>One learning-rate schedule: the rate of every step.</summary>
internal static class ScheduleCase
{
    public static IEnumerable<Deviation>? Run(JsonElement one)
    {
        var (p, expected) = (one.GetProperty("params"), one.GetProperty("expected"));
        if (p.GetProperty("schedule").GetString() == "reduce_on_plateau") return Plateau(one, p, expected);
        if (Make(p) is not { } made) return null;
        var (schedule, rate) = made;
        if (expected.TryGetProperty("raises", out _)) return Refuses(schedule);
        return Deviations(schedule, rate, expected);
    }

    private static IEnumerable<Deviation> Deviations(Schedule schedule, double rate, JsonElement expected)
    {
        var steps = expected.GetProperty("lr").GetArrayLength();
        yield return TrainingCases.Close(expected.GetProperty("lr"), [.. Enumerable.Range(0, steps).Select(t => rate * schedule.FactorAt(t))], 1e-10);
        if (expected.TryGetProperty("momentum", out var momentum)) yield return TrainingCases.Close(momentum, [.. Enumerable.Range(0, steps).Select(t => schedule.MomentumAt(t) ?? double.NaN)], 1e-10);
    }

    private static IEnumerable<Deviation> Refuses(Schedule schedule)
    {
        var refused = false;
        try { _ = Enumerable.Range(0, 100).Sum(schedule.FactorAt); }
        catch (InvalidOperationException) { refused = true; }
        yield return new Deviation(refused ? 0 : double.PositiveInfinity, 0);
    }

    private static IEnumerable<Deviation> Plateau(JsonElement one, JsonElement p, JsonElement expected)
    {
        var rate = new PlateauRate(p.Number("base_lr"), new PlateauSettings
        {
            SmallerIsBetter = p.GetProperty("mode").GetString() == "min", Factor = p.Number("factor"), Patience = p.Int("patience"), Threshold = p.Number("threshold"),
            IsRelative = p.GetProperty("threshold_mode").GetString() == "rel", Cooldown = p.Int("cooldown"), LowestRate = p.Number("min_lr"), SmallestChange = p.Number("eps"),
        });
        yield return TrainingCases.Close(expected.GetProperty("lr"), [rate.Rate, .. TrainingCases.Numbers(one.GetProperty("inputs").GetProperty("metrics")).Select(rate.Report)], 1e-10);
    }

    /// <summary>The schedule that a name and its parameters stand for; a suffix of the name tells settings apart.</summary>
    private static (Schedule, double Rate)? Make(JsonElement p)
    {
        var name = p.GetProperty("schedule").GetString()!;
        int Warmup() => p.Int("num_warmup_steps");
        int Total() => p.Int("num_training_steps");
        double First(string field, double rate) => p.Number(field, 0) / rate;
        if (name.StartsWith("torch_", StringComparison.Ordinal))
        {
            var rate = p.Number("initial_lr");
            Schedule? torch = name["torch_".Length..] switch
            {
                "exponential" => new ExponentialSchedule(p.Number("gamma")),
                "step" => new StepSchedule(p.Int("step_size"), p.Number("gamma")),
                "multistep" => new MultiStepSchedule([.. TrainingCases.Numbers(p.GetProperty("milestones")).Select(m => (int)m)], p.Number("gamma")),
                "cosine_annealing" => new CosineWaveSchedule(p.Int("T_max"), First("eta_min", rate)),
                "cosine_warm_restarts" => new WarmRestartsSchedule(p.Int("T_0"), p.Int("T_mult"), First("eta_min", rate)),
                "linear" => new RampSchedule(p.Number("start_factor"), p.Number("end_factor"), p.Int("total_iters")),
                "constant" => new HeldSchedule(p.Number("factor"), p.Int("total_iters")),
                "polynomial" => new PolynomialSchedule(0, p.Int("total_iters"), 0, p.Number("power")),
                _ when name.StartsWith("torch_cyclic", StringComparison.Ordinal) => null,
                _ => null,
            };
            if (torch is not null) return (torch, rate);
            if (!name.StartsWith("torch_cyclic", StringComparison.Ordinal)) return null;
            var mode = p.TryGetProperty("mode", out var m) ? m.GetString() : "triangular";
            return (new CyclicSchedule(p.Number("base_lr") / p.Number("max_lr"), p.Int("step_size_up"), p.TryGetProperty("step_size_down", out var down) && down.ValueKind == JsonValueKind.Number ? down.GetInt32() : null)
            {
                HeightPerCycle = mode == "triangular2" ? 0.5 : 1, HeightPerStep = mode == "exp_range" ? p.Number("gamma", 1) : 1,
            }, p.Number("max_lr"));
        }
        switch (name)
        {
            case "onecycle":
                return (new OneCycleSchedule(p.Int("total_steps"), p.Number("pct_start"), p.Number("div_factor"), p.Number("final_div_factor"))
                {
                    Cosine = p.GetProperty("anneal_strategy").GetString() == "cos", ThreePhases = p.Flag("three_phase"), LowMomentum = p.Number("base_momentum"), HighMomentum = p.Number("max_momentum"),
                }, p.Number("max_lr"));
            case "fastai_onecycle":
                var momenta = TrainingCases.Numbers(p.GetProperty("moms"));
                return (new FastaiOneCycleSchedule(p.Int("steps"), p.Number("pct_start"), p.Number("div"), p.Number("div_final")) { Momenta = (momenta[0], momenta[1], momenta[2]) }, p.Number("lr_max"));
            case "slanted_triangular": return (new SlantedTriangularSchedule(p.Int("T"), p.Number("cut_frac"), p.Number("ratio")), p.Number("max_lr"));
        }
        var rate2 = p.Number("base_lr", 1);
        Schedule? schedule = name switch
        {
            "constant" => new ConstantSchedule(),
            "constant_with_warmup" => new ConstantSchedule(Warmup()),
            _ when name.StartsWith("linear", StringComparison.Ordinal) => new LinearSchedule(Warmup(), Total()),
            _ when name.StartsWith("cosine_restarts", StringComparison.Ordinal) => new CosineRestartsSchedule(Warmup(), Total(), (int)p.Number("num_cycles", 1)),
            _ when name.StartsWith("cosine_warmup_with_min_lr", StringComparison.Ordinal) =>
                new CosineSchedule(Warmup(), Total(), p.Number("num_cycles", 0.5), p.Number("min_lr_rate", 0)) { WarmupFrom = p.Number("warmup_lr_rate") },
            _ when name.StartsWith("cosine", StringComparison.Ordinal) => new CosineSchedule(Warmup(), Total(), p.Number("num_cycles", 0.5), p.Number("min_lr_rate", 0)),
            _ when name.StartsWith("polynomial", StringComparison.Ordinal) => new PolynomialSchedule(Warmup(), Total(), p.Number("lr_end", 1e-7) / rate2, p.Number("power", 1)),
            _ when name.StartsWith("inverse_sqrt", StringComparison.Ordinal) => new InverseSquareRootSchedule(Warmup(), p.Number("timescale", 0) is > 0 and var scale ? (int)scale : null),
            _ when name.StartsWith("wsd", StringComparison.Ordinal) => Stable(p),
            _ => null,
        };
        return schedule is null ? null : (schedule, rate2);
    }

    private static WarmupStableDecaySchedule Stable(JsonElement p)
    {
        static RampShape Shape(JsonElement p, string field, RampShape fallback) => !p.TryGetProperty(field, out var value) ? fallback
            : value.GetString() switch { "linear" => RampShape.Linear, "cosine" => RampShape.Cosine, "1-sqrt" => RampShape.OneMinusSquareRoot, var other => throw new InvalidDataException($"{field} '{other}' is unknown.") };
        var (warmup, decay) = (p.Int("num_warmup_steps"), p.Int("num_decay_steps"));
        var stable = p.TryGetProperty("num_stable_steps", out var given) && given.ValueKind == JsonValueKind.Number ? given.GetInt32() : p.Int("num_training_steps") - warmup - decay;
        return new WarmupStableDecaySchedule(warmup, stable, decay, p.Number("min_lr_ratio", 0))
        {
            Up = Shape(p, "warmup_type", RampShape.Linear), Down = Shape(p, "decay_type", RampShape.Cosine), Cycles = p.Number("num_cycles", 0.5),
        };
    }
}
