using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>A copy of a model's weights to go back to.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly (Tensor Live, Tensor Copy)[] _pairs;

    public WeightSnapshot(nn.Module model)
    {
        using var noGradient = no_grad();
        _pairs = [.. model.parameters().Select(p => ((Tensor)p, p.detach().clone().DetachFromDisposeScope()))];
    }

    /// <summary>Copies the weights as they are now.</summary>
    public void Take() => Copy(p => (p.Live, p.Copy));

    /// <summary>Puts the copied weights back.</summary>
    public void Restore() => Copy(p => (p.Copy, p.Live));

    public void Dispose()
    {
        foreach (var (_, copy) in _pairs) copy.Dispose();
    }

    private void Copy(Func<(Tensor Live, Tensor Copy), (Tensor From, Tensor To)> direction)
    {
        using var noGradient = no_grad();
        foreach (var pair in _pairs)
        {
            var (from, to) = direction(pair);
            to.copy_(from);
        }
    }
}
