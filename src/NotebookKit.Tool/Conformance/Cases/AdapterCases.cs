using NotebookKit.Adapters;
using NotebookKit.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Cases of an adapter folder: a fresh adapter of its settings, its outputs, loss and gradients, its merged weights, and what is read back after saving.</summary>
internal sealed class AdapterCases : IDisposable
{
    private readonly string _folder;
    private readonly Golden _golden;
    private readonly PretrainedModel _base;

    private AdapterCases(string folder)
    {
        (_folder, _golden) = (folder, Golden.Open(folder));
        var name = _golden.Root.GetProperty("base").GetString()!;
        var adapters = Path.GetDirectoryName(Path.GetFullPath(folder))!;
        var tried = new[] { Path.Combine(adapters, "..", "checkpoints", "tiny", name), Path.Combine(adapters, name), Path.Combine(adapters, "..", name) };
        _base = PretrainedModel.Open(Array.Find(tried, Directory.Exists) ?? throw new DirectoryNotFoundException($"The base '{name}' is not in '{Path.GetFullPath(tried[0])}'."));
    }

    public static bool AreIn(string folder) => File.Exists(Path.Combine(folder, "adapter_config.json")) && Golden.IsIn(folder);

    public static IEnumerable<Outcome> Run(string folder)
    {
        using var cases = new AdapterCases(folder);
        yield return Check.Run("untrained", cases.Untrained);
        yield return Check.Run("names", cases.Names, "the same parameters are trained");
        yield return Check.Run("logits", cases.Logits);
        yield return Check.Run("grad", cases.Gradients);
        if (cases._golden.Has("logits_merged")) yield return Check.Run("merged", cases.Merged);
        yield return Check.Run("saved", cases.Saved);
    }

    public void Dispose() => _golden.Dispose();

    private Tensor Input(string name) => _golden.Read("input/" + name);

    private Tensor Forward(LanguageModel model)
    {
        var (ids, mask) = (Input("input_ids"), _golden.ReadIf("input/attention_mask"));
        return model switch
        {
            EncoderModel encoder => encoder.forward(new EncoderInputs(ids, mask, _golden.ReadIf("input/token_type_ids"))),
            DecoderModel decoder => decoder.forward(new DecoderInputs(ids, mask)),
            EncoderDecoderModel pair => pair.forward(new EncoderInputs(ids, mask), _golden.ReadIf("input/decoder_input_ids") ?? pair.ShiftRight(Input("labels"))),
            _ => throw new NotSupportedException(model.GetType().Name),
        };
    }

    private Tensor Loss(LanguageModel model, Tensor logits)
    {
        var labels = Input("labels");
        if (logits.dim() == 3 && logits.size(1) > labels.size(1)) labels = cat([full(labels.size(0), logits.size(1) - labels.size(1), -100, dtype: ScalarType.Int64), labels], 1);     // the prompt's places
        return ModelLoss.Of(model.Head, logits, labels, _base.Config.Text("problem_type", ""));
    }

    /// <summary>Padded places of a decoder count for nothing; a prompt's places are all real.</summary>
    private Tensor? Mask(Tensor logits)
    {
        if (logits.dim() < 3 || _golden.ReadIf("input/attention_mask") is not { } mask || _golden.Has("input/decoder_input_ids")) return null;
        if (mask.size(1) < logits.size(1)) mask = cat([ones(mask.size(0), logits.size(1) - mask.size(1), dtype: mask.dtype), mask], 1);
        return mask.size(1) == logits.size(1) ? mask : null;
    }

    private Deviation Close(string name, Tensor got) => Compare.Close(_golden.Read(name), got, Compare.Logits, Mask(got)) with { Where = name };

    private IEnumerable<Deviation> Untrained()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var model = _base.Load();
        AdapterSettings settings;
        using (var trained = Adapter.Load(model, _folder)) settings = trained.Settings;
        using var fresh = Adapter.Add(model, settings);
        if (settings is PromptSettings or PrefixSettings)
        {
            // Vectors are drawn, and the reference's draw is its own: the shape is what can be compared.
            yield return new Deviation(Forward(model).shape.SequenceEqual(_golden.Read("logits_untrained").shape) ? 0 : 1, 0, "shape");
            yield break;
        }
        yield return Close("logits_untrained", Forward(model));
    }

    private string? Names()
    {
        using var model = _base.Load();
        using var adapter = Adapter.Load(model, _folder);
        if (_golden.Root.TryGetProperty("trainable", out var count) && count.GetInt64() != adapter.Trainable) return $"{adapter.Trainable} numbers are trained instead of {count.GetInt64()}";
        if (!_golden.Root.TryGetProperty("trainable_names", out var names)) return null;
        var expected = names.EnumerateArray().Select(n => Plain(n.GetString()!)).ToHashSet(StringComparer.Ordinal);
        var got = adapter.Parameters().Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        if (model.named_parameters().Count(p => p.parameter.requires_grad) is var asking && asking != got.Count) return $"{asking} parameters ask for gradients instead of {got.Count}";
        return expected.SetEquals(got) ? null : $"not trained: {string.Join(", ", expected.Except(got).Take(3))}; trained instead: {string.Join(", ", got.Except(expected).Take(3))}";
    }

    private IEnumerable<Deviation> Logits()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var model = _base.Load();
        var before = Forward(model);
        using var adapter = Adapter.Load(model, _folder);
        var logits = Forward(model);
        yield return Close("logits", logits);
        if (_golden.Has("loss")) yield return Compare.Close(_golden.Read("loss"), Loss(model, logits), Compare.Loss) with { Where = "loss" };
        adapter.Deactivate();
        yield return Compare.Close(before, Forward(model), 0) with { Where = "the model alone again" };
        adapter.Activate();
        yield return Compare.Close(logits, Forward(model), 0) with { Where = "the adapter once more" };
    }

    private IEnumerable<Deviation> Gradients()
    {
        using var scope = NewDisposeScope();
        using var model = _base.Load();
        using var adapter = Adapter.Load(model, _folder);
        Loss(model, Forward(model)).backward();
        var named = adapter.Parameters().ToDictionary(p => p.Name, p => p.Parameter);
        var expected = _golden.TensorNames.Where(n => n.StartsWith("grad/", StringComparison.Ordinal)).ToArray();
        var largest = expected.Max(n => _golden.Read(n).abs().max().ToDouble());
        foreach (var name in expected)
        {
            if (!named.TryGetValue(Plain(name["grad/".Length..]), out var parameter)) throw new InvalidDataException($"nothing is named {Plain(name["grad/".Length..])}");
            yield return Compare.Relative(_golden.Read(name), parameter.grad ?? zeros_like(parameter), Compare.Gradient, largest) with { Where = name };
        }
    }

    private IEnumerable<Deviation> Merged()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        using var model = _base.Load();
        using var adapter = Adapter.Load(model, _folder);
        var before = model.Parameters().ToDictionary(p => p.Name, p => p.Parameter.clone());
        var certificate = adapter.Merge();
        // Where the reference merges into a table that is the output matrix, too, its answer changes: ours must stay what it was.
        yield return Close(certificate.Untied ? "logits" : "logits_merged", Forward(model));
        if (!certificate.Untied)
            foreach (var name in _golden.TensorNames.Where(n => n.StartsWith("merged/", StringComparison.Ordinal)))
            {
                var found = model.Parameters().FirstOrDefault(p => model.FileKey(p.Name) == name["merged/".Length..] || p.Name == name["merged/".Length..]).Parameter;
                if (found is not null) yield return Compare.Close(_golden.Read(name), found, Compare.Logits) with { Where = name };
                else if (model.TiedTo(name["merged/".Length..]).Any()) continue;
                else throw new InvalidDataException($"the model has no parameter {name["merged/".Length..]}");
            }
        adapter.Unmerge();
        yield return Close("logits", Forward(model));
        foreach (var (name, parameter) in model.Parameters())
            if (before.TryGetValue(name, out var value)) yield return Compare.Close(value, parameter, 0) with { Where = "after Unmerge: " + name };
    }

    private IEnumerable<Deviation> Saved()
    {
        var folder = Directory.CreateTempSubdirectory("nbkit-conform-").FullName;
        try
        {
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            using (var model = _base.Load())
            using (var adapter = Adapter.Load(model, _folder)) adapter.Save(folder);
            using var again = _base.Load();
            using var loaded = Adapter.Load(again, folder);
            yield return Close("logits", Forward(again));
            using var ours = Checkpoints.SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
            using var theirs = Checkpoints.SafetensorsFile.Open(Path.Combine(_folder, "adapter_model.safetensors"));
            // The reference also keeps the base's own table beside an adapter on it; it is the base's.
            var keys = theirs.Tensors.Keys.Where(k => !k.EndsWith("base_layer.weight", StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
            if (!keys.SetEquals(ours.Tensors.Keys)) throw new InvalidDataException($"keys differ: {string.Join(", ", keys.Except(ours.Tensors.Keys).Take(2))} against {string.Join(", ", ours.Tensors.Keys.Except(keys).Take(2))}");
            foreach (var key in keys) yield return Compare.Close(theirs.Read(key), ours.Read(key), 0) with { Where = key };
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    private static string Plain(string name) => name == "prompt_encoder.default.embedding.weight" ? "prompt_embeddings" : Adapter.PlainName(name);
}
