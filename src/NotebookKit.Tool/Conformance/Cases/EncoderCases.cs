using NotebookKit.Optimizers;
using TorchSharp;
using NotebookKit.Models;
using NotebookKit.Training;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Cases of encoders, and of classifiers on decoders: <c>batch</c>, <c>grad</c>, <c>single</c>, <c>hidden</c>, <c>train0…</c> and <c>trained</c>.</summary>
internal sealed class EncoderCases(PretrainedModel folder, Golden golden)
{
    public IEnumerable<Outcome> Run()
    {
        using var model = folder.Load();
        var problem = folder.Config.Text("problem_type", "");
        foreach (var (name, settings) in golden.Cases.ToArray())
        {
            if (name.StartsWith("train", StringComparison.Ordinal) && name != "trained" && int.TryParse(name[5..], out _)) continue;   // inputs of `trained`
            using var scope = NewDisposeScope();
            yield return name switch
            {
                "batch" or "single" => Check.Run(name, () => Batch(model, name, problem)),
                "grad" => Check.Run(name, () => Gradients(model, problem)),
                "hidden" when model is EncoderModel encoder => Check.Run(name, () => Hidden(encoder)),
                "trained" => Check.Run(name, () => Trained(settings, problem)),
                _ => new Outcome(name, Verdict.Skipped, "no such case is known for this architecture"),
            };
        }
    }

    private Tensor Forward(LanguageModel model, string name)
    {
        var (ids, mask, segments) = (golden.Read($"{name}/input_ids"), golden.ReadIf($"{name}/attention_mask"), golden.ReadIf($"{name}/token_type_ids"));
        return model switch
        {
            EncoderModel encoder => encoder.forward(new EncoderInputs(ids, mask, segments)),
            DecoderModel decoder => decoder.forward(new DecoderInputs(ids, mask)),
            _ => throw new InvalidOperationException("An encoder-decoder has cases of its own."),
        };
    }

    private IEnumerable<Deviation> Batch(LanguageModel model, string name, string problem)
    {
        using var noGradient = no_grad();
        var logits = Forward(model, name);
        yield return Compare.Close(golden.Read($"{name}/logits"), logits, Compare.Logits, logits.dim() == 3 ? golden.ReadIf($"{name}/attention_mask") : null);
        if (golden.Has($"{name}/loss")) yield return Compare.Close(golden.Read($"{name}/loss"), ModelLoss.Of(model.Head, logits, golden.Read($"{name}/labels"), problem), Compare.Loss);
        // A row alone equals its row in the batch.
        if (name == "single" && golden.Has("batch/logits"))
        {
            var row = golden.Read("batch/logits")[1].unsqueeze(0);
            yield return Compare.Close(row.dim() == 3 ? row.narrow(1, 0, logits.size(1)) : row, logits, Compare.Logits);
        }
    }

    private IEnumerable<Deviation> Gradients(LanguageModel model, string problem)
    {
        return Gradients(model, golden, () => ModelLoss.Of(model.Head, Forward(model, "batch"), golden.Read("batch/labels"), problem));
    }

    /// <summary>Every gradient the reference gives; a table that is not trained has none, which counts as 0.</summary>
    public static IEnumerable<Deviation> Gradients(LanguageModel model, Golden golden, Func<Tensor> loss)
    {
        loss().backward();
        var named = model.Parameters().ToDictionary(p => p.Name, p => p.Parameter);
        var missing = golden.TensorNames.Where(n => n.StartsWith("grad/", StringComparison.Ordinal) && !named.ContainsKey(n[5..])).ToArray();
        if (missing.Length > 0) throw new InvalidDataException($"the model has no parameter {missing[0][5..]}");
        var largest = golden.TensorNames.Where(n => n.StartsWith("grad/", StringComparison.Ordinal)).Max(n => golden.Read(n).abs().max().ToDouble());
        foreach (var (name, parameter) in named)
        {
            if (!golden.Has("grad/" + name)) continue;
            using var gradient = parameter.grad ?? zeros_like(parameter);
            yield return Compare.Relative(golden.Read("grad/" + name), gradient, Compare.Gradient, largest) with { Where = name };
            parameter.grad = null;
        }
    }

    private IEnumerable<Deviation> Hidden(EncoderModel model)
    {
        using var noGradient = no_grad();
        var mask = golden.Read("hidden/attention_mask");
        var inputs = new EncoderInputs(golden.Read("hidden/input_ids"), mask, golden.ReadIf("hidden/token_type_ids"));
        var hidden = model.Encode(inputs);
        yield return Compare.Close(golden.Read("hidden/last_hidden_state"), hidden, Compare.Logits, mask);
        if (golden.Has("hidden/mean_pooled")) yield return Compare.Close(golden.Read("hidden/mean_pooled"), EncoderModel.Mean(hidden, inputs.Mask), Compare.Logits);
        if (golden.Has("hidden/normalised")) yield return Compare.Close(golden.Read("hidden/normalised"), model.Embed(inputs), Compare.Logits);
    }

    private IEnumerable<Deviation> Trained(System.Text.Json.JsonElement settings, string problem)
    {
        using var model = folder.Load();
        using var optimizer = new Optimizer(model.named_parameters(), new AdamWSettings { WeightDecay = 0.01, ClipNorm = 1 });
        var (losses, norms, rates) = (settings.GetProperty("losses"), settings.GetProperty("grad_norms"), settings.GetProperty("lrs"));
        for (var step = 0; step < losses.GetArrayLength(); step++)
        {
            using var scope = NewDisposeScope();
            var loss = ModelLoss.Of(model.Head, Forward(model, $"train{step}"), golden.Read($"train{step}/labels"), problem);
            yield return new Deviation(Math.Abs(loss.ToDouble() - losses[step].GetDouble()), Compare.TrainedLoss);
            loss.backward();
            var norm = optimizer.Step(rates[step].GetDouble());
            yield return new Deviation(Math.Abs(norm - norms[step].GetDouble()) / norms[step].GetDouble(), Compare.TrainedLogits);
        }
        using var noGradient = no_grad();
        var logits = Forward(model, "trained");
        yield return Compare.Close(golden.Read("trained/logits"), logits, Compare.TrainedLogits, logits.dim() == 3 ? golden.ReadIf("trained/attention_mask") : null);
    }
}
