using System.Net;
using System.Net.Http.Headers;

namespace NotebookKit.Hub;

/// <summary>A failure that may pass: it is tried again.</summary>
internal sealed class TransientException(string message, TimeSpan? retryAfter = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What the server asked for.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}

/// <summary>One request at a time over HTTP: redirects by hand, so that the token goes to the hub and to no other host; every wait has an end; attempts are repeated with growing
/// pauses. Thread-safe.</summary>
internal sealed class HubConnection : IDisposable
{
    private const int MostRedirects = 8;
    private const int ListingLimit = 64 << 20;
    private readonly HttpClient _http;
    private readonly HubSettings _settings;
    private readonly TimeProvider _time;

    public HubConnection(HubSettings settings, TimeProvider time, HttpMessageHandler? handler)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.Attempts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.ParallelFiles, 1);
        (_settings, _time) = (settings, time);
        _http = new HttpClient(handler ?? new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseCookies = false, AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = settings.Timeout, UseProxy = !settings.Endpoint.IsLoopback, MaxResponseHeadersLength = 64,
        }, disposeHandler: handler is null) { Timeout = System.Threading.Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.UserAgent.ParseAdd($"NotebookKit/{typeof(HubConnection).Assembly.GetName().Version?.ToString(3)}");
    }

    /// <summary>Waits before the next attempt.</summary>
    /// <param name="failures">Failures in a row, from 1.</param>
    /// <param name="failure">The last.</param>
    /// <param name="what">For the message.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="HubException">That was the last attempt, or the server asks for too long a wait.</exception>
    public async Task PauseAsync(int failures, TransientException failure, string what, CancellationToken cancellation)
    {
        if (failures >= _settings.Attempts)
            throw new HubException(HubFailure.Unavailable, $"{what}: {failure.Message}, after {failures} attempts. Do one thing: run the same again later, it goes on where it stopped; "
                + "without a network, HF_HUB_OFFLINE=1 uses what the cache holds.", failure);
        if (failure.RetryAfter > _settings.LongestDelay)
            throw new HubException(HubFailure.Unavailable, $"{what}: {failure.Message}, and the server asks to wait {failure.RetryAfter.Value.TotalMinutes:F0} min. Run the same again then; HF_TOKEN raises the hub's limits.", failure);
        var seconds = Math.Min(_settings.LongestDelay.TotalSeconds, _settings.RetryDelay.TotalSeconds * Math.Pow(2, failures - 1) * (1 + Random.Shared.NextDouble() / 4));
        var delay = TimeSpan.FromSeconds(Math.Max(seconds, failure.RetryAfter?.TotalSeconds ?? 0));
        await Task.Delay(delay, _time, cancellation);
    }

    /// <summary>The body of a small answer, with repeated attempts.</summary>
    public async Task<byte[]> ReadAsync(Uri address, HubRepository repository, string revision, CancellationToken cancellation)
    {
        for (var failures = 1; ; failures++)
            try
            {
                // A listing that drips in byte by byte ends too.
                using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                deadline.CancelAfter(_settings.Timeout * 10);
                using var answer = await SendAsync(HttpMethod.Get, address, null, cancellation);
                Refuse(answer, repository, revision, null);
                try
                {
                    await using var body = await answer.Content.ReadAsStreamAsync(deadline.Token);
                    using var whole = new MemoryStream();
                    var buffer = new byte[1 << 16];
                    while (await ReadSomeAsync(body, buffer, deadline.Token, cancellation) is var n and > 0)
                    {
                        whole.Write(buffer, 0, n);
                        if (whole.Length > ListingLimit) throw new HubException(HubFailure.Corrupt, $"The listing at {address} is longer than {ListingLimit >> 20} MB; that is no listing.");
                    }
                    return whole.ToArray();
                }
                catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested) { throw new TransientException("the answer came too slowly", inner: e); }
            }
            catch (TransientException e) { await PauseAsync(failures, e, $"No listing of {repository} from {address}", cancellation); }
    }

    /// <summary>Headers of a file, for mirrors whose listings have no checksums: its tag and size.</summary>
    public async Task<(string? Tag, long? Size)> HeadAsync(Uri address, HubRepository repository, string revision, string file, CancellationToken cancellation)
    {
        for (var failures = 1; ; failures++)
            try
            {
                using var answer = await SendAsync(HttpMethod.Head, address, null, cancellation, follow: u => u.Host == address.Host && u.Port == address.Port);
                if ((int)answer.StatusCode is < 300 or >= 400) Refuse(answer, repository, revision, file);
                var tag = (One(answer, "X-Linked-Etag") ?? One(answer, "ETag"))?.Trim();
                if (tag?.StartsWith("W/", StringComparison.Ordinal) == true) tag = tag[2..];
                return (tag?.Trim('"'), long.TryParse(One(answer, "X-Linked-Size"), out var linked) ? linked : answer.IsSuccessStatusCode ? answer.Content.Headers.ContentLength : null);
            }
            catch (TransientException e) { await PauseAsync(failures, e, $"No headers of {address}", cancellation); }
    }

    /// <summary>Sends a request and follows redirects until an answer's headers are here. The caller disposes the answer.</summary>
    /// <exception cref="TransientException">No answer in time, no connection, or a status that may pass (408, 429, 5xx).</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, Uri address, Action<HttpRequestHeaders>? headers, CancellationToken cancellation, Func<Uri, bool>? follow = null)
    {
        for (var hop = 0; ; hop++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.AcceptEncoding.ParseAdd("identity");
            headers?.Invoke(request.Headers);
            if (_settings.Token is { } token && SameOrigin(address, _settings.Endpoint)) request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {Checked(token)}");
            var answer = await AnswerAsync(request, cancellation);
            if ((int)answer.StatusCode is not (301 or 302 or 303 or 307 or 308)) return answer;
            if (answer.Headers.Location is not { } location) { answer.Dispose(); throw new HubException(HubFailure.Corrupt, $"{address} redirects without saying where to."); }
            var next = location.IsAbsoluteUri ? location : new Uri(address, location);
            if (follow is not null && !follow(next)) return answer;
            answer.Dispose();
            if (hop == MostRedirects) throw new HubException(HubFailure.Corrupt, $"{address} redirects more than {MostRedirects} times.");
            if (next.Scheme is not ("https" or "http") || (address.Scheme == "https" && next.Scheme != "https"))
                throw new HubException(HubFailure.Corrupt, $"{address} redirects to a '{next.Scheme}' address; only https is followed from https.");
            address = next;
        }
    }

    /// <summary>Reads what has come, waiting no longer than the time limit.</summary>
    /// <exception cref="TransientException">Nothing came in time, or the connection broke.</exception>
    public async Task<int> ReadSomeAsync(Stream body, Memory<byte> buffer, CancellationToken limit, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(limit);
        patience.CancelAfter(_settings.Timeout);
        try { return await body.ReadAsync(buffer, patience.Token); }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested) { throw new TransientException($"nothing came for {_settings.Timeout.TotalSeconds:G3} s", inner: e); }
        catch (Exception e) when (e is IOException or HttpRequestException) { throw new TransientException("the connection broke off", inner: e); }
    }

    /// <summary>Turns a refusal into an error that says what to do.</summary>
    public void Refuse(HttpResponseMessage answer, HubRepository repository, string revision, string? file)
    {
        if (answer.IsSuccessStatusCode) return;
        var (status, code, page) = ((int)answer.StatusCode, One(answer, "X-Error-Code"), repository.Page(_settings.Endpoint));
        var token = _settings.Token is null ? "set HF_TOKEN to a token of your account (Settings, Access Tokens; 'read' is enough)" : "check that HF_TOKEN is valid and belongs to that account";
        throw (status, code) switch
        {
            (401 or 403, "GatedRepo") => new HubException(HubFailure.Gated, $"{repository} is gated: its owner asks for a licence to be accepted. Accept it at {page}, then {token}."),
            (401, "RepoNotFound") or (404, "RepoNotFound") => new HubException(HubFailure.RepositoryNotFound,
                $"{_settings.Endpoint.Host} has no {repository.Kind.ToString().ToLowerInvariant()} '{repository.Id}', or it is private. Check the spelling; if it is private, {token}."),
            (401 or 403, _) => new HubException(HubFailure.Unauthorized, $"{_settings.Endpoint.Host} refuses access to {repository} ({status}). If it is private or gated, open {page} and {token}."),
            (404, "RevisionNotFound") => new HubException(HubFailure.RevisionNotFound, $"{repository} has no revision '{revision}'. Its branches and tags are at {page}/tree/main."),
            (404, "EntryNotFound") => new HubException(HubFailure.FileNotFound, $"{repository} has no file '{file}' at revision '{revision}'."),
            (404, _) when file is not null => new HubException(HubFailure.FileNotFound, $"{repository} has no file '{file}' at revision '{revision}'."),
            (404, _) => new HubException(HubFailure.RepositoryNotFound, $"{_settings.Endpoint.Host} has no {repository.Kind.ToString().ToLowerInvariant()} '{repository.Id}' at revision '{revision}'. Check the spelling."),
            _ => new HubException(HubFailure.Unavailable, $"{_settings.Endpoint.Host} answers {status} for {repository}{(file is null ? "" : $", file '{file}'")}."),
        };
    }

    public void Dispose() => _http.Dispose();

    internal static string? One(HttpResponseMessage answer, string name) =>
        answer.Headers.TryGetValues(name, out var values) || answer.Content.Headers.TryGetValues(name, out values) ? values.FirstOrDefault() : null;

    private async Task<HttpResponseMessage> AnswerAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(_settings.Timeout);
        HttpResponseMessage answer;
        try { answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token); }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested) { throw new TransientException($"no answer in {_settings.Timeout.TotalSeconds:G3} s", inner: e); }
        catch (Exception e) when (e is HttpRequestException or IOException) { throw new TransientException($"no connection ({e.GetBaseException().Message.TrimEnd('.')})", inner: e); }
        var status = (int)answer.StatusCode;
        if (status is not (408 or 429) and < 500) return answer;
        using (answer)
        {
            var asked = answer.Headers.RetryAfter is { } after ? after.Delta ?? after.Date - _time.GetUtcNow() : null;
            throw new TransientException(status == 429 ? "too many requests (429)" : $"the server answers {status}", asked > TimeSpan.Zero ? asked : null);
        }
    }

    private static string Checked(string token) => token.All(c => c is > ' ' and < '\x7f') ? token
        : throw new ArgumentException("The access token (HF_TOKEN, or the token file) has spaces, line breaks or other characters that no token has. Set it anew.");

    private static bool SameOrigin(Uri a, Uri b) => a.Scheme == b.Scheme && a.Port == b.Port && string.Equals(a.Host, b.Host, StringComparison.OrdinalIgnoreCase);
}
