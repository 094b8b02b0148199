using System.Text.Json;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>The weights of a model folder: one safetensors file, or several with an index, seen as one set of tensors.</summary>
public sealed class Checkpoint : IDisposable
{
    private readonly IReadOnlyList<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _holder = new(StringComparer.Ordinal);

    private Checkpoint(string source, IReadOnlyList<SafetensorsFile> files)
    {
        (Source, _files) = (source, files);
        foreach (var file in files)
            foreach (var name in file.Tensors.Keys)
                if (!_holder.TryAdd(name, file))
                    throw new InvalidDataException($"The tensor '{name}' stands in '{_holder[name].Path}' and in '{file.Path}'.");
    }

    /// <summary>The file, or the index, that was opened.</summary>
    public string Source { get; }

    /// <summary>Every tensor by name.</summary>
    public IEnumerable<TensorInfo> Tensors => _files.SelectMany(f => f.Tensors.Values);

    /// <summary>Bytes of all tensors.</summary>
    public long Bytes => Tensors.Sum(t => t.End - t.Begin);

    /// <summary>Opens the weights of a model folder and checks every header.</summary>
    /// <exception cref="FileNotFoundException">The folder has no safetensors file, or a shard is missing.</exception>
    /// <exception cref="InvalidDataException">A file is cut short or not what the format says, or the index and the shards disagree.</exception>
    public static Checkpoint Open(string folder)
    {
        var single = Path.Combine(folder, "model.safetensors");
        var index = single + ".index.json";
        if (File.Exists(single)) return new Checkpoint(single, [SafetensorsFile.Open(single)]);
        if (File.Exists(index)) return OpenShards(folder, index);
        var pickled = Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.bin").Concat(Directory.EnumerateFiles(folder, "*.pt")).Concat(Directory.EnumerateFiles(folder, "*.pth")).FirstOrDefault() : null;
        throw new FileNotFoundException(pickled is null
            ? $"No model.safetensors and no model.safetensors.index.json in '{folder}'."
            : $"'{pickled}' is a pickle, which can run code when it is read; the kit never opens one. Convert it once where you trust it: in Python, "
                + $"AutoModel….from_pretrained(\"{folder}\").save_pretrained(\"…\", safe_serialization=True), or look for model.safetensors among the model's revisions on the hub.", single);
    }

    /// <summary>One file as a checkpoint.</summary>
    public static Checkpoint OpenFile(string path) => new(path, [SafetensorsFile.Open(path)]);

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Has(string name) => _holder.ContainsKey(name);

    /// <summary>What the header says of a tensor.</summary>
    public TensorInfo this[string name] => _holder[name].Tensors[name];

    /// <summary>Path of the file that holds a tensor.</summary>
    public string FileOf(string name) => _holder[name].Path;

    /// <summary>Copies a tensor out of its file; the caller disposes it.</summary>
    public Tensor Read(string name, ScalarType? dataType = null) => _holder[name].Read(name, dataType);

    /// <summary>Copies a tensor from its file straight into one of the same shape, converting its type.</summary>
    public void ReadInto(string name, Tensor target) => _holder[name].ReadInto(name, target);

    /// <summary>Adds a tensor's bytes as they stand in its file to a hash.</summary>
    internal void AppendTo(System.Security.Cryptography.IncrementalHash hash, string name) => _holder[name].AppendTo(hash, name);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in _files) file.Dispose();
    }

    private static Checkpoint OpenShards(string folder, string index)
    {
        Dictionary<string, string> map;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(index));
            map = json.RootElement.GetProperty("weight_map").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.Ordinal);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException)
        {
            throw new InvalidDataException($"'{index}' is not an index of shards: {e.Message}", e);
        }
        var names = map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        if (Array.Find(names, n => n != Path.GetFileName(n)) is { } outside) throw new InvalidDataException($"'{index}' names the shard '{outside}', which is not a plain file name.");
        var missing = names.Where(n => !File.Exists(Path.Combine(folder, n))).ToArray();
        if (missing.Length > 0) throw new FileNotFoundException($"'{index}' names {names.Length} files; missing: {string.Join(", ", missing)}. Download them into '{folder}'.", Path.Combine(folder, missing[0]));
        var files = new List<SafetensorsFile>();
        try
        {
            foreach (var name in names) files.Add(SafetensorsFile.Open(Path.Combine(folder, name)));
            var checkpoint = new Checkpoint(index, files);
            foreach (var (tensor, file) in map)
                if (!checkpoint.Has(tensor) || Path.GetFileName(checkpoint.FileOf(tensor)) != file)
                    throw new InvalidDataException($"'{index}' says that '{tensor}' is in {file}; it is " + (checkpoint.Has(tensor) ? $"in {Path.GetFileName(checkpoint.FileOf(tensor))}." : "in none of the files."));
            return checkpoint;
        }
        catch
        {
            foreach (var file in files) file.Dispose();
            throw;
        }
    }
}
