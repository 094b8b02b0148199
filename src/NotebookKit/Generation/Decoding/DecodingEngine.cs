using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Runtime;

namespace NotebookKit.Generation.Decoding;

/// <summary>One token that is to be read: which sequence's memory it goes into, where, and what it is.</summary>
internal readonly record struct TokenPlace(TokenMemory Memory, int Position, int Id);

/// <summary>
/// A decoder's forward pass for a few tokens at a time, over raw memory. Reading the weights is all that takes time there; libtorch's hundreds of small operations a token cost more than that.
/// Not thread-safe.
/// </summary>
internal sealed unsafe class DecodingEngine : IDisposable
{
    /// <summary>Weights of so few bytes are read faster by one thread than two can agree on who does what.</summary>
    private const long BytesWorthSharing = 4 << 20;

    /// <summary>Most tokens of a pass; a multiple of eight, which products work in.</summary>
    public const int MostRows = 16;

    /// <summary>x σ(2u) with u = √(2/π) (x + 0.044715 x³) is the tanh approximation of GELU (Hendrycks &amp; Gimpel 2016).</summary>
    private const float GeluLinear = 1.5957691216f, GeluCubic = GeluLinear * 0.044715f;

    private static readonly HashSet<string> Activations = ["silu", "swish", "relu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate"];
    private readonly DecoderPlan _plan;
    private readonly (WeightMatrix[] In, WeightMatrix Out, WeightMatrix[] Up, WeightMatrix Down)[] _layers;
    private readonly WeightMatrix _head;
    private readonly WeightMatrix[] _matrices;
    private readonly WorkerTeam _team;
    private readonly int _width, _queries, _pairs, _upWidth;
    private readonly float* _x, _normed, _projected, _read, _up, _inner, _residual, _cos, _sin, _logits;
    private readonly float*[] _partials;
    private readonly nint[] _scores;
    private readonly Action<int> _multiply, _gather, _remember, _attend, _activate;
    private TokenPlace[] _tokens = [];
    private int _rows, _layer;
    private (WeightMatrix Matrix, nint Y)[] _jobs = [];
    private float* _jobInput;
    private int _jobStride;

    private DecodingEngine(DecoderPlan plan, DecodingWeights format)
    {
        _plan = plan;
        (_width, _queries, _pairs) = ((int)plan.Embeddings.size(1), plan.Heads * plan.HeadWidth, plan.Groups * plan.HeadWidth);
        _upWidth = plan.IsGated ? 2 * plan.Inner : plan.Inner;
        WeightMatrix Of(MatrixPlan matrix) => new(matrix, format);
        _layers = [.. plan.Layers.Select(l => (l.In.Select(Of).ToArray(), Of(l.Out), l.Up.Select(Of).ToArray(), Of(l.Down)))];
        _head = Of(plan.Head);
        _matrices = [.. _layers.SelectMany(l => l.In.Concat(l.Up).Append(l.Out).Append(l.Down)), _head];
        _team = new WorkerTeam(Bytes < BytesWorthSharing ? 1 : Math.Clamp(Environment.ProcessorCount, 1, 16));
        _x = Room(_width);
        _normed = Room(_width);
        _residual = Room(_width);
        _projected = Room(_queries + 2 * _pairs);
        _read = Room(_queries);
        _up = Room(_upWidth);
        _cos = Room(Math.Max(1, plan.Rope?.Width ?? 1));
        _sin = Room(Math.Max(1, plan.Rope?.Width ?? 1));
        _inner = Room(plan.Inner);
        _logits = Room(_head.To);
        var widest = _matrices.Where(m => m.NeedsGathering).Select(m => m.To).DefaultIfEmpty(1).Max();
        _partials = new float*[_team.Parts];
        for (var part = 0; part < _team.Parts; part++) _partials[part] = Room(widest);
        _scores = new nint[_team.Parts];
        (_multiply, _gather, _remember, _attend, _activate) = (Multiply, Gather, Remember, Attend, Activate);
    }

    /// <summary>Bytes of weights that a token reads.</summary>
    public long Bytes => _matrices.Sum(m => m.Bytes);

    /// <summary>An engine for a model, or <c>null</c> where its architecture, type or memory is none that it reads.</summary>
    public static DecodingEngine? TryMake(LanguageModel model, DecodingWeights format)
    {
        if (model is not DecoderModel { Adapter: null } decoder || decoder.training || decoder.DataType != TorchSharp.torch.ScalarType.Float32 || decoder.Plan() is not { } plan) return null;
        var tensors = plan.Layers.SelectMany(l => l.Matrices).Append(plan.Head).SelectMany(m => new[] { m.Weight, m.Bias });
        return Activations.Contains(plan.Activation) && tensors.All(t => t is null || (t.device_type == TorchSharp.DeviceType.CPU && t.dtype == TorchSharp.torch.ScalarType.Float32 && t.is_contiguous()))
            ? new DecodingEngine(plan, format) : null;
    }

    /// <summary>Memory for one more sequence.</summary>
    public TokenMemory NewMemory() => new(_plan.Layers.Count, _plan.Groups, _plan.HeadWidth);

    /// <summary>Reads tokens, each after those its sequence holds and before its later ones here.</summary>
    /// <param name="tokens">At most <see cref="MostRows"/>.</param>
    /// <param name="logits">Where each token's logits (V) go; <c>null</c> where nobody asks.</param>
    public void Read(TokenPlace[] tokens, float[]?[] logits)
    {
        (_tokens, _rows) = (tokens, tokens.Length);
        Embed();
        for (_layer = 0; _layer < _layers.Length; _layer++)
        {
            var (plan, matrices) = (_plan.Layers[_layer], _layers[_layer]);
            Norm(plan.AttentionNorm, _x, _normed);
            Product(_normed, _projected, _queries + 2 * _pairs, matrices.In);
            _team.Run(_remember);
            _team.Run(_attend);
            Product(_read, _residual, _width, matrices.Out);
            Add();
            Norm(plan.FeedNorm, _x, _normed);
            Product(_normed, _up, _upWidth, matrices.Up);
            _team.Run(_activate);
            Product(_inner, _residual, _width, matrices.Down);
            Add();
        }
        for (var row = 0; row < _rows; row++) tokens[row].Memory.Length = Math.Max(tokens[row].Memory.Length, tokens[row].Position + 1);
        Head(logits);
    }

    public void Dispose()
    {
        _team.Dispose();
        foreach (var matrix in _matrices) matrix.Dispose();
        foreach (var room in new[] { (nint)_x, (nint)_normed, (nint)_residual, (nint)_projected, (nint)_read, (nint)_up, (nint)_inner, (nint)_cos, (nint)_sin, (nint)_logits }.Concat(_scores)) NativeMemory.AlignedFree((void*)room);
        foreach (var partial in _partials) NativeMemory.AlignedFree(partial);
    }

    private static float* Room(int width) => (float*)NativeMemory.AlignedAlloc((nuint)((long)MostRows * width * sizeof(float)), 64);

    private void Embed()
    {
        var table = (float*)TensorMemory.Pointer(_plan.Embeddings);
        var positions = _plan.Positions is null ? null : (float*)TensorMemory.Pointer(_plan.Positions);
        for (var row = 0; row < _rows; row++)
        {
            var target = new Span<float>(_x + (long)row * _width, _width);
            new ReadOnlySpan<float>(table + (long)_tokens[row].Id * _width, _width).CopyTo(target);
            if (positions is not null) TensorPrimitives.Add(target, new ReadOnlySpan<float>(positions + (long)_tokens[row].Position * _width, _width), target);
            _tokens[row].Memory.Reserve(_tokens[row].Position + 1);
            if (_plan.Rope is not { } rope) continue;
            var (frequencies, scale) = rope.Turns;
            for (var i = 0; i < frequencies.Length; i++)
            {
                var angle = (float)_tokens[row].Position * frequencies[i];
                (_cos[row * rope.Width + i], _sin[row * rope.Width + i]) = ((float)(MathF.Cos(angle) * scale), (float)(MathF.Sin(angle) * scale));
            }
        }
    }

    private void Norm(NormPlan norm, float* from, float* to)
    {
        for (var row = 0; row < _rows; row++) Norm(norm, from + (long)row * _width, to + (long)row * _width, _width);
    }

    private static void Norm(NormPlan norm, float* from, float* to, int width)
    {
        var x = new ReadOnlySpan<float>(from, width);
        var y = new Span<float>(to, width);
        var weight = new ReadOnlySpan<float>((float*)TensorMemory.Pointer(norm.Weight), width);
        if (norm.IsRms)
        {
            var factor = 1 / MathF.Sqrt(TensorPrimitives.SumOfSquares(x) / width + (float)norm.Epsilon);
            TensorPrimitives.Multiply(x, factor, y);
            TensorPrimitives.Multiply(y, weight, y);
            return;
        }
        TensorPrimitives.Subtract(x, TensorPrimitives.Sum(x) / width, y);
        TensorPrimitives.Multiply(y, 1 / MathF.Sqrt(TensorPrimitives.SumOfSquares((ReadOnlySpan<float>)y) / width + (float)norm.Epsilon), y);
        if (norm.Bias is null) TensorPrimitives.Multiply(y, weight, y);
        else TensorPrimitives.MultiplyAdd(y, weight, new ReadOnlySpan<float>((float*)TensorMemory.Pointer(norm.Bias), width), y);
    }

    /// <summary>Products of the same input, side by side in the output.</summary>
    private void Product(float* x, float* y, int stride, params WeightMatrix[] matrices)
    {
        var jobs = new (WeightMatrix, nint)[matrices.Length];
        for (var (i, at) = (0, 0); i < matrices.Length; at += matrices[i++].To) jobs[i] = (matrices[i], (nint)(y + at));
        if (matrices[0].NeedsGathering)
            foreach (var job in jobs) Run(x, stride, [job]);                  // partial sums have room for one product
        else Run(x, stride, jobs);
    }

    private void Run(float* x, int stride, (WeightMatrix Matrix, nint Y)[] jobs)
    {
        _jobInput = x;
        (_jobStride, _jobs) = (stride, jobs);
        _team.Run(_multiply);
        if (jobs[0].Matrix.NeedsGathering) _team.Run(_gather);
    }

    private void Multiply(int part)
    {
        foreach (var (matrix, y) in _jobs) matrix.Multiply(_jobInput, _rows, (float*)y, _jobStride, _partials[part], part, _team.Parts);
    }

    private void Gather(int part)
    {
        foreach (var (matrix, y) in _jobs) matrix.Gather(_partials, _rows, (float*)y, _jobStride, part, _team.Parts);
    }

    /// <summary>Norms and turns a part of all rows' queries and keys, and writes keys and values down.</summary>
    private void Remember(int part)
    {
        var (plan, d, perGroup, all) = (_plan.Layers[_layer], _plan.HeadWidth, _plan.Heads / _plan.Groups, _rows * _plan.Groups);
        for (var task = (int)((long)all * part / _team.Parts); task < (int)((long)all * (part + 1) / _team.Parts); task++)
        {
            var (row, group) = (task / _plan.Groups, task % _plan.Groups);
            float* q = _projected + (long)row * (_queries + 2 * _pairs), k = q + _queries + group * d, v = k + _pairs;
            for (var head = group * perGroup; head < (group + 1) * perGroup; head++) Turn(q + head * d, plan.QueryNorm, plan.Turns, row);
            Turn(k, plan.KeyNorm, plan.Turns, row);
            var (memory, at) = (_tokens[row].Memory, (long)_tokens[row].Position * d);
            new ReadOnlySpan<float>(k, d).CopyTo(new Span<float>(memory.Keys(_layer, group) + at, d));
            new ReadOnlySpan<float>(v, d).CopyTo(new Span<float>(memory.Values(_layer, group) + at, d));
        }
    }

    private void Turn(float* head, NormPlan? norm, bool turns, int row)
    {
        if (norm is not null) Norm(norm, head, head, _plan.HeadWidth);
        if (!turns || _plan.Rope is not { } rope) return;
        float* cos = _cos + row * rope.Width, sin = _sin + row * rope.Width;
        var half = rope.Width / 2;
        for (var i = 0; i < half; i++)
        {
            var (a, b) = (head[i], head[half + i]);
            (head[i], head[half + i]) = (a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]);
        }
    }

    /// <summary>A part of all heads of all rows.</summary>
    private void Attend(int part)
    {
        var plan = _plan.Layers[_layer];
        var (d, perGroup, all) = (_plan.HeadWidth, _plan.Heads / _plan.Groups, _rows * _plan.Heads);
        for (var task = (int)((long)all * part / _team.Parts); task < (int)((long)all * (part + 1) / _team.Parts); task++)
        {
            var (row, head) = (task / _plan.Heads, task % _plan.Heads);
            var (position, memory) = (_tokens[row].Position, _tokens[row].Memory);
            var first = plan.Window > 0 ? Math.Max(0, position - plan.Window + 1) : 0;
            var count = position + 1 - first;
            var scores = new Span<float>(Scores(part, count), count);
            var q = _projected + (long)row * (_queries + 2 * _pairs) + head * d;
            float* keys = memory.Keys(_layer, head / perGroup) + (long)first * d, values = memory.Values(_layer, head / perGroup) + (long)first * d;
            if (d % 16 == 0) HeadKernel.Read(q, keys, values, scores, _read + (long)row * _queries + head * d, d, (float)plan.Scale);
            else
            {
                for (var t = 0; t < count; t++) scores[t] = TensorPrimitives.Dot(new ReadOnlySpan<float>(q, d), new ReadOnlySpan<float>(keys + (long)t * d, d)) * (float)plan.Scale;
                TensorPrimitives.SoftMax(scores, scores);
                var read = new Span<float>(_read + (long)row * _queries + head * d, d);
                read.Clear();
                for (var t = 0; t < count; t++) TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(values + (long)t * d, d), scores[t], read, read);
            }
        }
    }

    private float* Scores(int part, int count)
    {
        // Room for twice as many as are asked for, so that it seldom grows; its size stands in front.
        var room = (int*)_scores[part];
        if (room is null || room[0] < count)
        {
            room = (int*)NativeMemory.AlignedRealloc(room, (nuint)(64 + (long)2 * count * sizeof(float)), 64);
            room[0] = 2 * count;
            _scores[part] = (nint)room;
        }
        return (float*)room + 16;
    }

    /// <summary>A part of the activation, of all rows.</summary>
    private void Activate(int part)
    {
        var (from, to) = WeightMatrix.Share(_plan.Inner, part, _team.Parts);
        for (var row = 0; row < _rows; row++)
        {
            var source = _up + (long)row * _upWidth + from;
            var up = new Span<float>(_inner + (long)row * _plan.Inner + from, to - from);
            new ReadOnlySpan<float>(source, to - from).CopyTo(up);
            switch (_plan.Activation)
            {
                case "relu": TensorPrimitives.Max(up, 0f, up); break;
                case "silu" or "swish": VectorMath.TimesSigmoid(up, 1, 0); break;
                default: VectorMath.TimesSigmoid(up, GeluLinear, GeluCubic); break;
            }
            if (_plan.IsGated) TensorPrimitives.Multiply(up, new ReadOnlySpan<float>(source + _plan.Inner, to - from), up);
        }
    }

    private void Add() => TensorPrimitives.Add(new ReadOnlySpan<float>(_x, _rows * _width), new ReadOnlySpan<float>(_residual, _rows * _width), new Span<float>(_x, _rows * _width));

    /// <summary>Logits of those rows that are asked for, which move together first.</summary>
    private void Head(float[]?[] logits)
    {
        var asked = 0;
        for (var row = 0; row < _rows; row++)
            if (logits[row] is not null) Norm(_plan.Final, _x + (long)row * _width, _normed + (long)asked++ * _width, _width);
        if (asked == 0) return;
        _rows = asked;
        Run(_normed, _head.To, [(_head, (nint)_logits)]);
        float[][] targets = [.. logits.OfType<float[]>()];
        _team.Run(part =>
        {
            var (from, to) = _head.Share(part, _team.Parts);
            for (var row = 0; row < targets.Length; row++) new ReadOnlySpan<float>(_logits + (long)row * _head.To + from, to - from).CopyTo(targets[row].AsSpan(from));
        });
    }
}
