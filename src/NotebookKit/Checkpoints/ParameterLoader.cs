using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>How a model's names relate to those a checkpoint may use.</summary>
/// <param name="Prefix">What stands before the network's own names when a head stands on it, such as <c>bert.</c>; a checkpoint may have it or not.</param>
/// <param name="Aliases">Other names: a part of the model's name, and what stands in its place.</param>
/// <param name="MayBeAbsent">Which parameters of the network itself a checkpoint may lack.</param>
/// <param name="HasHead">Whether names without the prefix belong to a head, which may be new.</param>
public sealed record KeyNames(string Prefix, IReadOnlyList<(string Here, string There)> Aliases, Func<string, bool> MayBeAbsent, bool HasHead);

/// <summary>Copies the tensors of a checkpoint into the parameters of a model.</summary>
public static partial class ParameterLoader
{
    /// <summary>
    /// Reads every parameter that the checkpoint holds, each straight into its place. A key matches with or without the prefix, under the model's
    /// aliases, and under the old names <c>LayerNorm.gamma</c> and <c>LayerNorm.beta</c>. Nothing is changed unless every part of the network is there in its shape.
    /// </summary>
    /// <param name="stored">What the model stores, by name.</param>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="names">How names relate.</param>
    /// <param name="withHash">Whether to compute the hash, which reads everything once more.</param>
    /// <param name="onlyHead">Which parameters of the head may be in another shape and so stay fresh; by default none.</param>
    /// <exception cref="InvalidDataException">A part of the network is missing, or of another shape; the message names the file, the key and the shapes.</exception>
    public static LoadReport Load(IEnumerable<(string Name, Tensor Value)> stored, Checkpoint checkpoint, KeyNames names, bool withHash = false, bool onlyHead = false)
    {
        var wanted = stored.ToArray();
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        var (reshaped, renamed) = (new List<string>(), new List<string>());
        bool IsHead(string name) => names.HasHead && names.Prefix.Length > 0 && !name.StartsWith(names.Prefix, StringComparison.Ordinal);
        foreach (var (name, value) in wanted)
        {
            var key = Spellings(name, names).FirstOrDefault(checkpoint.Has);
            if (key is null) continue;
            var shape = checkpoint[key].Shape;
            if (!shape.SequenceEqual(value.shape))
            {
                var both = $"'{key}' has the shape [{string.Join(", ", shape)}], the model needs [{string.Join(", ", value.shape)}]";
                if (!onlyHead || !IsHead(name))
                    throw new InvalidDataException($"'{checkpoint.FileOf(key)}': tensor {both}. The config.json beside it belongs to other weights.");
                reshaped.Add(both);
                continue;
            }
            found[name] = key;
            if (key != name && key != names.Prefix + name && names.Prefix + key != name) renamed.Add($"{name} ← {key}");
        }
        var missing = wanted.Select(p => p.Name).Where(n => !found.ContainsKey(n)).ToArray();
        var holes = missing.Where(n => !IsHead(n) && !names.MayBeAbsent(n)).ToArray();
        if (holes.Length > 0)
            throw new InvalidDataException($"'{checkpoint.Source}' lacks {holes.Length} parameters of the network, such as '{holes[0]}'. It holds keys like '{checkpoint.Tensors.FirstOrDefault()?.Name}'.");
        var unexpected = checkpoint.Tensors.Select(t => t.Name).Except(found.Values).ToArray();
        CheckLayers(checkpoint, wanted.Select(w => w.Name), unexpected);

        using var noGradient = no_grad();
        foreach (var (name, value) in wanted)
            if (found.TryGetValue(name, out var key)) checkpoint.ReadInto(key, value);
        var spellings = wanted.SelectMany(w => Spellings(w.Name, names)).ToHashSet(StringComparer.Ordinal);
        var tied = unexpected.Where(spellings.Contains).ToHashSet(StringComparer.Ordinal);
        return new LoadReport([.. found.Keys], missing, [.. unexpected.Where(u => !tied.Contains(u) && !IsLeftover(u))])
        {
            Reshaped = reshaped, Tied = [.. tied], Renamed = renamed, Hash = withHash ? HashOf(found.Values, checkpoint) : "",
        };
    }

    /// <summary>Buffers that old files carry and no version reads.</summary>
    private static bool IsLeftover(string key) =>
        key.EndsWith("position_ids", StringComparison.Ordinal) || key.EndsWith(".attn.bias", StringComparison.Ordinal) || key.EndsWith(".attn.masked_bias", StringComparison.Ordinal)
        || key.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || key.EndsWith(".attention.bias", StringComparison.Ordinal) || key.EndsWith(".attention.masked_bias", StringComparison.Ordinal);

    /// <summary>A checkpoint with more layers than the model has belongs to another config.json.</summary>
    private static void CheckLayers(Checkpoint checkpoint, IEnumerable<string> names, IEnumerable<string> unexpected)
    {
        var shapes = names.Select(n => Number().Replace(n, ".#.")).ToHashSet(StringComparer.Ordinal);
        var extra = unexpected.FirstOrDefault(u => Number().IsMatch(u) && shapes.Contains(Number().Replace(u, ".#.")));
        if (extra is not null)
            throw new InvalidDataException($"'{checkpoint.FileOf(extra)}' holds '{extra}', a layer that the model does not have: the number of layers in the config.json beside it is too small for these weights.");
    }

    private static string HashOf(IEnumerable<string> keys, Checkpoint checkpoint)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var key in keys.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(key));
            checkpoint.AppendTo(hash, key);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static IEnumerable<string> Spellings(string name, KeyNames names)
    {
        var bare = names.Prefix.Length > 0 && name.StartsWith(names.Prefix, StringComparison.Ordinal) ? name[names.Prefix.Length..] : name;
        var others = names.Aliases.Where(a => name.Contains(a.Here, StringComparison.Ordinal)).Select(a => name.Replace(a.Here, a.There, StringComparison.Ordinal));
        foreach (var spelling in new[] { name, bare, names.Prefix + name }.Concat(others).Distinct(StringComparer.Ordinal))
        {
            yield return spelling;
            if (spelling.EndsWith("LayerNorm.weight", StringComparison.Ordinal)) yield return spelling[..^6] + "gamma";
            if (spelling.EndsWith("LayerNorm.bias", StringComparison.Ordinal)) yield return spelling[..^4] + "beta";
        }
    }

    [GeneratedRegex(@"\.\d+\.")]
    private static partial Regex Number();
}
