using System.Globalization;
using NotebookKit.Display;
using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>What merging or unmerging an adapter did to a model's answers.</summary>
/// <param name="LargestChange">Largest change of a logit (of a hidden number where the model has no head).</param>
/// <param name="LargestLogit">Largest logit by size, to read it against.</param>
/// <param name="Layers">Layers whose weights changed.</param>
/// <param name="Untied">Whether the output matrix, which was one with the input table, has weights of its own now.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record MergeCertificate(double LargestChange, double LargestLogit, int Layers, bool Untied) : IShown
{
    /// <inheritdoc/>
    public string ToText() => string.Create(CultureInfo.InvariantCulture,
        $"{Layers} layers; logits changed by at most {LargestChange:0.0e+0}, where the largest is {LargestLogit:0.00}{(Untied ? "; the output matrix has been separated from the input table" : "")}");

    /// <inheritdoc/>
    public string ToHtml() => $"<p>{System.Net.WebUtility.HtmlEncode(ToText())}</p>";
}

/// <summary>Makes an adapter's change part of the weights, and takes it out again.</summary>
internal sealed class Merging(Adapter adapter) : IDisposable
{
    private readonly Dictionary<string, Tensor> _before = [];

    public bool IsDone { get; private set; }

    public MergeCertificate Merge(IReadOnlyList<IReadOnlyList<int>>? probe, Action leave, Action take)
    {
        if (!adapter.IsActive) throw new InvalidOperationException(IsDone ? "The adapter is merged already." : "The adapter takes no part at the moment: Activate it first.");
        if (adapter.Settings is PromptSettings or PrefixSettings or BottleneckSettings) throw new InvalidOperationException($"A {adapter.Settings.Method} adapter cannot be merged: no weight of the model computes what it does.");
        var model = adapter.Model;
        if (adapter.Parts.FirstOrDefault(p => p.Layer.Int8 is not null) is { } held) throw new InvalidOperationException($"'{held.Path}' is held in int8, which is too coarse to take a change in: load the base in fp32 again, and the adapter on it, to merge.");
        var sequences = probe ?? Drawn(model);
        var expected = Answers(model, sequences);
        var tied = adapter.Parts.Where(p => p.Layer.Kind == LayerKind.Table && model.Aliases.Any(a => (p.Path + ".").Contains(a.Here, StringComparison.Ordinal))).ToArray();
        var untied = tied.Length > 0;
        if (untied) model.Untie();
        using (no_grad())
        {
            var (own, changed) = (adapter.Own, new List<(string Name, Tensor Values)>());
            var names = own.ToDictionary(p => p.Value.Handle, p => p.Key);
            using var scope = NewDisposeScope();
            foreach (var part in adapter.Parts)
            {
                var (weight, bias) = part.Merged(part.Layer.Weight.to(ScalarType.Float32), part.Layer.Bias?.to(ScalarType.Float32))!.Value;
                changed.Add((names[part.Layer.Weight.Handle], weight));
                if (bias is not null) changed.Add((names[part.Layer.Bias!.Handle], bias));
            }
            foreach (var (name, values) in changed)
            {
                _before[name] = own[name].detach().clone().DetachFromDisposeScope();
                own[name].copy_(values);
            }
        }
        leave();
        IsDone = true;
        var certificate = Certificate(expected, Answers(model, sequences), untied);
        var allowed = (model.DataType == ScalarType.Float32 ? 1e-3 : 5e-2) * Math.Max(1, certificate.LargestLogit);
        if (certificate.LargestChange <= allowed) return certificate;
        Restore(take);
        throw new InvalidOperationException($"Merging would change logits by {certificate.LargestChange:0.0e+0}, more than rounding explains ({allowed:0.0e+0}). The weights are as they were.");
    }

    public MergeCertificate Unmerge(IReadOnlyList<IReadOnlyList<int>>? probe, Action take)
    {
        if (!IsDone) throw new InvalidOperationException("The adapter is not merged.");
        var sequences = probe ?? Drawn(adapter.Model);
        var expected = Answers(adapter.Model, sequences);
        Restore(take);
        return Certificate(expected, Answers(adapter.Model, sequences), untied: false);
    }

    public void Dispose()
    {
        foreach (var tensor in _before.Values) tensor.Dispose();
        _before.Clear();
    }

    private void Restore(Action take)
    {
        using (no_grad())
        {
            var own = adapter.Own;
            foreach (var (name, values) in _before) own[name].copy_(values);
        }
        Dispose();
        IsDone = false;
        take();
    }

    private MergeCertificate Certificate(float[] expected, float[] got, bool untied) =>
        new(expected.Zip(got).Max(p => Math.Abs((double)p.First - p.Second)), expected.Max(Math.Abs), adapter.Parts.Count, untied);

    private static int[][] Drawn(LanguageModel model)
    {
        var (random, vocabulary) = (new Random(0), model.Config.Int("vocab_size", 100));
        return [.. Enumerable.Range(0, 4).Select(_ => Enumerable.Range(0, 16).Select(_ => random.Next(vocabulary)).ToArray())];
    }

    private static float[] Answers(LanguageModel model, IReadOnlyList<IReadOnlyList<int>> sequences)
    {
        if (sequences.Count == 0 || sequences.Any(s => s.Count == 0)) throw new ArgumentException("A probe needs at least one sequence, and none of them empty.", nameof(sequences));
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var wasTraining = model.training;
        model.eval();
        try
        {
            var answers = new List<float>();
            foreach (var sequence in sequences)
            {
                var ids = tensor([.. sequence.Select(i => (long)i)], [1, sequence.Count]);
                var logits = model switch
                {
                    EncoderModel encoder => encoder.forward(new EncoderInputs(ids, attentionType: model.DataType)),
                    DecoderModel decoder => decoder.forward(new DecoderInputs(ids, attentionType: model.DataType)),
                    EncoderDecoderModel pair => pair.forward(new EncoderInputs(ids, attentionType: model.DataType), pair.ShiftRight(ids)),
                    _ => throw new NotSupportedException($"A {model.GetType().Name} cannot be probed."),
                };
                answers.AddRange(logits.to(ScalarType.Float32).contiguous().data<float>().ToArray());
            }
            return [.. answers];
        }
        finally { model.train(wasTraining); }
    }
}
