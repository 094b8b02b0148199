using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Text.Json;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>
/// A safetensors file opened for reading: the header is checked in full before any tensor is made, the data is memory-mapped and
/// each tensor is copied once. Format: 8 bytes header length (little-endian), a JSON header, then the data
/// (https://github.com/huggingface/safetensors#format). Not thread-safe.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private const long MaximumHeader = 100_000_000; // the reference implementation's own limit
    private static readonly Dictionary<string, (ScalarType Type, int Size)> Types = new()
    {
        ["F64"] = (ScalarType.Float64, 8), ["F32"] = (ScalarType.Float32, 4), ["F16"] = (ScalarType.Float16, 2), ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8), ["I32"] = (ScalarType.Int32, 4), ["I16"] = (ScalarType.Int16, 2), ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1), ["BOOL"] = (ScalarType.Bool, 1),
    };

    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Dictionary<string, TensorInfo> _tensors;
    private readonly byte* _data;

    private SafetensorsFile(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, Dictionary<string, TensorInfo> tensors,
        IReadOnlyDictionary<string, string> metadata, byte* data)
    {
        (Path, _map, _view, _tensors, Metadata) = (path, map, view, tensors, metadata);
        _data = data;
    }

    /// <summary>The file that was opened.</summary>
    public string Path { get; }

    /// <summary>The header's <c>__metadata__</c>, empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Every tensor by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _tensors;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is cut short, or its header is not what the format says; the message names the file and the key.</exception>
    public static SafetensorsFile Open(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No safetensors file at '{path}'.", path);
        TorchRuntime.EnsureLoaded();
        var length = new FileInfo(path).Length;
        if (length < 10) throw Bad(path, $"it has {length} bytes; even an empty one has 10");

        var map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        var view = map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        try
        {
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            start += view.PointerOffset;
            var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(start, 8));
            if (headerLength > MaximumHeader || (long)headerLength > length - 8)
                throw Bad(path, $"its header claims {headerLength:N0} bytes, the file has {length:N0} (cut short, or not a safetensors file)");
            var header = new ReadOnlyMemory<byte>(new ReadOnlySpan<byte>(start + 8, (int)headerLength).ToArray());
            var (tensors, metadata) = ReadHeader(path, header, length - 8 - (long)headerLength);
            return new SafetensorsFile(path, map, view, tensors, metadata, start + 8 + headerLength);
        }
        catch
        {
            view.SafeMemoryMappedViewHandle.ReleasePointer();
            view.Dispose();
            map.Dispose();
            throw;
        }
    }

    /// <summary>Copies one tensor out of the file.</summary>
    /// <param name="name">Key in the header.</param>
    /// <param name="dataType">Type to convert to; <c>null</c> keeps the file's. The caller disposes the tensor.</param>
    /// <exception cref="KeyNotFoundException">The file holds no such tensor.</exception>
    public Tensor Read(string name, ScalarType? dataType = null)
    {
        if (!_tensors.TryGetValue(name, out var info))
            throw new KeyNotFoundException($"'{Path}' holds no tensor '{name}'. It holds {_tensors.Count}: {string.Join(", ", _tensors.Keys.Take(5))} …");
        var tensor = empty(info.Shape, dtype: Types[info.DataType].Type);
        var bytes = info.End - info.Begin;
        if (bytes > 0) Buffer.MemoryCopy(_data + info.Begin, (void*)TensorMemory.Pointer(tensor), bytes, bytes);
        if (dataType is null || dataType == tensor.dtype) return tensor;
        using (tensor) return tensor.to(dataType.Value);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }

    private static (Dictionary<string, TensorInfo>, IReadOnlyDictionary<string, string>) ReadHeader(string path, ReadOnlyMemory<byte> header, long dataLength)
    {
        JsonDocument json;
        try { json = JsonDocument.Parse(header); }
        catch (JsonException e) { throw Bad(path, $"its header is not JSON ({e.Message})"); }
        using (json)
        {
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw Bad(path, "its header is not a JSON object");
            var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
            var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var entry in json.RootElement.EnumerateObject())
            {
                if (entry.Name == "__metadata__")
                {
                    if (entry.Value.ValueKind != JsonValueKind.Object) throw Bad(path, "its __metadata__ is not an object of strings");
                    foreach (var pair in entry.Value.EnumerateObject())
                        metadata[pair.Name] = pair.Value.ValueKind == JsonValueKind.String
                            ? pair.Value.GetString()! : throw Bad(path, $"its metadata '{pair.Name}' is not a string");
                }
                else if (!tensors.TryAdd(entry.Name, ReadEntry(path, entry, dataLength)))
                    throw Bad(path, $"tensor '{entry.Name}' stands twice in its header");
            }
            CheckCover(path, tensors.Values, dataLength);
            return (tensors, metadata);
        }
    }

    private static TensorInfo ReadEntry(string path, JsonProperty entry, long dataLength)
    {
        var name = entry.Name;
        try
        {
            var type = entry.Value.GetProperty("dtype").GetString()!;
            var shape = entry.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64()).ToArray();
            var offsets = entry.Value.GetProperty("data_offsets").EnumerateArray().Select(d => d.GetInt64()).ToArray();
            if (!Types.TryGetValue(type, out var known))
                throw Bad(path, $"tensor '{name}' has dtype '{type}'; known are {string.Join(", ", Types.Keys)}");
            if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > dataLength)
                throw Bad(path, $"tensor '{name}' claims bytes [{string.Join(", ", offsets)}), the file has {dataLength:N0} of data (cut short?)");
            if (shape.Any(d => d < 0)) throw Bad(path, $"tensor '{name}' has a negative size in its shape [{string.Join(", ", shape)}]");
            var bytes = shape.Aggregate((long)known.Size, (a, d) => checked(a * d));
            if (bytes != offsets[1] - offsets[0])
                throw Bad(path, $"tensor '{name}' {type} [{string.Join(", ", shape)}] needs {bytes:N0} bytes, its offsets give {offsets[1] - offsets[0]:N0}");
            return new TensorInfo(name, type, shape, offsets[0], offsets[1]);
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException or OverflowException)
        {
            throw Bad(path, $"the header entry of tensor '{name}' is malformed ({e.Message})");
        }
    }

    private static void CheckCover(string path, IEnumerable<TensorInfo> tensors, long dataLength)
    {
        var at = 0L;
        foreach (var tensor in tensors.OrderBy(t => t.Begin).ThenBy(t => t.End))
        {
            if (tensor.Begin != at)
                throw Bad(path, $"tensor '{tensor.Name}' starts at byte {tensor.Begin:N0}, the one before ends at {at:N0} (overlap or gap)");
            at = tensor.End;
        }
        if (at != dataLength) throw Bad(path, $"its tensors end at byte {at:N0}, its data at {dataLength:N0}");
    }

    private static InvalidDataException Bad(string path, string what) => new($"'{path}' is not a usable safetensors file: {what}.");
}
