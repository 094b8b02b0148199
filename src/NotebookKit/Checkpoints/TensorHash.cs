using System.Security.Cryptography;
using System.Text;
using NotebookKit.Runtime;
using static TorchSharp.torch;

namespace NotebookKit.Checkpoints;

/// <summary>Hashes of tensors.</summary>
internal static class TensorHash
{
    /// <summary>SHA-256 of one tensor.</summary>
    public static string Of(Tensor tensor) => Of([KeyValuePair.Create("", tensor)]);

    /// <summary>SHA-256 over names, types, shapes and bytes of tensors, and a text, in hexadecimal.</summary>
    public static unsafe string Of(IEnumerable<KeyValuePair<string, Tensor>> tensors, string text = "")
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(text));
        foreach (var (name, value) in tensors)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"\n{name} {value.dtype} {string.Join(',', value.shape)}\n"));
            using var whole = value.is_contiguous() ? value.alias() : value.contiguous();
            var at = whole.numel() == 0 ? null : (byte*)TensorMemory.Pointer(whole);
            for (var left = whole.numel() * whole.element_size(); left > 0; at += 1 << 24, left -= 1 << 24) hash.AppendData(new ReadOnlySpan<byte>(at, (int)Math.Min(left, 1 << 24)));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
