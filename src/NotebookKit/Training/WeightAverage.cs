using TorchSharp;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>An exponential moving average of the weights (Polyak &amp; Juditsky 1992), which is often better than the last weights and always calmer.</summary>
internal sealed class WeightAverage : IDisposable
{
    private readonly (string Name, Tensor Live, Tensor Average)[] _weights;
    private readonly double _decay;

    public WeightAverage(nn.Module model, double decay)
    {
        using var noGradient = no_grad();
        _decay = decay;
        _weights = [.. model.named_parameters().Select(p => (p.name, (Tensor)p.parameter, p.parameter.detach().to(ScalarType.Float32, copy: true).DetachFromDisposeScope()))];
    }

    /// <summary>The averages by name, for checkpoints; live tensors, not copies.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _weights.Select(w => KeyValuePair.Create(w.Name, w.Average));

    /// <summary>Takes the weights after a step in. Early on the average follows faster, as (1 + t) / (10 + t).</summary>
    public void Update(int step)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var decay = Math.Min(_decay, (1 + step) / (10.0 + step));
        foreach (var (_, live, average) in _weights) average.lerp_(live.to(ScalarType.Float32), 1 - decay);
    }

    /// <summary>Begins anew at the weights as they are.</summary>
    public void Restart()
    {
        using var noGradient = no_grad();
        foreach (var (_, live, average) in _weights) average.copy_(live);
    }

    /// <summary>Exchanges weights and averages; twice is as before.</summary>
    public void Swap()
    {
        using var noGradient = no_grad();
        foreach (var (_, live, average) in _weights)
        {
            using var kept = live.to(ScalarType.Float32, copy: true);
            live.copy_(average);
            average.copy_(kept);
        }
    }

    public void Dispose()
    {
        foreach (var (_, _, average) in _weights) average.Dispose();
    }
}
