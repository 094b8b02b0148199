using NotebookKit.Models;
using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>A copy of weights to go back to, by name: converting a model makes new parameters, and an optimiser has masters of its own.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly Dictionary<string, Tensor> _copies;

    public WeightSnapshot(IEnumerable<(string Name, Tensor Weights)> weights)
    {
        using var noGradient = no_grad();
        _copies = weights.ToDictionary(w => w.Name, w => w.Weights.detach().clone().DetachFromDisposeScope());
    }

    /// <summary>A copy of all that a model computes with.</summary>
    public WeightSnapshot(LanguageModel model) : this(Of(model))
    {
    }

    /// <summary>Whether a weight is among the copies.</summary>
    public bool Has(string name) => _copies.ContainsKey(name);

    /// <summary>The copy of a weight.</summary>
    public Tensor this[string name] => _copies[name];

    /// <summary>The copies by name, for checkpoints.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _copies;

    /// <summary>A model's weights as a snapshot wants them: those that have numbers, since what is held in int8 never changes.</summary>
    public static IEnumerable<(string Name, Tensor Weights)> Of(LanguageModel model) => model.named_parameters().Where(p => !Shapes.IsShape(p.parameter)).Select(p => (p.name, (Tensor)p.parameter));

    /// <summary>Copies weights as they are now; those that are not given stay as they were copied.</summary>
    public void Take(IEnumerable<(string Name, Tensor Weights)> weights)
    {
        using var noGradient = no_grad();
        foreach (var (name, live) in weights) _copies[name].copy_(live);
    }

    /// <summary>Puts copied weights back.</summary>
    public void Restore(IEnumerable<(string Name, Tensor Weights)> weights)
    {
        using var noGradient = no_grad();
        foreach (var (name, live) in weights) live.copy_(_copies[name]);
    }

    /// <summary>Puts a model's weights back.</summary>
    public void Restore(LanguageModel model) => Restore(Of(model));

    public void Dispose()
    {
        foreach (var copy in _copies.Values) copy.Dispose();
    }
}
