using static TorchSharp.torch;

namespace NotebookKit.Training.Runs;

/// <summary>An exponential moving average of the weights (Polyak &amp; Juditsky 1992), which is often better than the last weights and always calmer.</summary>
internal sealed class WeightAverage : IDisposable
{
    private readonly (string Name, Tensor Live, Tensor Average)[] _weights;
    private readonly double _decay;

    public WeightAverage(IEnumerable<(string Name, Tensor Weights)> weights, double decay)
    {
        using var noGradient = no_grad();
        _decay = decay;
        _weights = [.. weights.Select(w => (w.Name, w.Weights, w.Weights.detach().clone().DetachFromDisposeScope()))];
    }

    /// <summary>The averages by name, for checkpoints; live tensors, not copies.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _weights.Select(w => KeyValuePair.Create(w.Name, w.Average));

    /// <summary>Takes the weights after a step in. Early on the average follows faster, as (1 + t) / (10 + t).</summary>
    public void Update(int step)
    {
        using var noGradient = no_grad();
        var decay = Math.Min(_decay, (1 + step) / (10.0 + step));
        foreach (var (_, live, average) in _weights) average.lerp_(live, 1 - decay);
    }

    /// <summary>Exchanges weights and averages; twice is as before.</summary>
    public void Swap()
    {
        using var noGradient = no_grad();
        foreach (var (_, live, average) in _weights)
        {
            using var kept = live.clone();
            live.copy_(average);
            average.copy_(kept);
        }
    }

    public void Dispose()
    {
        foreach (var (_, _, average) in _weights) average.Dispose();
    }
}
