using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace NotebookKit.Tests.Hub;

/// <summary>What a server answers, and how it fails at it.</summary>
internal sealed record Answer(int Status, byte[] Body)
{
    public Dictionary<string, string> Headers { get; init; } = [];

    /// <summary>What the header claims; by default the truth.</summary>
    public long? ClaimedLength { get; init; }

    /// <summary>The connection ends after so many bytes of the body.</summary>
    public int? CutAfter { get; init; }

    /// <summary>After the headers nothing comes any more.</summary>
    public bool Stalls { get; init; }

    public static Answer Text(int status, string body) => new(status, Encoding.UTF8.GetBytes(body));
}

/// <summary>A hub on this machine that can be told to misbehave; raw sockets, so that it can break the protocol.</summary>
internal sealed class MisbehavingServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();

    public MisbehavingServer()
    {
        _listener.Start();
        _ = Task.Run(AcceptAsync);
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/");

    /// <summary>Skips the test, saying why, on a machine without so much as a loopback network.</summary>
    public static void RequireLoopback()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        try
        {
            using var client = new TcpClient();
            client.Connect((IPEndPoint)listener.LocalEndpoint);
        }
        catch (SocketException e) { Assert.Skip($"the loopback network is down: {e.Message}"); }
        finally { listener.Stop(); }
    }

    /// <summary>Requests in order: path, and headers in lower case.</summary>
    public ConcurrentQueue<(string Path, Dictionary<string, string> Headers)> Seen { get; } = new();

    /// <summary>Answers a path by its headers and how often it was asked for before; <c>null</c> is the usual answer.</summary>
    public Func<string, Dictionary<string, string>, int, Answer?> Behave { get; set; } = (_, _, _) => null;

    /// <summary>Files of the model, by name.</summary>
    public Dictionary<string, byte[]> Files { get; } = [];

    /// <summary>A list in place of the true one.</summary>
    public string? List { get; set; }

    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    public static string Sha256(byte[] body) => Convert.ToHexStringLower(SHA256.HashData(body));

    public static string GitHash(byte[] body) => Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {body.Length}\0"), .. body]));

    /// <summary>As the hub lists files: large ones by SHA-256, the others as git blobs.</summary>
    public string Listing(Func<string, long>? size = null, Func<string, string>? hash = null) =>
        $$"""{"sha":"{{Commit}}","siblings":[{{string.Join(',', Files.Select(f =>
        {
            var (bytes, large) = (size?.Invoke(f.Key) ?? f.Value.Length, f.Key.EndsWith(".safetensors", StringComparison.Ordinal));
            return $$"""{"rfilename":{{System.Text.Json.JsonSerializer.Serialize(f.Key)}},"size":{{bytes}},"blobId":"{{GitHash(f.Value)}}"{{(large ? $$""","lfs":{"sha256":"{{hash?.Invoke(f.Key) ?? Sha256(f.Value)}}","size":{{bytes}}}""" : "")}}}""";
        }))}}]}""";

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Stop();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException) { return; }
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var own = client;
        try
        {
            await using var stream = client.GetStream();
            var head = new StringBuilder();
            var one = new byte[1];
            while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
                if (await stream.ReadAsync(one, _stop.Token) == 0) return;
                else head.Append((char)one[0]);
            var lines = head.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
            var path = Uri.UnescapeDataString(lines[0].Split(' ')[1]);
            var headers = lines.Skip(1).Select(l => l.Split(':', 2)).ToDictionary(l => l[0].ToLowerInvariant(), l => l[1].Trim());
            var before = Seen.Count(s => s.Path == path);
            Seen.Enqueue((path, headers));
            var answer = Behave(path, headers, before) ?? Usual(path, headers);
            var text = new StringBuilder($"HTTP/1.1 {answer.Status} x\r\nConnection: close\r\nContent-Length: {answer.ClaimedLength ?? answer.Body.Length}\r\n");
            foreach (var (key, value) in answer.Headers) text.Append($"{key}: {value}\r\n");
            await stream.WriteAsync(Encoding.ASCII.GetBytes(text + "\r\n"), _stop.Token);
            await stream.WriteAsync(answer.Body.AsMemory(0, answer.CutAfter ?? answer.Body.Length), _stop.Token);
            if (answer.Stalls) await Task.Delay(Timeout.Infinite, _stop.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or SocketException) { }
    }

    private Answer Usual(string path, Dictionary<string, string> headers)
    {
        if (path.StartsWith("/api/", StringComparison.Ordinal)) return Answer.Text(200, List ?? Listing());
        var name = path[(path.IndexOf(Commit, StringComparison.Ordinal) + Commit.Length + 1)..];
        return Files.TryGetValue(name, out var body) ? Part(body, headers) : Answer.Text(404, "") with { Headers = new() { ["X-Error-Code"] = "EntryNotFound" } };
    }

    /// <summary>The rest of a body from where the request asks.</summary>
    public static Answer Part(byte[] body, Dictionary<string, string> headers)
    {
        if (!headers.TryGetValue("range", out var range)) return new Answer(200, body);
        var from = int.Parse(range["bytes=".Length..].TrimEnd('-'), System.Globalization.CultureInfo.InvariantCulture);
        return new Answer(206, body[from..]) { Headers = new() { ["Content-Range"] = $"bytes {from}-{body.Length - 1}/{body.Length}" } };
    }
}
