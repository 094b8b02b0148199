using System.Buffers.Binary;
using System.Text.Json;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>Writes safetensors files: to a temporary name beside the target, then moved, so that a file is whole or absent.</summary>
public static unsafe class SafetensorsWriter
{
    /// <summary>Writes tensors under their names, in ordinal order of the names; the header is padded to 8 bytes as the reference does.</summary>
    /// <param name="path">Target file; an existing one is replaced only once the new one is whole.</param>
    /// <param name="tensors">CPU tensors by key. They are read, not kept.</param>
    /// <param name="dataType">Type to store floating-point tensors in; <c>null</c> keeps each tensor's own.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>; by default <c>format: pt</c>, which the reference implementations ask for.</param>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, ScalarType? dataType = null,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        TorchRuntime.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var stored = tensors.OrderBy(t => t.Key, StringComparer.Ordinal)
            .Select(t => (t.Key, Value: (dataType is { } type && t.Value.is_floating_point() ? t.Value.to(type) : t.Value).contiguous())).ToArray();

        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach (var (key, value) in metadata ?? new Dictionary<string, string> { ["format"] = "pt" }) json.WriteString(key, value);
            json.WriteEndObject();
            var offset = 0L;
            foreach (var (name, tensor) in stored)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", NameOf(tensor.dtype, name));
                json.WriteStartArray("shape");
                foreach (var size in tensor.shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += tensor.numel() * tensor.element_size());
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (header.Length % 8 != 0) header.WriteByte((byte)' ');

        WholeFile.Write(path, file =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            file.Write(length);
            header.WriteTo(file);
            foreach (var (_, tensor) in stored)
            {
                if (tensor.numel() == 0) continue;
                using var bytes = new UnmanagedMemoryStream((byte*)TensorMemory.Pointer(tensor), tensor.numel() * tensor.element_size());
                bytes.CopyTo(file);
            }
        });
    }

    private static string NameOf(ScalarType type, string tensor) => type switch
    {
        ScalarType.Float64 => "F64", ScalarType.Float32 => "F32", ScalarType.Float16 => "F16", ScalarType.BFloat16 => "BF16",
        ScalarType.Int64 => "I64", ScalarType.Int32 => "I32", ScalarType.Int16 => "I16", ScalarType.Int8 => "I8",
        ScalarType.Byte => "U8", ScalarType.Bool => "BOOL",
        _ => throw new ArgumentException($"safetensors cannot hold tensor '{tensor}' of type {type}."),
    };
}
