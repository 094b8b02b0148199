using NotebookKit.Models;
using static TorchSharp.torch;

namespace NotebookKit.Adapters;

/// <summary>Weights of the model that an adapter has values of its own for: they stand in the model while the adapter takes part, and the model's wait here. Looked up by name, since converting a model makes new parameters.</summary>
internal sealed class SwappedWeights : IDisposable
{
    private readonly LanguageModel _model;
    private readonly Dictionary<string, Tensor> _waiting;

    public SwappedWeights(LanguageModel model, IReadOnlyCollection<string> names)
    {
        _model = model;
        using var noGradient = no_grad();
        _waiting = model.OwnParameters().Where(p => names.Contains(p.Name)).ToDictionary(p => p.Name, p => p.Parameter.detach().clone().DetachFromDisposeScope());
    }

    public IReadOnlyList<string> Names => [.. _waiting.Keys];

    public void Swap()
    {
        using var noGradient = no_grad();
        foreach (var (name, parameter) in _model.OwnParameters())
        {
            if (!_waiting.TryGetValue(name, out var waiting)) continue;
            using var now = parameter.detach().clone();
            parameter.copy_(waiting);
            waiting.copy_(now);
        }
    }

    public void Dispose()
    {
        foreach (var tensor in _waiting.Values) tensor.Dispose();
    }
}
