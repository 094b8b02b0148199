using System.Runtime.Intrinsics;
using NotebookKit.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Optimizers;

/// <summary>One parameter with its state; addresses stay valid while the tensors live.</summary>
internal sealed unsafe class Slot : IDisposable
{
    private readonly Parameter _parameter;
    private readonly bool _half;
    private readonly nint _weights;
    private readonly (string Name, Tensor Held, Tensor Seen)[] _states;
    private readonly Tensor? _master;
    private Tensor? _gradient;

    public Slot(string name, Parameter parameter, double rateScale, OptimizerSettings settings)
    {
        if (parameter.dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float64))
            throw new ArgumentException($"'{name}' is {parameter.dtype}; optimisers take Float32, BFloat16 and Float64.");
        (Name, _parameter, RateScale, Count, Shape) = (name, parameter, rateScale, parameter.numel(), parameter.shape);
        Decays = parameter.dim() > 1 || settings.DecaysVectors;
        (_half, IsDouble) = (parameter.dtype == ScalarType.BFloat16, parameter.dtype == ScalarType.Float64);
        _weights = TensorMemory.Pointer(parameter);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var type = IsDouble ? ScalarType.Float64 : ScalarType.Float32;
        _states = [.. settings.StateOf(Shape).Select(state =>
        {
            var length = state.Length ?? Count;
            var held = full((length + 15) & ~15L, state.Start, dtype: type).DetachFromDisposeScope();      // rules work on whole vectors
            return (state.Name, held, held.narrow(0, 0, length).DetachFromDisposeScope());
        })];
        States = [.. _states.Select(s => TensorMemory.Pointer(s.Held))];
        _master = _half ? parameter.detach().to(ScalarType.Float32).contiguous().DetachFromDisposeScope() : null;
        Master = _half ? TensorMemory.Pointer(_master!) : _weights;
    }

    public string Name { get; }

    public double RateScale { get; }

    public bool Decays { get; }

    public bool IsDouble { get; }

    public long Count { get; }

    public long[] Shape { get; }

    public nint[] States { get; }

    /// <summary>The weights that are changed.</summary>
    public Tensor Weights => _master ?? _parameter;

    /// <summary>Address of the weights that are changed: fp32 or fp64.</summary>
    public nint Master { get; }

    /// <summary>Address of the gradient; 0 where there is none.</summary>
    public nint Gradient { get; private set; }

    public IEnumerable<KeyValuePair<string, Tensor>> State
    {
        get
        {
            foreach (var (name, _, seen) in _states) yield return new($"{Name}.{name}", seen);
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

    /// <summary>A block of the gradient: in place, or widened into <paramref name="buffer"/>.</summary>
    public T* GradientBlock<T>(long at, int count, T* buffer) where T : unmanaged
    {
        if (!_half) return (T*)Gradient + at;
        var source = (ushort*)Gradient + at;
        var target = (float*)buffer;
        var i = 0;
        for (; i + 32 <= count; i += 32)
        {
            var (low, high) = Vector512.Widen(Vector512.Load(source + i));
            (low << 16).AsSingle().Store(target + i);
            (high << 16).AsSingle().Store(target + i + 16);
        }
        for (; i < count; i++) target[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
        return buffer;
    }

    /// <summary>A block of the gradient times a factor.</summary>
    public void Scaled<T>(long at, int count, T* target, double scale) where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        var source = GradientBlock(at, count, target);
        var (factor, one) = (Vector512.Create(T.CreateTruncating(scale)), T.CreateTruncating(scale));
        var i = 0;
        for (; i + Vector512<T>.Count <= count; i += Vector512<T>.Count) (Vector512.Load(source + i) * factor).Store(target + i);
        for (; i < count; i++) target[i] = source[i] * one;
    }

    public void WriteBack()
    {
        for (var at = 0L; at < Count; at += 1024) WriteBack(at, (int)Math.Min(1024, Count - at));
    }

    /// <summary>Rounds a block of master weights to bf16 (to nearest, ties to even) into the parameter.</summary>
    public void WriteBack(long at, int count)
    {
        if (!_half) return;
        var target = (ushort*)_weights + at;
        var source = (uint*)Master + at;
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
        foreach (var (_, held, seen) in _states)
        {
            seen.Dispose();
            held.Dispose();
        }
        _master?.Dispose();
    }
}
