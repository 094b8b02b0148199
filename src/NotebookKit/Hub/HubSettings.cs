using System.Globalization;
using System.Text;

namespace NotebookKit.Hub;

/// <summary>Where the hub is, where its files are kept, and how patient a download is. The names and defaults are those of Hugging Face's own client.</summary>
public sealed record HubSettings
{
    /// <summary>Folder of the cache. Default <c>~/.cache/huggingface/hub</c>.</summary>
    public string CacheFolder { get; init; } = Path.Combine(Home(static _ => null), "hub");

    /// <summary>The hub's address. Default <c>https://huggingface.co</c>.</summary>
    public Uri Endpoint { get; init; } = new("https://huggingface.co");

    /// <summary>Access token; sent to <see cref="Endpoint"/> only and never printed. Default <c>null</c>: anonymous.</summary>
    public string? Token { get; init; }

    /// <summary>Whether only the cache is used. Default <c>false</c>.</summary>
    public bool Offline { get; init; }

    /// <summary>How long a connection, an answer or the next bytes may take. Default 10 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How many files are fetched at a time, at least 1. Default 4.</summary>
    public int ParallelFiles { get; init; } = 4;

    /// <summary>Bytes that one download may take without being asked for explicitly. Default 20 GB.</summary>
    public long SizeLimit { get; init; } = 20_000_000_000;

    /// <summary>Attempts that may fail in a row before a download is given up, at least 1. Default 5.</summary>
    public int Attempts { get; init; } = 5;

    /// <summary>Wait before the second attempt; doubles with each further one, plus up to a quarter drawn at random. Default 1 s.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest wait between two attempts; a server that asks for more is given up. Default 5 min, the hub's window for rate limits.</summary>
    public TimeSpan LongestDelay { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long another process may hold a file without its download growing. Default 60 s.</summary>
    public TimeSpan LockTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Reads <c>HF_HOME</c>, <c>HF_HUB_CACHE</c>, <c>XDG_CACHE_HOME</c>, <c>HF_ENDPOINT</c>, <c>HF_TOKEN</c> (else the file that <c>HF_TOKEN_PATH</c> names, else
    /// <c>$HF_HOME/token</c>), <c>HF_HUB_OFFLINE</c> and <c>HF_HUB_DOWNLOAD_TIMEOUT</c> (seconds).</summary>
    /// <param name="variable">Where variables are looked up; <c>null</c> means the process's environment.</param>
    /// <exception cref="ArgumentException">A variable holds what it may not; the message names it.</exception>
    public static HubSettings FromEnvironment(Func<string, string?>? variable = null)
    {
        variable ??= Environment.GetEnvironmentVariable;
        string? Value(string name) => variable(name)?.Trim() is { Length: > 0 } value ? value : null;
        var home = Home(Value);
        var settings = new HubSettings
        {
            CacheFolder = Path.GetFullPath(Value("HF_HUB_CACHE") is { } cache ? Expand(cache) : Path.Combine(home, "hub")),
            Token = Value("HF_TOKEN") ?? TokenIn(Value("HF_TOKEN_PATH") is { } file ? Expand(file) : Path.Combine(home, "token")),
            Offline = Value("HF_HUB_OFFLINE")?.ToLowerInvariant() is "1" or "true" or "yes" or "on",
        };
        if (Value("HF_ENDPOINT") is { } endpoint)
            settings = settings with
            {
                Endpoint = Uri.TryCreate(endpoint, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" ? uri
                    : throw new ArgumentException($"HF_ENDPOINT is '{endpoint}'; an address such as https://huggingface.co is needed."),
            };
        if (Value("HF_HUB_DOWNLOAD_TIMEOUT") is { } seconds)
            settings = settings with
            {
                Timeout = double.TryParse(seconds, CultureInfo.InvariantCulture, out var number) && number is > 0 and < 86_400 ? TimeSpan.FromSeconds(number)
                    : throw new ArgumentException($"HF_HUB_DOWNLOAD_TIMEOUT is '{seconds}'; a number of seconds above 0 is needed."),
            };
        return settings;
    }

    private static string Home(Func<string, string?> value) => value("HF_HOME") is { } home ? Expand(home)
        : Path.Combine(value("XDG_CACHE_HOME") is { } cache ? Expand(cache) : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "huggingface");

    private static string Expand(string path) =>
        path == "~" || path.StartsWith("~/", StringComparison.Ordinal) ? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + path[1..] : path;

    private static string? TokenIn(string file)
    {
        try { return File.Exists(file) && File.ReadAllText(file).Trim() is { Length: > 0 } token ? token : null; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return null; }
    }

    /// <summary>What a report prints: everything but the token.</summary>
    private bool PrintMembers(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"CacheFolder = {CacheFolder}, Endpoint = {Endpoint}, Token = {(Token is null ? "none" : "set")}, Offline = {Offline}, Timeout = {Timeout.TotalSeconds} s, ");
        text.Append(CultureInfo.InvariantCulture, $"ParallelFiles = {ParallelFiles}, SizeLimit = {SizeLimit}, Attempts = {Attempts}, RetryDelay = {RetryDelay.TotalSeconds} s");
        return true;
    }
}
