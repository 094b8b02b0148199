using NotebookKit.Data;
using NotebookKit.Models.Adapting;
using NotebookKit.Models.Layers;
using NotebookKit.Pipelines;
using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>The checks of one run.</summary>
internal sealed class RunChecks(TrainingChecks settings, TextClassifier classifier, TextDataset train)
{
    private readonly int[] _labels = train.LabelIds();
    private long? _tensors;

    /// <summary>Rows against texts, labels against labels.</summary>
    /// <param name="window">Examples of the batch.</param>
    /// <param name="parts">The batch.</param>
    public void Labels(int[] window, IReadOnlyList<Batch> parts)
    {
        if (!settings.Labels) return;
        var at = 0;
        foreach (var part in parts)
            for (var row = 0; row < part.Rows; row++, at++)
            {
                var (text, wanted) = (train[window[at]].Text, classifier.Tokenizer.Encode(train[window[at]].Text, classifier.MaximumLength));
                if (!part.Ids.AsSpan(row * part.Length, part.RowLengths[row]).SequenceEqual(Array.ConvertAll(wanted, i => (long)i)))
                    throw new InvalidOperationException($"Row {row} of a batch does not hold the tokens of example {window[at]} of '{train.Name}' ('{Short(text)}').");
                if (part.Labels![row] != _labels[window[at]])
                    throw new InvalidOperationException($"Row {row} of a batch has label {part.Labels[row]}; example {window[at]} of '{train.Name}' ('{Short(text)}') has {_labels[window[at]]} ({train.Labels[_labels[window[at]]]}).");
            }
    }

    /// <summary>One batch in parts against the same in one piece. Gradients are gone afterwards, weights untouched.</summary>
    public void Accumulation(TrainStep step, IReadOnlyList<Batch> whole, IReadOnlyList<Batch> parts)
    {
        if (!settings.Accumulation) return;
        var model = classifier.Model;
        model.eval();                                                         // no dropout: parts draw other masks than the whole
        var (one, many) = (Gradients(whole), Gradients(parts));
        model.train();
        var tolerance = model.DataType == ScalarType.Float32 ? 1e-3 : 0.1;
        var largest = one.Max(g => g.Value.Max(Math.Abs));
        foreach (var (name, expected) in one)
        {
            var worst = expected.Zip(many[name], (a, b) => Math.Abs(a - b)).Max();
            if (!(worst <= tolerance * largest))
                throw new InvalidOperationException($"The gradient of '{name}' of a batch in {parts.Count} parts differs from that of the batch in one piece by {worst:G3}, where the largest is {largest:G3}: parts do not add up.");
        }

        Dictionary<string, float[]> Gradients(IReadOnlyList<Batch> batch)
        {
            step.Backward(batch, regularized: false);
            var all = new Dictionary<string, float[]>();
            foreach (var (name, parameter) in model.named_parameters())
            {
                if (parameter.grad is not { } gradient) continue;
                using var wide = gradient.to(ScalarType.Float32).contiguous();
                all[name] = wide.data<float>().ToArray();
                parameter.grad = null;
            }
            return all;
        }
    }

    /// <summary>Tensors that live after a step.</summary>
    public void LiveTensors(int step)
    {
        if (settings.LiveTensors is not { } budget || step < 20) return;
        var now = Tensor.TotalCount;
        _tensors ??= now;
        if (now > _tensors + budget)
            throw new InvalidOperationException($"After step {step} {now} tensors live, after step 20 it were {_tensors}, and the budget is {budget} more: something keeps tensors from step to step. Dispose them, or make them in a dispose scope.");
    }

    /// <summary>What to say of a batch whose loss or gradient is not finite: the first layer that gives such a number, and the examples.</summary>
    public string Explain(int[] window, IReadOnlyList<Batch> parts)
    {
        var where = FirstNonFinite(parts);
        var examples = string.Join("; ", window.Take(3).Select(i => $"{i} ('{Short(train[i].Text)}')"));
        return $"{where} The batch holds examples {examples}{(window.Length > 3 ? $" and {window.Length - 3} more: {string.Join(", ", window.Skip(3))}" : "")} of '{train.Name}'.";
    }

    private string FirstNonFinite(IReadOnlyList<Batch> parts)
    {
        using var noGradient = no_grad();
        foreach (var (name, parameter) in classifier.Model.named_parameters())
        {
            using var scope = NewDisposeScope();
            if (!Shapes.IsShape(parameter) && !parameter.isfinite().all().item<bool>()) return $"The weights of '{name}' are not finite.";
        }
        var found = default(string);
        var layers = classifier.Model.named_modules().Where(m => m.module is IAdaptable).Select(m => (m.name, Layer: (IAdaptable)m.module)).ToArray();
        foreach (var (name, layer) in layers) layer.Adapter = new Watch(layer.Adapter, given => found ??= $"Layer '{name}' is the first to give numbers that are not finite{(given ? ", from inputs that were not" : "")}.");
        try
        {
            foreach (var part in parts)
            {
                using var scope = NewDisposeScope();
                using var inputs = new Models.EncoderInputs(part, classifier.Model.DataType);
                _ = classifier.Model.forward(inputs);
            }
        }
        finally
        {
            foreach (var (_, layer) in layers) layer.Adapter = ((Watch)layer.Adapter!).Inner;
        }
        return found ?? "All layers give finite numbers for this batch now: the gradient alone is not.";
    }

    private static string Short(string text) => text.Length <= 60 ? text : text[..57] + "…";

    private sealed class Watch(ILayerAdapter? inner, Action<bool> found) : ILayerAdapter
    {
        public ILayerAdapter? Inner => inner;

        public Tensor Apply(Tensor x, Func<Tensor, Tensor> layer)
        {
            var y = inner?.Apply(x, layer) ?? layer(x);
            using var scope = NewDisposeScope();
            if (!y.isfinite().all().item<bool>()) found(!x.isfinite().all().item<bool>());
            return y;
        }
    }
}
