using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>
/// A safetensors file opened for reading: the header is checked in full before any tensor is made, and each tensor is read from the file
/// straight into its place, so that nothing is held twice. Format: 8 bytes header length (little-endian), a JSON header, then the data
/// (https://github.com/huggingface/safetensors#format). Not thread-safe.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private const int Piece = 4 << 20;
    private const long MaximumHeader = 100_000_000; // the reference implementation's own limit
    private static readonly Dictionary<string, (ScalarType Type, int Size)> Types = new()
    {
        ["F64"] = (ScalarType.Float64, 8), ["F32"] = (ScalarType.Float32, 4), ["F16"] = (ScalarType.Float16, 2), ["BF16"] = (ScalarType.BFloat16, 2),
        ["I64"] = (ScalarType.Int64, 8), ["I32"] = (ScalarType.Int32, 4), ["I16"] = (ScalarType.Int16, 2), ["I8"] = (ScalarType.Int8, 1),
        ["U8"] = (ScalarType.Byte, 1), ["BOOL"] = (ScalarType.Bool, 1),
    };

    private readonly SafeFileHandle _file;
    private readonly Dictionary<string, TensorInfo> _tensors;
    private readonly long _start;

    private SafetensorsFile(string path, SafeFileHandle file, Dictionary<string, TensorInfo> tensors, IReadOnlyDictionary<string, string> metadata, long start) =>
        (Path, _file, _tensors, Metadata, _start) = (path, file, tensors, metadata, start);

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
        var file = File.OpenHandle(path);
        try
        {
            var length = RandomAccess.GetLength(file);
            if (length < 10) throw Bad(path, $"it has {length} bytes; even an empty one has 10");
            Span<byte> prefix = stackalloc byte[8];
            ReadAll(file, path, prefix, 0);
            var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (headerLength > MaximumHeader || (long)headerLength > length - 8)
                throw Bad(path, $"its header claims {headerLength:N0} bytes, the file has {length:N0} (cut short, or not a safetensors file)");
            var header = new byte[headerLength];
            ReadAll(file, path, header, 8);
            var (tensors, metadata) = ReadHeader(path, header, length - 8 - (long)headerLength);
            return new SafetensorsFile(path, file, tensors, metadata, 8 + (long)headerLength);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies one tensor out of the file.</summary>
    /// <param name="name">Key in the header.</param>
    /// <param name="dataType">Type to convert to; <c>null</c> keeps the file's. The caller disposes the tensor.</param>
    /// <exception cref="KeyNotFoundException">The file holds no such tensor.</exception>
    public Tensor Read(string name, ScalarType? dataType = null)
    {
        var info = Find(name);
        var tensor = empty(info.Shape, dtype: dataType ?? Types[info.DataType].Type);
        ReadInto(name, tensor);
        return tensor;
    }

    /// <summary>Reads one tensor into memory that is there already, a few megabytes at a time, converting its type.</summary>
    /// <param name="name">Key in the header.</param>
    /// <param name="target">A contiguous CPU tensor of the same number of elements.</param>
    /// <exception cref="KeyNotFoundException">The file holds no such tensor.</exception>
    /// <exception cref="InvalidDataException">The file ends before the tensor does.</exception>
    public void ReadInto(string name, Tensor target)
    {
        var info = Find(name);
        var (type, size) = Types[info.DataType];
        if (info.Count != target.numel()) throw new ArgumentException($"'{name}' of '{Path}' has {info.Count:N0} elements, the target {target.numel():N0}.");
        var address = (byte*)TensorMemory.Pointer(target);
        if (type == target.dtype)
        {
            for (var at = 0L; at < info.End - info.Begin; at += Piece)
                ReadAll(_file, Path, new Span<byte>(address + at, (int)Math.Min(Piece, info.End - info.Begin - at)), _start + info.Begin + at);
            return;
        }
        using var noGradient = no_grad();
        using var flat = target.detach().view(-1);
        var elements = Piece / size;
        using var piece = empty(Math.Min(elements, info.Count), dtype: type);
        for (var at = 0L; at < info.Count; at += elements)
        {
            var count = Math.Min(elements, info.Count - at);
            ReadAll(_file, Path, new Span<byte>((byte*)TensorMemory.Pointer(piece), (int)(count * size)), _start + info.Begin + at * size);
            using var part = flat.narrow(0, at, count);
            using var from = piece.narrow(0, 0, count);
            part.copy_(from);
        }
    }

    /// <summary>Adds a tensor's bytes as they stand in the file to a hash.</summary>
    internal void AppendTo(IncrementalHash hash, string name)
    {
        var info = Find(name);
        var buffer = new byte[Math.Min(Piece, info.End - info.Begin)];
        for (var at = info.Begin; at < info.End; at += Piece)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(Piece, info.End - at));
            ReadAll(_file, Path, part, _start + at);
            hash.AppendData(part);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private TensorInfo Find(string name) => _tensors.TryGetValue(name, out var info) ? info
        : throw new KeyNotFoundException($"'{Path}' holds no tensor '{name}'. It holds {_tensors.Count}: {string.Join(", ", _tensors.Keys.Take(5))} …");

    private static void ReadAll(SafeFileHandle file, string path, Span<byte> target, long offset)
    {
        while (target.Length > 0)
        {
            var got = RandomAccess.Read(file, target, offset);
            if (got == 0) throw Bad(path, $"it ends at byte {offset:N0}, before its data does (cut short while it was read?)");
            target = target[got..];
            offset += got;
        }
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
