using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace NotebookKit.Tests.Hub;

/// <summary>A hub with one repository that behaves, in the shape of the public API's documentation; tests override what they need.</summary>
internal sealed class FakeHub : IDisposable
{
    public const string Id = "org/model";
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    public FakeHub() => Server = new MisbehavingServer(asked => Override?.Invoke(asked) ?? Behave(asked));

    public MisbehavingServer Server { get; }

    /// <summary>Asked first; <c>null</c> means the ordinary answer.</summary>
    public Func<Asked, Answer?>? Override { get; set; }

    /// <summary>Small files have git's hash, those in <see cref="Large"/> a SHA-256.</summary>
    public Dictionary<string, byte[]> Files { get; } = new()
    {
        ["config.json"] = "{\"model_type\":\"bert\"}"u8.ToArray(),
        ["tokenizer.json"] = "{}"u8.ToArray(),
        ["model.safetensors"] = Bytes(300_000, 1),
        ["onnx/model.onnx"] = Bytes(1000, 2),
        ["pytorch_model.bin"] = Bytes(1000, 3),
    };

    public HashSet<string> Large { get; } = ["model.safetensors", "onnx/model.onnx", "pytorch_model.bin"];

    /// <summary>Puts another entry in the listing: name, size, checksum.</summary>
    public List<(string Name, long Size, string Sha256)> AlsoListed { get; } = [];

    public string Kind { get; init; } = "models";

    public byte[] Weights => Files["model.safetensors"];

    public IEnumerable<Asked> Gets(string file) => Server.Requests.Where(r => r.Method == "GET" && r.Path.EndsWith("/" + file, StringComparison.Ordinal));

    public static byte[] Bytes(int count, int seed)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>How git names a file: SHA-1 of "blob LENGTH NUL content".</summary>
    public static string GitHash(byte[] bytes) => Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {bytes.Length}\0"), .. bytes]));

    public string TagOf(string file) => Large.Contains(file) ? MisbehavingServer.Sha256(Files[file]) : GitHash(Files[file]);

    public string Listing() => JsonSerializer.Serialize(new
    {
        id = Id, sha = Commit,
        siblings = Files.Select(f => (object)(Large.Contains(f.Key)
                ? new { rfilename = f.Key, size = f.Value.Length, blobId = new string('a', 40), lfs = new { sha256 = TagOf(f.Key), size = f.Value.Length, pointerSize = 130 } }
                : new { rfilename = f.Key, size = f.Value.Length, blobId = TagOf(f.Key) }))
            .Concat(AlsoListed.Select(f => (object)new { rfilename = f.Name, size = f.Size, blobId = new string('b', 40), lfs = new { sha256 = f.Sha256, size = f.Size } })).ToArray(),
    });

    public Answer Behave(Asked asked)
    {
        if (asked.Path.StartsWith($"/api/{Kind}/{Id}/revision/", StringComparison.Ordinal))
            return asked.Path.Split('/')[^1].Split('?')[0] is "main" or "v1" or Commit ? Answer.Text(200, Listing()) : Answer.Text(404, "", ("X-Error-Code", "RevisionNotFound"));
        var prefix = $"{(Kind == "models" ? "" : "/" + Kind)}/{Id}/resolve/{Commit}/";
        if (!asked.Path.StartsWith(prefix, StringComparison.Ordinal)) return Answer.Text(404, "", ("X-Error-Code", "RepoNotFound"));
        var name = Uri.UnescapeDataString(asked.Path[prefix.Length..]);
        return Files.TryGetValue(name, out var bytes) ? Part(asked, bytes, ("ETag", $"\"{TagOf(name)}\""), ("X-Repo-Commit", Commit)) : Answer.Text(404, "", ("X-Error-Code", "EntryNotFound"));
    }

    /// <summary>A file, or the part that was asked for.</summary>
    public static Answer Part(Asked asked, byte[] bytes, params (string, string)[] headers) => asked.From == 0 ? new Answer(200, bytes, headers)
        : new Answer(206, bytes[asked.From..], [.. headers, ("Content-Range", $"bytes {asked.From}-{bytes.Length - 1}/{bytes.Length}")]);

    public void Dispose() => Server.Dispose();
}
