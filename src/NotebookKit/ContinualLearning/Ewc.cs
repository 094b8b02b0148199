using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Statistics;
using NotebookKit.Training;
using NotebookKit.Training.Runs;
using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.ContinualLearning;

/// <summary>
/// Elastic weight consolidation (Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796): λ/2 Σ F (w − w₀)², where F is the diagonal of the Fisher information on old examples, measured at w₀: weights that
/// old answers depend on are held, others are free. Every task's F is divided by its mean (as Schwarz et al. 2018, https://arxiv.org/abs/1805.06370, normalise it), and terms of several tasks are averaged: so λ
/// means the same whatever the model, however sure of its answers it was, and however many tasks there are; on average a weight is held as <see cref="L2Sp"/> of that strength holds it.
/// </summary>
public sealed class Ewc : Retention
{
    private readonly List<(WeightSnapshot Start, WeightSnapshot Information)> _tasks = [];
    private readonly double _strength;

    /// <summary>Holds nothing yet.</summary>
    /// <param name="strength">λ, above 0. Default 1 (chosen on two draws of intents in two and in five instalments).</param>
    public Ewc(double strength = 1) => _strength = strength > 0 ? strength : throw new ArgumentOutOfRangeException(nameof(strength), strength, "The strength is above 0.");

    /// <summary>Holds what a task's answers depend on, from now on and beside the tasks held already.</summary>
    /// <param name="classifier">As it was left by the task.</param>
    /// <param name="old">Examples of the task.</param>
    /// <param name="examples">How many are measured, drawn at random, at least 1. Default 200.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <remarks>Classes are drawn from the model's own answers, which is the Fisher information; with the data's classes it would be another matrix (Kunstner et al. 2019, https://arxiv.org/abs/1905.12558).</remarks>
    public void Hold(TextClassifier classifier, TextDataset old, int examples = 200, int seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(examples, 1);
        var (model, random) = (classifier.Model, new Random(seed));
        var weights = model.named_parameters().Where(p => p.parameter.requires_grad).ToArray();
        var rows = classifier.Tokenizer.EncodeAll(old.Texts, classifier.MaximumLength);
        var order = Enumerable.Range(0, rows.Length).ToArray();
        random.Shuffle(order);
        var drawn = order.Take(examples).ToArray();
        using var outer = NewDisposeScope();
        var sums = weights.Select(w => zeros_like(w.parameter).detach()).ToArray();
        model.eval();
        foreach (var (_, parameter) in weights) parameter.grad = null;
        foreach (var row in drawn)
        {
            using var scope = NewDisposeScope();
            using var inputs = new EncoderInputs(Batch.Pad([rows[row]], classifier.Tokenizer.PadId), model.DataType);
            var logs = model.forward(inputs).to(ScalarType.Float32).log_softmax(1);            // (1, C)
            logs[0, Categorical.Draw(logs.exp().detach().data<float>().ToArray(), random)].backward();
            using var noGradient = no_grad();
            for (var i = 0; i < weights.Length; i++)
            {
                if (weights[i].parameter.grad is not { } gradient) continue;
                sums[i].addcmul_(gradient, gradient, 1.0 / drawn.Length);
                weights[i].parameter.grad = null;
            }
        }
        Normalise(sums);
        _tasks.Add((new WeightSnapshot(weights.Select(w => (w.name, (Tensor)w.parameter))), new WeightSnapshot(weights.Select((w, i) => (w.name, sums[i])))));
    }

    /// <summary>Divides by the mean of all, so that every task is held alike, however sure the model was of its answers.</summary>
    private static void Normalise(Tensor[] information)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var mean = information.Sum(i => i.sum().item<float>()) / information.Sum(i => i.numel());
        if (mean > 0)
            foreach (var one in information) one.div_(mean);
    }

    internal override void Begin(TextClassifier classifier, TextDataset train)
    {
        if (_tasks.Count == 0) throw new InvalidOperationException("This Ewc holds nothing: call Hold with the old task's examples first.");
    }

    internal override void AddGradients(LanguageModel model)
    {
        using var noGradient = no_grad();
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (!parameter.requires_grad || parameter.grad is not { } gradient) continue;
            foreach (var (start, information) in _tasks)
            {
                if (!start.Has(name)) continue;
                using var scope = NewDisposeScope();
                var (old, rows) = (start[name], start[name].size(0));          // a head that has got more classes since: the old ones' rows
                var (now, target) = rows == parameter.size(0) ? ((Tensor)parameter, gradient) : (parameter.narrow(0, 0, rows), gradient.narrow(0, 0, rows));
                target.add_(((now - old) * information[name]).to(gradient.dtype), alpha: _strength / _tasks.Count);
            }
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var (start, information) in _tasks)
        {
            start.Dispose();
            information.Dispose();
        }
        _tasks.Clear();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"EWC {_strength:g}");
}
