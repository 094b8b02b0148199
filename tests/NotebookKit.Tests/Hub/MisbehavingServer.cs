using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace NotebookKit.Tests.Hub;

/// <summary>A request as it came in.</summary>
internal sealed record Asked(string Method, string Path, IReadOnlyDictionary<string, string> Headers)
{
    public string? this[string header] => Headers.GetValueOrDefault(header);

    /// <summary>Where a <c>Range: bytes=N-</c> starts, else 0.</summary>
    public int From => this["Range"] is { } range ? int.Parse(range["bytes=".Length..].TrimEnd('-')) : 0;
}

/// <summary>An answer, byte by byte as it goes out: what a well-behaved server library would not let one say.</summary>
internal sealed record Answer(int Status, byte[] Body, params (string Name, string Value)[] Headers)
{
    /// <summary>What Content-Length says; the body's length unless set. -1 sends none and ends the body by closing.</summary>
    public long? Announced { get; init; }

    /// <summary>After how many bytes of the body the connection is cut off; <c>null</c> never.</summary>
    public int? CutAt { get; init; }

    /// <summary>After how many bytes nothing more comes, with the connection open; <c>null</c> never.</summary>
    public int? StallAt { get; init; }

    public static Answer Text(int status, string body, params (string, string)[] headers) => new(status, Encoding.UTF8.GetBytes(body), headers);
}

/// <summary>A server on the loopback address that does what a test tells it to, over plain sockets. Every connection serves one request.</summary>
internal sealed class MisbehavingServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<Asked, Answer> _answer;

    public MisbehavingServer(Func<Asked, Answer> answer)
    {
        _answer = answer;
        _listener.Start();
        Address = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");
        _ = Task.Run(AcceptAsync);
    }

    public Uri Address { get; }

    public ConcurrentQueue<Asked> Requests { get; } = new();

    public static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
            try
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException) { return; }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
            try
            {
                var stream = client.GetStream();
                var head = new List<byte>();
                var one = new byte[1];
                while (!(head.Count > 3 && head[^1] == '\n' && head[^3] == '\n') && await stream.ReadAsync(one, _stop.Token) == 1) head.Add(one[0]);
                var lines = Encoding.ASCII.GetString([.. head]).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
                if (lines.Length == 0) return;
                var first = lines[0].Split(' ');
                var asked = new Asked(first[0], first[1], lines[1..].Select(l => l.Split(": ", 2)).ToDictionary(l => l[0], l => l[1], StringComparer.OrdinalIgnoreCase));
                Requests.Enqueue(asked);
                await WriteAsync(client, stream, asked, _answer(asked));
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException) { }
    }

    private async Task WriteAsync(TcpClient client, NetworkStream stream, Asked asked, Answer answer)
    {
        var head = new StringBuilder($"HTTP/1.1 {answer.Status} X\r\nConnection: close\r\n");
        if (answer.Announced != -1) head.Append($"Content-Length: {answer.Announced ?? answer.Body.Length}\r\n");
        foreach (var (name, value) in answer.Headers) head.Append($"{name}: {value}\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head + "\r\n"), _stop.Token);
        if (asked.Method == "HEAD") return;
        await stream.WriteAsync(answer.Body.AsMemory(0, Math.Min(answer.Body.Length, answer.CutAt ?? answer.StallAt ?? int.MaxValue)), _stop.Token);
        await stream.FlushAsync(_stop.Token);
        if (answer.StallAt is not null) await Task.Delay(Timeout.Infinite, _stop.Token);
        if (answer.CutAt is not null)
        {
            await Task.Delay(100, _stop.Token); // let what was sent arrive before the reset
            client.Client.LingerState = new LingerOption(true, 0);
        }
    }
}
