using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NotebookKit.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>Settings of <see cref="AdamW"/>. Defaults are those of Loshchilov &amp; Hutter 2019 and of torch, and decay 0.01 as BERT finetuning uses.</summary>
public sealed record AdamWSettings
{
    /// <summary>Decay rate of the first moment, in [0, 1). Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay rate of the second moment, in [0, 1). Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the denominator. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay on matrices; biases and norms (one-dimensional) get none. Default 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Gradients are scaled so that their norm over all parameters is at most this; 0 switches it off. Default 1.</summary>
    public double ClipNorm { get; init; } = 1.0;
}

/// <summary>
/// AdamW over raw memory in vector instructions, on all cores: one pass over gradients, moments and weights, where torch's own makes a dozen.
/// Parameters in bf16 keep an fp32 master copy here. Equal to torch's AdamW to rounding. Not thread-safe.
/// </summary>
public sealed unsafe class AdamW : IDisposable
{
    private const int ChunkSize = 1 << 16, BlockSize = 1024;
    private readonly AdamWSettings _settings;
    private readonly Slot[] _slots;
    private readonly (int Slot, long From, long To)[] _chunks;
    private readonly double[] _squares;

    /// <summary>An optimiser for parameters under names that its state is saved by.</summary>
    /// <param name="parameters">Those that ask for no gradient are left out.</param>
    /// <param name="settings">Constants.</param>
    /// <param name="rateScale">Factor on the learning rate by name; <c>null</c> is 1 for all.</param>
    public AdamW(IEnumerable<(string Name, Parameter Parameter)> parameters, AdamWSettings? settings = null, Func<string, double>? rateScale = null)
    {
        _settings = settings ?? new AdamWSettings();
        _slots = [.. parameters.Where(p => p.Parameter.requires_grad).Select(p => new Slot(p.Name, p.Parameter, rateScale?.Invoke(p.Name) ?? 1))];
        if (_slots.Length == 0) throw new ArgumentException("No parameter asks for a gradient: there is nothing to train.", nameof(parameters));
        _chunks = [.. _slots.SelectMany((s, i) => Enumerable.Range(0, (int)((s.Count + ChunkSize - 1) / ChunkSize))
            .Select(c => (i, (long)c * ChunkSize, Math.Min(s.Count, (c + 1L) * ChunkSize))))];
        _squares = new double[_chunks.Length];
    }

    /// <summary>Steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>Moments and master weights by name, for checkpoints; live tensors, not copies.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State => _slots.SelectMany(s => s.State);

    /// <summary>Takes one step and forgets the gradients.</summary>
    /// <param name="learningRate">Rate of this step.</param>
    /// <returns>Norm of all gradients before clipping.</returns>
    /// <exception cref="InvalidOperationException">A gradient is not finite; no weight has been changed.</exception>
    public double Step(double learningRate)
    {
        foreach (var slot in _slots) slot.TakeGradient();
        try
        {
            Parallel.For(0, _chunks.Length, c =>
            {
                var (slot, from, to) = _chunks[c];
                _squares[c] = SumOfSquares(_slots[slot], from, to);
            });
            var norm = Math.Sqrt(_squares.Sum());
            if (!double.IsFinite(norm))
            {
                var bad = _slots[_chunks[Array.FindIndex(_squares, s => !double.IsFinite(s))].Slot].Name;
                throw new InvalidOperationException($"The gradient of '{bad}' is not finite at step {Steps + 1}. Lower the learning rate, or look at the batch.");
            }
            Steps++;
            var scale = _settings.ClipNorm > 0 && norm > _settings.ClipNorm ? _settings.ClipNorm / (norm + 1e-6) : 1;
            var correction1 = 1 - Math.Pow(_settings.Beta1, Steps);
            var correction2 = 1 / Math.Sqrt(1 - Math.Pow(_settings.Beta2, Steps));
            Parallel.For(0, _chunks.Length, c =>
            {
                var (slot, from, to) = _chunks[c];
                Update(_slots[slot], from, to, learningRate * _slots[slot].RateScale, correction1, correction2, scale);
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
        foreach (var slot in _slots) slot.WriteBack();
        Steps = steps;
    }

    /// <summary>Frees moments and master weights; parameters stay.</summary>
    public void Dispose()
    {
        foreach (var slot in _slots) slot.Dispose();
    }

    private static double SumOfSquares(Slot slot, long from, long to)
    {
        if (slot.Gradient == 0) return 0;
        var buffer = stackalloc float[BlockSize];
        var total = 0.0;
        for (var at = from; at < to; at += BlockSize)
        {
            var count = (int)Math.Min(BlockSize, to - at);
            var g = slot.GradientBlock(at, count, buffer);
            var sum = Vector512<float>.Zero;
            var i = 0;
            for (; i + 16 <= count; i += 16)
            {
                var x = Vector512.Load(g + i);
                sum = Vector512.FusedMultiplyAdd(x, x, sum);
            }
            var block = Vector512.Sum(sum);
            for (; i < count; i++) block += g[i] * g[i];
            total += block;
        }
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Update(Slot slot, long from, long to, double rate, double correction1, double correction2, double gradientScale)
    {
        if (slot.Gradient == 0) return;
        var (beta1, beta2, epsilon) = ((float)_settings.Beta1, (float)_settings.Beta2, (float)_settings.Epsilon);
        var (rest1, rest2) = ((float)(1 - _settings.Beta1), (float)(1 - _settings.Beta2));
        var decay = (float)(1 - rate * (slot.Decays ? _settings.WeightDecay : 0));
        var (step, scale, correction) = ((float)(rate / correction1), (float)gradientScale, (float)correction2);
        var (vBeta1, vBeta2, vRest1, vRest2) = (Vector512.Create(beta1), Vector512.Create(beta2), Vector512.Create(rest1), Vector512.Create(rest2));
        var (vDecay, vStep, vScale, vCorrection, vEpsilon) = (Vector512.Create(decay), Vector512.Create(step), Vector512.Create(scale), Vector512.Create(correction), Vector512.Create(epsilon));
        var buffer = stackalloc float[BlockSize];
        for (var at = from; at < to; at += BlockSize)
        {
            var count = (int)Math.Min(BlockSize, to - at);
            var g = slot.GradientBlock(at, count, buffer);
            float* w = slot.Master + at, m = slot.First + at, v = slot.Second + at;
            var i = 0;
            for (; i + 16 <= count; i += 16)
            {
                var gradient = Vector512.Load(g + i) * vScale;
                var first = Vector512.FusedMultiplyAdd(vRest1, gradient, Vector512.Load(m + i) * vBeta1);
                var second = Vector512.FusedMultiplyAdd(gradient * vRest2, gradient, Vector512.Load(v + i) * vBeta2);
                var denominator = Vector512.FusedMultiplyAdd(Vector512.Sqrt(second), vCorrection, vEpsilon);
                first.Store(m + i);
                second.Store(v + i);
                (Vector512.Load(w + i) * vDecay - vStep * (first / denominator)).Store(w + i);
            }
            for (; i < count; i++)
            {
                var gradient = g[i] * scale;
                m[i] = m[i] * beta1 + rest1 * gradient;
                v[i] = v[i] * beta2 + rest2 * gradient * gradient;
                w[i] = w[i] * decay - step * (m[i] / (MathF.Sqrt(v[i]) * correction + epsilon));
            }
            slot.WriteBack(at, count);
        }
    }

    /// <summary>One parameter with its moments; addresses stay valid while the tensors live.</summary>
    private sealed class Slot : IDisposable
    {
        private readonly Parameter _parameter;
        private readonly bool _half;
        private readonly nint _weights;
        private readonly Tensor _first, _second;
        private readonly Tensor? _master;
        private Tensor? _gradient;

        public Slot(string name, Parameter parameter, double rateScale)
        {
            if (parameter.dtype is not (ScalarType.Float32 or ScalarType.BFloat16))
                throw new ArgumentException($"'{name}' is {parameter.dtype}; AdamW takes Float32 and BFloat16.");
            (Name, _parameter, RateScale, Count) = (name, parameter, rateScale, parameter.numel());
            Decays = parameter.dim() > 1;
            _half = parameter.dtype == ScalarType.BFloat16;
            _weights = TensorMemory.Pointer(parameter);
            using var noGradient = no_grad();
            _first = zeros(Count).DetachFromDisposeScope();
            _second = zeros(Count).DetachFromDisposeScope();
            _master = _half ? parameter.detach().to(ScalarType.Float32).flatten().DetachFromDisposeScope() : null;
            First = (float*)TensorMemory.Pointer(_first);
            Second = (float*)TensorMemory.Pointer(_second);
            Master = _half ? (float*)TensorMemory.Pointer(_master!) : (float*)_weights;
        }

        public string Name { get; }
        public double RateScale { get; }
        public bool Decays { get; }
        public long Count { get; }
        public float* First { get; }
        public float* Second { get; }
        public float* Master { get; }
        public nint Gradient { get; private set; }

        public IEnumerable<KeyValuePair<string, Tensor>> State
        {
            get
            {
                yield return new(Name + ".first_moment", _first);
                yield return new(Name + ".second_moment", _second);
                if (_master is not null) yield return new(Name + ".master", _master);
            }
        }

        public void TakeGradient()
        {
            var raw = _parameter.grad;
            var gradient = raw is null || raw.is_contiguous() ? raw : raw.contiguous();
            if (!ReferenceEquals(raw, gradient)) raw!.Dispose();
            _gradient = gradient?.DetachFromDisposeScope();
            Gradient = gradient is null ? 0 : TensorMemory.Pointer(gradient);
        }

        public void DropGradient()
        {
            _gradient?.Dispose();
            _gradient = null;
            Gradient = 0;
            _parameter.grad = null;
        }

        /// <summary>A block of the gradient in fp32: in place, or widened into <paramref name="buffer"/>.</summary>
        public float* GradientBlock(long at, int count, float* buffer)
        {
            if (!_half) return (float*)Gradient + at;
            var source = (ushort*)Gradient + at;
            var i = 0;
            for (; i + 32 <= count; i += 32)
            {
                var (low, high) = Vector512.Widen(Vector512.Load(source + i));
                (low << 16).AsSingle().Store(buffer + i);
                (high << 16).AsSingle().Store(buffer + i + 16);
            }
            for (; i < count; i++) buffer[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
            return buffer;
        }

        public void WriteBack()
        {
            for (var at = 0L; at < Count; at += BlockSize) WriteBack(at, (int)Math.Min(BlockSize, Count - at));
        }

        /// <summary>Rounds a block of master weights to bf16 (to nearest, ties to even) into the parameter.</summary>
        public void WriteBack(long at, int count)
        {
            if (!_half) return;
            var target = (ushort*)_weights + at;
            var source = (uint*)(Master + at);
            var (half, one) = (Vector512.Create(0x7fffu), Vector512<uint>.One);
            var i = 0;
            for (; i + 32 <= count; i += 32)
            {
                var (low, high) = (Vector512.Load(source + i), Vector512.Load(source + i + 16));
                low = (low + half + ((low >>> 16) & one)) >>> 16;
                high = (high + half + ((high >>> 16) & one)) >>> 16;
                Vector512.Narrow(low, high).Store(target + i);
            }
            for (; i < count; i++) target[i] = (ushort)((source[i] + 0x7fff + ((source[i] >> 16) & 1)) >> 16);
        }

        public void Dispose()
        {
            _first.Dispose();
            _second.Dispose();
            _master?.Dispose();
        }
    }
}
