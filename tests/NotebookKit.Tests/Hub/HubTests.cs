using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>What the hub's tests share: a fake hub, a cache of its own, a clock whose waits are over at once and are written down.</summary>
public abstract class HubTests : IDisposable
{
    private readonly TemporaryFolder _folder = TestData.NewFolder();

    internal FakeHub Hub { get; } = new();

    internal InstantTime Time { get; } = new();

    internal string CacheFolder => _folder["hub"];

    internal string Repository => Path.Combine(CacheFolder, "models--org--model");

    internal string Snapshot => Path.Combine(Repository, "snapshots", FakeHub.Commit);

    internal HubSettings Settings => new() { CacheFolder = CacheFolder, Endpoint = Hub.Server.Address, Timeout = TimeSpan.FromSeconds(5), LockTimeout = TimeSpan.FromSeconds(5) };

    internal HubClient Client(Func<HubSettings, HubSettings>? change = null) => new((change ?? (s => s))(Settings), Time);

    internal string Blob(string file) => Path.Combine(Repository, "blobs", Hub.TagOf(file));

    /// <summary>Files of blobs and snapshots; locks are not data.</summary>
    internal string[] Left() => !Directory.Exists(Repository) ? [] : [.. Directory.EnumerateFiles(Repository, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Repository, f)).Order(StringComparer.Ordinal)];

    internal async Task<HubException> FailsAsync(HubFailure failure, Func<HubClient, Task> act, Func<HubSettings, HubSettings>? change = null)
    {
        using var client = Client(change);
        var error = await Assert.ThrowsAsync<HubException>(() => act(client));
        Assert.True(error.Failure == failure, $"{error.Failure}: {error.Message}");
        return error;
    }

    internal Task<HubException> FailsAsync(HubFailure failure, Func<HubSettings, HubSettings>? change = null) => FailsAsync(failure, c => c.DownloadAsync(FakeHub.Id), change);

    /// <inheritdoc/>
    public void Dispose()
    {
        Hub.Dispose();
        _folder.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Timers fire at once; how long they would have taken is kept.</summary>
    internal sealed class InstantTime : TimeProvider
    {
        public List<TimeSpan> Waits { get; } = [];

        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (dueTime > TimeSpan.Zero) lock (Waits) Waits.Add(dueTime);
            return System.CreateTimer(callback, state, dueTime > TimeSpan.Zero ? TimeSpan.FromMilliseconds(1) : dueTime, period);
        }
    }
}
