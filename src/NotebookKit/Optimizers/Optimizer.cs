using System.Runtime.Intrinsics;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Optimizers;

/// <summary>
/// Takes steps by an update rule over raw memory, in vector instructions and on all cores: one pass over gradients, state and weights, where torch's own makes a
/// dozen. Parameters in bf16 keep an fp32 master copy here; fp64 computes in fp64. Not thread-safe.
/// </summary>
public sealed unsafe class Optimizer : IDisposable
{
    private const int ChunkSize = 1 << 16, BlockSize = 1024;
    private readonly OptimizerSettings _settings;
    private readonly Slot[] _slots;
    private readonly (int Slot, long From, long To)[] _chunks;
    private readonly double[] _norms;

    /// <summary>An optimiser for parameters under names that its state is saved by.</summary>
    /// <param name="parameters">Those that ask for no gradient are left out.</param>
    /// <param name="settings">The rule; by default AdamW with its defaults.</param>
    /// <param name="rateScale">Factor on the learning rate by name; <c>null</c> is 1 for all.</param>
    /// <exception cref="ArgumentException">Nothing asks for a gradient, or a parameter has another type than fp32, bf16 or fp64.</exception>
    public Optimizer(IEnumerable<(string Name, Parameter Parameter)> parameters, OptimizerSettings? settings = null, Func<string, double>? rateScale = null)
    {
        _settings = settings ?? new AdamWSettings();
        _slots = [.. parameters.Where(p => p.Parameter.requires_grad).Select(p => new Slot(p.Name, p.Parameter, rateScale?.Invoke(p.Name) ?? 1, _settings))];
        if (_slots.Length == 0) throw new ArgumentException("No parameter asks for a gradient: there is nothing to train.", nameof(parameters));
        _chunks = [.. _slots.SelectMany((s, i) => _settings.NeedsWhole ? [(i, 0L, s.Count)]
            : Enumerable.Range(0, (int)((s.Count + ChunkSize - 1) / ChunkSize)).Select(c => (i, (long)c * ChunkSize, Math.Min(s.Count, (c + 1L) * ChunkSize))))];
        _norms = new double[_chunks.Length];
    }

    /// <summary>Steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>State and master weights by name, for checkpoints; live tensors, not copies.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _slots.SelectMany(s => s.State);

    /// <summary>The weights that are changed, by name and in their shapes: parameters, or the fp32 master copies of those in bf16; live tensors. After writing to them call <see cref="WriteBack"/>.</summary>
    public IEnumerable<(string Name, Tensor Weights)> Weights => _slots.Select(s => (s.Name, s.Weights));

    /// <summary>Rounds all master weights into their parameters.</summary>
    public void WriteBack()
    {
        foreach (var slot in _slots) slot.WriteBack();
    }

    /// <summary>Takes one step and forgets the gradients.</summary>
    /// <param name="learningRate">Rate of this step.</param>
    /// <returns>Norm of all gradients before clipping.</returns>
    /// <exception cref="InvalidOperationException">A gradient is not finite; no weight has been changed.</exception>
    public double Step(double learningRate)
    {
        foreach (var slot in _slots) slot.TakeGradient();
        try
        {
            var norm = Norm();
            Steps++;
            var scale = _settings.ClipNorm > 0 ? Math.Min(1, _settings.ClipNorm / (norm + 1e-6)) : 1;
            var (constants, sign) = (_settings.Constants(Steps), _settings.Maximizes ? -1 : 1);
            Parallel.For(0, _chunks.Length, c =>
            {
                var (slot, from, to) = _chunks[c];
                if (_slots[slot].IsDouble) Update<double>(_slots[slot], from, to, learningRate, sign * scale, constants);
                else Update<float>(_slots[slot], from, to, learningRate, sign * scale, constants);
            });
            return norm;
        }
        finally
        {
            foreach (var slot in _slots) slot.DropGradient();
        }
    }

    /// <summary>Puts back what <see cref="State"/> gave, and the number of steps.</summary>
    public void Restore(Func<string, Tensor> read, int steps)
    {
        using var noGradient = no_grad();
        foreach (var (name, tensor) in State)
        {
            using var saved = read(name);
            tensor.copy_(saved);
        }
        WriteBack();
        Steps = steps;
    }

    /// <summary>Frees state and master weights; parameters stay.</summary>
    public void Dispose()
    {
        foreach (var slot in _slots) slot.Dispose();
    }

    private double Norm()
    {
        var p = _settings.ClipNormType;
        Parallel.For(0, _chunks.Length, c =>
        {
            var (slot, from, to) = _chunks[c];
            _norms[c] = _slots[slot].IsDouble ? Power<double>(_slots[slot], from, to, p) : Power<float>(_slots[slot], from, to, p);
        });
        var norm = double.IsPositiveInfinity(p) ? _norms.Max() : p == 2 ? Math.Sqrt(_norms.Sum()) : Math.Pow(_norms.Sum(), 1 / p);
        if (double.IsFinite(norm)) return norm;
        var bad = _slots[_chunks[Math.Max(0, Array.FindIndex(_norms, s => !double.IsFinite(s)))].Slot].Name;
        throw new InvalidOperationException($"The gradient of '{bad}' is not finite at step {Steps + 1}. Lower the learning rate, or look at the batch.");
    }

    /// <summary>Σ|g|ᵖ of a chunk, or its largest |g|.</summary>
    private static double Power<T>(Slot slot, long from, long to, double p) where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        if (slot.Gradient == 0) return 0;
        var buffer = stackalloc T[BlockSize];
        var total = 0.0;
        for (var at = from; at < to; at += BlockSize)
        {
            var count = (int)Math.Min(BlockSize, to - at);
            var g = slot.GradientBlock(at, count, buffer);
            var i = 0;
            if (p == 2)
            {
                var sum = Vector512<T>.Zero;
                for (; i + Vector512<T>.Count <= count; i += Vector512<T>.Count)
                {
                    var x = Vector512.Load(g + i);
                    sum += x * x;
                }
                total += double.CreateTruncating(Vector512.Sum(sum));
            }
            for (; i < count; i++)
            {
                var x = Math.Abs(double.CreateTruncating(g[i]));
                total = double.IsPositiveInfinity(p) ? x > total || double.IsNaN(x) ? x : total : total + Math.Pow(x, p);
            }
        }
        return total;
    }

    private void Update<T>(Slot slot, long from, long to, double rate, double scale, double[] constants) where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        if (slot.Gradient == 0) return;
        rate *= slot.RateScale;
        if (_settings.NeedsWhole)
        {
            var whole = new T[slot.Count];
            fixed (T* g = whole)
            {
                for (var at = 0L; at < slot.Count; at += BlockSize) slot.Scaled(at, (int)Math.Min(BlockSize, slot.Count - at), g + at, scale);
                _settings.Update(new Block<T>((T*)slot.Master, g, slot.States, 0, (int)slot.Count, slot.Decays, slot.Shape), rate, Steps, constants);
            }
            slot.WriteBack();
            return;
        }
        T* gradients = stackalloc T[BlockSize], weights = stackalloc T[BlockSize];
        for (var at = from; at < to; at += BlockSize)
        {
            var count = (int)Math.Min(BlockSize, to - at);
            slot.Scaled(at, count, gradients, scale);
            var padded = (count + 15) & ~15;
            var master = (T*)slot.Master + at;
            if (padded > count)                                              // the end of a parameter goes through a buffer: rules see whole vectors
            {
                new Span<T>(master, count).CopyTo(new Span<T>(weights, padded));
                new Span<T>(weights + count, padded - count).Clear();
                new Span<T>(gradients + count, padded - count).Clear();
            }
            _settings.Update(new Block<T>(padded > count ? weights : master, gradients, slot.States, at, padded, slot.Decays, slot.Shape), rate, Steps, constants);
            if (padded > count) new Span<T>(weights, count).CopyTo(new Span<T>(master, count));
            slot.WriteBack(at, count);
        }
    }
}
