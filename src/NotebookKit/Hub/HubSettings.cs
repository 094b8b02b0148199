namespace NotebookKit.Hub;

/// <summary>Where the hub is, where the cache is, and how patient a download is. The environment variables are Hugging Face's own.</summary>
public sealed record HubSettings
{
    /// <summary>The cache: <c>HF_HUB_CACHE</c>, or <c>hub</c> below <c>HF_HOME</c>, or <c>~/.cache/huggingface/hub</c>.</summary>
    public required string Cache { get; init; }

    /// <summary>The hub's address: <c>HF_ENDPOINT</c>. Default https://huggingface.co.</summary>
    public Uri Endpoint { get; init; } = new("https://huggingface.co");

    /// <summary>Token of an account, for gated and private models: <c>HF_TOKEN</c>, or the file <c>token</c> below <c>HF_HOME</c>.</summary>
    public string? Token { get; init; }

    /// <summary>Whether only the cache may be used: <c>HF_HUB_OFFLINE</c>.</summary>
    public bool Offline { get; init; }

    /// <summary>How long a silent server is waited for: <c>HF_HUB_DOWNLOAD_TIMEOUT</c> in seconds. Default 10 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Attempts for each file after the first failed. Default 5.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Files at once. Default 4.</summary>
    public int Parallel { get; init; } = 4;

    /// <summary>A download of more bytes is refused before it begins. Default 20 GB.</summary>
    public long MaximumBytes { get; init; } = 20_000_000_000;

    /// <summary>Waits between attempts; tests put their own here.</summary>
    public Func<TimeSpan, CancellationToken, Task> Wait { get; init; } = Task.Delay;

    /// <summary>The settings without the token, which belongs in no report.</summary>
    public override string ToString() => $"HubSettings {{ Cache = {Cache}, Endpoint = {Endpoint}, Token = {(Token is null ? "none" : "set")}, Offline = {Offline} }}";

    /// <summary>The settings that the environment gives.</summary>
    public static HubSettings FromEnvironment()
    {
        static string? Get(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
        var caches = Get("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        var home = Get("HF_HOME") ?? Path.Combine(caches, "huggingface");
        var tokenFile = Path.Combine(home, "token");
        return new HubSettings
        {
            Cache = Get("HF_HUB_CACHE") ?? Path.Combine(home, "hub"), Token = Get("HF_TOKEN") ?? (File.Exists(tokenFile) ? File.ReadAllText(tokenFile).Trim() : null),
            Endpoint = Get("HF_ENDPOINT") is not { } address ? new Uri("https://huggingface.co") : Uri.TryCreate(address, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" ? uri
                : throw new ArgumentException($"HF_ENDPOINT is '{address}'; it must be an http or https address."),
            Offline = Get("HF_HUB_OFFLINE")?.ToUpperInvariant() is "1" or "TRUE" or "YES" or "ON",
            Timeout = Get("HF_HUB_DOWNLOAD_TIMEOUT") is { } seconds && double.TryParse(seconds, System.Globalization.CultureInfo.InvariantCulture, out var s) && s > 0 ? TimeSpan.FromSeconds(s) : TimeSpan.FromSeconds(10),
        };
    }
}
