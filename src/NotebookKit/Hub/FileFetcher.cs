using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;

namespace NotebookKit.Hub;

/// <summary>How far a download is.</summary>
/// <param name="File">The file that moved.</param>
/// <param name="Bytes">Bytes of all files so far, those already there included.</param>
/// <param name="Total">Bytes of all files.</param>
public readonly record struct DownloadProgress(string File, long Bytes, long Total);

/// <summary>A file to fetch and what it must be.</summary>
/// <param name="Address">Where it is.</param>
/// <param name="Name">Its name, for messages.</param>
/// <param name="Size">Its bytes, or −1 where nobody said.</param>
/// <param name="Hash">SHA-256 in 64 hexadecimal digits, a git blob's SHA-1 in 40, or empty.</param>
internal sealed record WantedFile(Uri Address, string Name, long Size, string Hash);

/// <summary>
/// Fetches one file into place: into a part file beside it, going on where an earlier attempt stopped, checked by size and hash, then moved. Tries again on what
/// may pass (429, 5xx, broken and silent connections) with growing pauses; never follows a server beyond the announced size.
/// </summary>
internal sealed class FileFetcher(HttpClient client, HubSettings settings)
{
    private const int Redirects = 6;

    /// <summary>Fetches a file unless it is there.</summary>
    public async Task FetchAsync(WantedFile file, string target, Action<long>? moved, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        using var mine = await LockAsync(target + ".lock", cancellation);
        if (File.Exists(target))
        {
            moved?.Invoke(new FileInfo(target).Length);
            return;
        }
        var part = target + ".incomplete";
        var counted = 0L;
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                await OnceAsync(file, part, n =>
                {
                    moved?.Invoke(n - counted);
                    counted = n;
                }, cancellation);
                Verify(file, part);
                File.Move(part, target, overwrite: true);
                return;
            }
            catch (Exception e) when (Passing(e, cancellation) is { } pause && attempt < settings.Retries)
            {
                var wait = pause > TimeSpan.Zero ? pause : TimeSpan.FromSeconds(Math.Min(30, Math.Pow(2, attempt)) * (0.75 + Random.Shared.NextDouble() / 2));
                await settings.Wait(wait, cancellation);
            }
            catch (Exception e) when (Passing(e, cancellation) is not null)
            {
                throw new IOException($"'{file.Name}' could not be fetched from {file.Address.Host} after {attempt + 1} attempts: {e.Message} What has arrived is kept; run it again to go on.", e);
            }
        }
    }

    /// <summary>A small answer as text, with the same patience.</summary>
    public async Task<(HttpStatusCode Status, HttpResponseHeaders Headers, string Body)> TextAsync(Uri address, CancellationToken cancellation)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                using var response = await SendAsync(address, null, null, cancellation);
                Passable(response);
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                limit.CancelAfter(settings.Timeout * 3);
                if (response.Content.Headers.ContentLength > 64_000_000) throw new InvalidDataException($"{address} answers with {response.Content.Headers.ContentLength:N0} bytes where a short list is wanted.");
                return (response.StatusCode, response.Headers, await response.Content.ReadAsStringAsync(limit.Token));
            }
            catch (Exception e) when (Passing(e, cancellation) is { } pause && attempt < settings.Retries)
            {
                await settings.Wait(pause > TimeSpan.Zero ? pause : TimeSpan.FromSeconds(Math.Min(30, Math.Pow(2, attempt)) * (0.75 + Random.Shared.NextDouble() / 2)), cancellation);
            }
            catch (Exception e) when (Passing(e, cancellation) is not null)
            {
                throw new IOException($"{address.Host} could not be reached after {attempt + 1} attempts: {e.Message}", e);
            }
        }
    }

    private async Task OnceAsync(WantedFile file, string part, Action<long> moved, CancellationToken cancellation)
    {
        var have = File.Exists(part) ? new FileInfo(part).Length : 0;
        if (file.Size >= 0 && have > file.Size)
        {
            File.Delete(part);
            have = 0;
        }
        if (file.Size > 0 && have == file.Size) return;
        using var response = await SendAsync(file.Address, have > 0 ? have : null, null, cancellation);
        Passable(response);
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            File.Delete(part);
            throw new HttpRequestException("the server has less than was kept of the file; it is fetched anew.");
        }
        if (!response.IsSuccessStatusCode) throw HubErrors.Of(response, file.Name, file.Address, settings.Token is not null);
        var goesOn = response.StatusCode == HttpStatusCode.PartialContent && response.Content.Headers.ContentRange?.From == have && have > 0;
        if (have > 0 && !goesOn) have = 0;                                   // a server that knows no ranges sends all of it
        var announced = response.Content.Headers.ContentLength;
        if (file.Size >= 0 && announced is { } length && have + length > file.Size)
            throw new InvalidDataException($"'{file.Name}': the server sends {have + length:N0} bytes, the list says {file.Size:N0}. Nothing was kept.");
        await using (var output = new FileStream(part, goesOn ? FileMode.Append : FileMode.Create, FileAccess.Write, FileShare.None))
        {
            using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            await using var input = await response.Content.ReadAsStreamAsync(cancellation);
            var buffer = new byte[1 << 17];
            while (true)
            {
                silence.CancelAfter(settings.Timeout);
                var read = await input.ReadAsync(buffer, silence.Token);
                if (read == 0) break;
                have += read;
                if (file.Size >= 0 && have > file.Size)
                {
                    output.Close();
                    File.Delete(part);
                    throw new InvalidDataException($"'{file.Name}': the server sends more than the {file.Size:N0} bytes of the list. Nothing was kept.");
                }
                await output.WriteAsync(buffer.AsMemory(0, read), cancellation);
                moved(have);
            }
        }
        if (file.Size >= 0 && have < file.Size) throw new HttpRequestException($"the connection ended after {have:N0} of {file.Size:N0} bytes.");
        if (file.Size < 0 && announced is { } wanted && have < wanted) throw new HttpRequestException($"the connection ended after {have:N0} of {wanted:N0} bytes.");
    }

    /// <summary>Follows redirects itself, so that the token is shown to the hub alone.</summary>
    private async Task<HttpResponseMessage> SendAsync(Uri address, long? from, HttpMethod? method, CancellationToken cancellation)
    {
        var at = address;
        for (var hop = 0; hop <= Redirects; hop++)
        {
            using var request = new HttpRequestMessage(method ?? HttpMethod.Get, at);
            request.Headers.UserAgent.ParseAdd("notebookkit/0.1");
            request.Headers.AcceptEncoding.ParseAdd("identity");
            if (settings.Token is { } token && at.Authority == settings.Endpoint.Authority && at.Scheme == settings.Endpoint.Scheme) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            if (from is { } start) request.Headers.Range = new RangeHeaderValue(start, null);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(settings.Timeout);
            var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } next) return response;
            response.Dispose();
            at = new Uri(at, next);
            if (at.Scheme is not ("http" or "https") || address.Scheme == "https" && at.Scheme == "http") throw new InvalidDataException($"{address.Host} redirects to {at.Scheme}://{at.Host}, which is not followed.");
        }
        throw new InvalidDataException($"{address} redirects more than {Redirects} times.");
    }

    private static void Verify(WantedFile file, string part)
    {
        if (!File.Exists(part)) File.WriteAllBytes(part, []);                // an empty file has nothing to send
        var length = new FileInfo(part).Length;
        if (file.Size >= 0 && length != file.Size) throw new HttpRequestException($"{length:N0} of {file.Size:N0} bytes arrived.");
        if (file.Hash.Length is not (40 or 64)) return;
        string got;
        using (var stream = File.OpenRead(part)) got = file.Hash.Length == 64 ? Convert.ToHexStringLower(SHA256.HashData(stream)) : GitHash(stream, length);
        if (got.Equals(file.Hash, StringComparison.OrdinalIgnoreCase)) return;
        File.Delete(part);
        throw new InvalidDataException($"'{file.Name}' arrived with the hash {got}, the list says {file.Hash}. It was deleted; try again, and if it happens again the file was changed on its way or at its source.");
    }

    private static string GitHash(Stream stream, long length)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {length}\0"));
        var buffer = new byte[1 << 16];
        for (var read = 0; (read = stream.Read(buffer)) > 0;) hash.AppendData(buffer, 0, read);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>429 and 5xx are worth another attempt.</summary>
    private static void Passable(HttpResponseMessage response)
    {
        if (response.StatusCode is not (HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout) && (int)response.StatusCode < 500) return;
        var after = response.Headers.RetryAfter;
        var pause = after?.Delta ?? (after?.Date is { } date ? date - DateTimeOffset.UtcNow : TimeSpan.Zero);
        throw new BusyException($"the server answers {(int)response.StatusCode}.", pause < TimeSpan.Zero ? TimeSpan.Zero : pause > TimeSpan.FromMinutes(5) ? TimeSpan.FromMinutes(5) : pause);
    }

    /// <summary>The pause before another attempt (zero: the usual one); <c>null</c> where there is no use in one.</summary>
    private static TimeSpan? Passing(Exception e, CancellationToken cancellation) => cancellation.IsCancellationRequested ? null : e switch
    {
        BusyException busy => busy.Pause, HttpRequestException or HttpIOException or OperationCanceledException => TimeSpan.Zero,
        IOException { InnerException: System.Net.Sockets.SocketException } => TimeSpan.Zero, _ => null,
    };

    /// <summary>One process at a time for each file; another's is waited for.</summary>
    private static async Task<FileStream> LockAsync(string path, CancellationToken cancellation)
    {
        for (var vanished = 0; ;)
        {
            try { return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose); }
            // Held by another, or let go of just now; without a file time after time, the folder itself is the trouble.
            catch (IOException) when (File.Exists(path) || ++vanished < 10) { await Task.Delay(100, cancellation); }
        }
    }

    private sealed class BusyException(string message, TimeSpan pause) : Exception(message)
    {
        public TimeSpan Pause => pause;
    }
}
