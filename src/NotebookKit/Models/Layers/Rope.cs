using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>
/// Rotary position embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864) in the half-split layout, with the scalings that published
/// configurations name: linear, dynamic (NTK), yarn (Peng et al. 2023, https://arxiv.org/abs/2309.00071), llama3, longrope (Ding et al. 2024).
/// </summary>
internal sealed class Rope
{
    private readonly int _width, _maximumPositions, _originalPositions;
    private readonly string _kind;
    private readonly double _theta, _factor, _scale;
    private readonly float[]? _short, _long;
    private readonly float[] _frequencies;

    /// <summary>Reads <c>rope_parameters</c> (transformers 5) or <c>rope_theta</c> and <c>rope_scaling</c> (before).</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="headWidth">d; <c>partial_rotary_factor</c> of it is rotated.</param>
    /// <param name="layerType">Key inside <c>rope_parameters</c> where each kind of layer has its own; else <c>null</c>.</param>
    /// <param name="theta">Base where the configuration has none.</param>
    /// <param name="scaled">Whether <c>rope_scaling</c> of an older configuration holds for these layers.</param>
    public Rope(ConfigJson config, int headWidth, string? layerType = null, double theta = 10000, bool scaled = true)
    {
        var group = config.Group("rope_parameters");
        if (layerType is not null && group?.Group(layerType) is { } own) group = own;
        group ??= scaled ? config.Group("rope_scaling") : null;
        _theta = group is not null && group.Has("rope_theta") ? group.Real("rope_theta") : layerType is null ? config.Real("rope_theta", theta) : theta;
        var partial = group is not null && group.Has("partial_rotary_factor") ? group.Real("partial_rotary_factor")
            : config.Real("partial_rotary_factor", config.Real("rotary_pct", 1));
        _width = (int)(headWidth * partial);
        _kind = group is null ? "default" : group.Text("rope_type", group.Text("type", "default"));
        _maximumPositions = config.Int("max_position_embeddings", 2048);
        var original = group is not null && group.Has("original_max_position_embeddings") ? group.Int("original_max_position_embeddings")
            : config.Int("original_max_position_embeddings", _maximumPositions);
        _originalPositions = original;
        _factor = group is not null && group.Has("factor") ? group.Real("factor") : (double)_maximumPositions / original;
        _scale = 1;
        switch (_kind)
        {
            case "default":
                _frequencies = Frequencies(_theta);
                break;
            case "linear":
                _frequencies = Array.ConvertAll(Frequencies(_theta), f => (float)(f / _factor));
                break;
            case "dynamic":
                _frequencies = Frequencies(_theta);
                break;
            case "llama3":
                _frequencies = Llama3(group!);
                break;
            case "yarn":
                (_frequencies, _scale) = Yarn(group!);
                break;
            case "longrope" or "su":
                _short = Factors(group!, "short_factor");
                _long = Factors(group!, "long_factor");
                _frequencies = Frequencies(_theta);
                var stretch = (double)_maximumPositions / original;
                _scale = group!.Has("attention_factor") ? group.Real("attention_factor") : stretch <= 1 ? 1 : Math.Sqrt(1 + Math.Log(stretch) / Math.Log(original));
                break;
            default:
                throw group!.Wrong(group.Has("rope_type") ? "rope_type" : "type", "one of default, linear, dynamic, yarn, llama3, longrope");
        }
    }

    /// <summary>Whether a cached key may have been rotated by other frequencies than a recomputed one (the reference's dynamic scalings do so).</summary>
    public bool DependsOnLength => _kind is "dynamic" or "longrope" or "su";

    /// <summary>Numbers of a head that are rotated, r.</summary>
    public int Width => _width;

    /// <summary>Angles a position turns by, (r / 2), and the factor on cosines and sines, where they do not depend on the length.</summary>
    public (float[] Frequencies, double Scale) Turns => (_frequencies, _scale);

    /// <summary>Cosines and sines (B or 1, 1, T, r) for positions (B or 1, T) int64.</summary>
    public (Tensor Cos, Tensor Sin) At(Tensor positions, ScalarType type)
    {
        var length = DependsOnLength ? positions.max().item<long>() + 1 : 0;
        var frequencies = tensor(FrequenciesAt(length));
        var angles = positions.to(ScalarType.Float32).unsqueeze(-1) * frequencies;     // (B, T, r/2)
        angles = cat([angles, angles], -1).unsqueeze(1);
        return ((angles.cos() * _scale).to(type), (angles.sin() * _scale).to(type));
    }

    /// <summary>Rotates the first r of d numbers of x (B, H, T, d).</summary>
    public static Tensor Rotate(Tensor x, (Tensor Cos, Tensor Sin) at)
    {
        var (r, d) = (at.Cos.size(-1), x.size(-1));
        var turned = r == d ? x : x.narrow(-1, 0, r);
        var (first, second) = (turned.narrow(-1, 0, r / 2), turned.narrow(-1, r / 2, r / 2));
        turned = turned * at.Cos + cat([-second, first], -1) * at.Sin;
        return r == d ? turned : cat([turned, x.narrow(-1, r, d - r)], -1);
    }

    private float[] FrequenciesAt(long length)
    {
        if (_kind == "dynamic" && length > _maximumPositions)
            return Frequencies(_theta * Math.Pow(_factor * length / _maximumPositions - (_factor - 1), _width / (_width - 2.0)));
        if (_short is not null && _long is not null)
        {
            var factors = length > _originalPositions ? _long : _short;
            return [.. _frequencies.Select((f, i) => f / factors[i])];
        }
        return _frequencies;
    }

    private float[] Frequencies(double theta) =>
        [.. Enumerable.Range(0, _width / 2).Select(i => 1f / MathF.Pow((float)theta, 2f * i / _width))];

    private float[] Llama3(ConfigJson group)
    {
        var (low, high) = (group.Real("low_freq_factor", 1), group.Real("high_freq_factor", 4));
        return Array.ConvertAll(Frequencies(_theta), f =>
        {
            var wavelength = 2 * Math.PI / f;
            if (wavelength < _originalPositions / high) return f;
            if (wavelength > _originalPositions / low) return (float)(f / _factor);
            var smooth = (_originalPositions / wavelength - low) / (high - low);
            return (float)((1 - smooth) * f / _factor + smooth * f);
        });
    }

    private (float[], double) Yarn(ConfigJson group)
    {
        double Dimension(double rotations) => _width * Math.Log(_originalPositions / (rotations * 2 * Math.PI)) / (2 * Math.Log(_theta));
        var (low, high) = (Dimension(group.Real("beta_fast", 32)), Dimension(group.Real("beta_slow", 1)));
        if (group.Flag("truncate", true)) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, _width - 1));
        if (low == high) high += 0.001;
        var plain = Frequencies(_theta);
        var frequencies = plain.Select((f, i) =>
        {
            var ramp = Math.Clamp((i - low) / (high - low), 0, 1);
            return (float)(f / _factor * ramp + f * (1 - ramp));
        }).ToArray();
        double Magnitude(double weight) => _factor <= 1 ? 1 : 0.1 * weight * Math.Log(_factor) + 1;
        var scale = group.Has("attention_factor") ? group.Real("attention_factor")
            : group.Has("mscale") && group.Has("mscale_all_dim") ? Magnitude(group.Real("mscale")) / Magnitude(group.Real("mscale_all_dim")) : Magnitude(1);
        return (frequencies, scale);
    }

    private float[] Factors(ConfigJson group, string field)
    {
        var factors = group.Reals(field) ?? throw group.Wrong(field, $"a list of {_width / 2} numbers");
        return factors.Count == _width / 2 ? [.. factors.Select(f => (float)f)] : throw group.Wrong(field, $"a list of {_width / 2} numbers");
    }
}
