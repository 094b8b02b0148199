using TorchSharp.Modules;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>Copies the tensors of a checkpoint into the parameters of a model.</summary>
public static class ParameterLoader
{
    /// <summary>
    /// Reads every parameter that the file holds. A key matches with or without <paramref name="prefix"/>, and under the old names
    /// <c>LayerNorm.gamma</c> and <c>LayerNorm.beta</c>. Nothing is changed unless all shapes fit and no encoder parameter is missing.
    /// </summary>
    /// <param name="parameters">Parameters by their key.</param>
    /// <param name="file">The checkpoint.</param>
    /// <param name="prefix">Prefix of the encoder's keys, such as <c>bert.</c>, which a bare encoder's file leaves out.</param>
    /// <exception cref="InvalidDataException">A shape differs, or a parameter under the prefix is missing; the message names the file and the keys.</exception>
    public static LoadReport Load(IEnumerable<(string Name, Parameter Parameter)> parameters, SafetensorsFile file, string prefix)
    {
        var wanted = parameters.ToArray();
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, parameter) in wanted)
        {
            var key = Spellings(name, prefix).FirstOrDefault(file.Tensors.ContainsKey);
            if (key is null) continue;
            var shape = file.Tensors[key].Shape;
            if (!shape.SequenceEqual(parameter.shape))
                throw new InvalidDataException($"'{file.Path}': tensor '{key}' has the shape [{string.Join(", ", shape)}], the model needs "
                    + $"[{string.Join(", ", parameter.shape)}]. The config.json beside it belongs to other weights.");
            found[name] = key;
        }
        var missing = wanted.Select(p => p.Name).Where(n => !found.ContainsKey(n)).ToArray();
        var holes = missing.Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && !n.Contains("pooler", StringComparison.Ordinal)).ToArray();
        if (holes.Length > 0)
            throw new InvalidDataException($"'{file.Path}' lacks {holes.Length} parameters of the encoder, such as '{holes[0]}'. It holds keys like '{file.Tensors.Keys.FirstOrDefault()}'.");

        using var noGradient = no_grad();
        foreach (var (name, parameter) in wanted)
        {
            if (!found.TryGetValue(name, out var key)) continue;
            using var tensor = file.Read(key);
            parameter.copy_(tensor);
        }
        return new LoadReport([.. found.Keys], missing, [.. file.Tensors.Keys.Except(found.Values)]);
    }

    private static IEnumerable<string> Spellings(string name, string prefix)
    {
        var bare = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;
        foreach (var spelling in new[] { name, bare })
        {
            yield return spelling;
            if (spelling.EndsWith("LayerNorm.weight", StringComparison.Ordinal)) yield return spelling[..^6] + "gamma";
            if (spelling.EndsWith("LayerNorm.bias", StringComparison.Ordinal)) yield return spelling[..^4] + "beta";
        }
    }
}
