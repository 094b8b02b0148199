using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>A copy of weights to go back to.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly (string Name, Tensor Live, Tensor Copy)[] _pairs;

    public WeightSnapshot(IEnumerable<(string Name, Tensor Weights)> weights)
    {
        using var noGradient = no_grad();
        _pairs = [.. weights.Select(w => (w.Name, w.Weights, w.Weights.detach().clone().DetachFromDisposeScope()))];
    }

    /// <summary>The copies by name, for checkpoints.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _pairs.Select(p => KeyValuePair.Create(p.Name, p.Copy));

    /// <summary>Copies the weights as they are now.</summary>
    public void Take() => Copy(p => (p.Live, p.Copy));

    /// <summary>Puts the copied weights back.</summary>
    public void Restore() => Copy(p => (p.Copy, p.Live));

    public void Dispose()
    {
        foreach (var (_, _, copy) in _pairs) copy.Dispose();
    }

    private void Copy(Func<(Tensor Live, Tensor Copy), (Tensor From, Tensor To)> direction)
    {
        using var noGradient = no_grad();
        foreach (var pair in _pairs)
        {
            var (from, to) = direction((pair.Live, pair.Copy));
            to.copy_(from);
        }
    }
}
