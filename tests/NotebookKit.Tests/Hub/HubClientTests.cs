using System.Text;
using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>The client against a server that fails in every way a server does. Layout, headers and error codes: the hub's own documentation (https://huggingface.co/docs/huggingface_hub).</summary>
public sealed class HubClientTests : IDisposable
{
    private const string Id = "owner/model";
    private readonly TemporaryFolder folder = TestData.NewFolder();
    private readonly MisbehavingServer server = new();
    private readonly List<TimeSpan> pauses = [];
    private readonly byte[] weights = [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i * 7 % 251))];

    public HubClientTests()
    {
        MisbehavingServer.RequireLoopback();
        server.Files["config.json"] = Encoding.UTF8.GetBytes("""{"model_type":"bert"}""");
        server.Files["model.safetensors"] = weights;
        server.Files["1_Pooling/config.json"] = "{}"u8.ToArray();
        server.Files["pytorch_model.bin"] = [1, 2, 3];
    }

    public void Dispose()
    {
        server.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_model_arrives_in_the_cache_s_own_layout_and_is_found_again()
    {
        var told = new List<DownloadProgress>();
        var snapshot = await Download(progress: new Told(told), settings: s => s with { Parallel = 4 });
        Assert.Equal(Path.Combine(folder["hub"], "models--owner--model", "snapshots", MisbehavingServer.Commit), snapshot);
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
        Assert.True(File.Exists(Path.Combine(snapshot, "1_Pooling", "config.json")));
        Assert.False(File.Exists(Path.Combine(snapshot, "pytorch_model.bin")));
        Assert.Equal(MisbehavingServer.Commit, File.ReadAllText(Path.Combine(folder["hub"], "models--owner--model", "refs", "main")));
        Assert.True(File.Exists(Path.Combine(folder["hub"], "models--owner--model", "blobs", MisbehavingServer.Sha256(weights))));
        if (!OperatingSystem.IsWindows()) Assert.Equal($"../../blobs/{MisbehavingServer.Sha256(weights)}", new FileInfo(Path.Combine(snapshot, "model.safetensors")).LinkTarget);
        Assert.Equal(told.Max(t => t.Total), told.Max(t => t.Bytes));
        Assert.Equal(snapshot, new HubCache(folder["hub"]).Find(Id));
        NothingHalfWritten();

        var asked = server.Seen.Count;
        Assert.Equal(snapshot, await Download(MisbehavingServer.Commit));        // a commit needs no network
        Assert.Equal(asked, server.Seen.Count);
        await Download();
        Assert.Equal(asked + 1, server.Seen.Count);                              // a branch is asked for, files are not
    }

    [Fact]
    public async Task A_connection_that_is_cut_goes_on_where_it_stopped()
    {
        server.Behave = (path, headers, before) => path.EndsWith("model.safetensors", StringComparison.Ordinal) && before < 2 ? MisbehavingServer.Part(weights, headers) with { CutAfter = 100_000 } : null;
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(await Download(), "model.safetensors")));
        Assert.Equal([null, "bytes=100000-", "bytes=200000-"], server.Seen.Where(s => s.Path.EndsWith("model.safetensors", StringComparison.Ordinal)).Select(s => s.Headers.GetValueOrDefault("range")));
        NothingHalfWritten();
    }

    [Fact]
    public async Task A_server_that_knows_no_ranges_is_read_from_the_start()
    {
        server.Behave = (path, _, before) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, weights) { CutAfter = before == 0 ? 50_000 : null } : null;
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(await Download(), "model.safetensors")));
    }

    [Fact]
    public async Task A_part_the_server_cannot_go_on_from_is_fetched_anew()
    {
        server.Behave = (path, headers, before) => !path.EndsWith("model.safetensors", StringComparison.Ordinal) ? null : before == 0 ? new Answer(200, weights) { CutAfter = 50_000 } : headers.ContainsKey("range") ? Answer.Text(416, "") : null;
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(await Download(), "model.safetensors")));
    }

    [Fact]
    public async Task A_busy_server_is_given_the_time_it_asks_for()
    {
        server.Behave = (path, _, before) => path.EndsWith("config.json", StringComparison.Ordinal) && before == 0 && !path.Contains("1_Pooling", StringComparison.Ordinal) ? Answer.Text(429, "") with { Headers = new() { ["Retry-After"] = "7" } }
            : path.StartsWith("/api/", StringComparison.Ordinal) && before < 2 ? Answer.Text(500 + before * 3, "") : null;
        await Download();
        Assert.Contains(TimeSpan.FromSeconds(7), pauses);
        Assert.Equal(3, pauses.Count);
        Assert.True(pauses[1] > pauses[0] || pauses.IndexOf(TimeSpan.FromSeconds(7)) < 2);
    }

    [Fact]
    public async Task A_server_that_stays_broken_is_an_error_that_says_so_and_keeps_what_came()
    {
        server.Behave = (path, headers, _) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? headers.ContainsKey("range") ? Answer.Text(503, "") : new Answer(200, weights) { CutAfter = 70_000 } : null;
        var error = await Assert.ThrowsAsync<IOException>(() => Download());
        foreach (var part in new[] { "model.safetensors", "6 attempts", "503", "run it again" }) Assert.Contains(part, error.Message);
        Assert.Equal(5, pauses.Count);
        Assert.Equal(70_000, new FileInfo(Assert.Single(Directory.GetFiles(folder.Path, "*.incomplete", SearchOption.AllDirectories))).Length);
        Assert.Null(new HubCache(folder["hub"]).Find(Id));                       // not found as if it were whole
        server.Behave = (_, _, _) => null;
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(await Download(), "model.safetensors")));
        Assert.Equal("bytes=70000-", server.Seen.Last(s => s.Path.EndsWith("model.safetensors", StringComparison.Ordinal)).Headers["range"]);
    }

    [Fact]
    public async Task A_silent_server_is_not_waited_for_forever()
    {
        server.Behave = (path, _, before) => path.EndsWith("model.safetensors", StringComparison.Ordinal) && before == 0 ? new Answer(200, weights) { CutAfter = 1000, Stalls = true } : null;
        var clock = System.Diagnostics.Stopwatch.StartNew();
        await Download();
        Assert.InRange(clock.Elapsed, TimeSpan.FromMilliseconds(300), TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task The_token_is_shown_to_the_hub_and_to_no_other()
    {
        using var other = new MisbehavingServer { Behave = (_, headers, _) => MisbehavingServer.Part(weights, headers) };
        server.Behave = (path, _, _) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? Answer.Text(302, "") with { Headers = new() { ["Location"] = new Uri(other.Address, "cdn/x").ToString() } } : null;
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(await Download(settings: s => s with { Token = "hf_secret" }), "model.safetensors")));
        Assert.All(server.Seen, s => Assert.Equal("Bearer hf_secret", s.Headers["authorization"]));
        Assert.All(other.Seen, s => Assert.False(s.Headers.ContainsKey("authorization")));
        server.Behave = (path, _, _) => path.EndsWith("config.json", StringComparison.Ordinal) ? Answer.Text(302, "") with { Headers = new() { ["Location"] = path } } : null;
        Directory.Delete(folder["hub"], true);
        Assert.Contains("redirects more than", (await Assert.ThrowsAsync<InvalidDataException>(() => Download())).Message);
    }

    [Theory]
    [InlineData(401, "", "HF_TOKEN", "private")]
    [InlineData(403, "GatedRepo", "gated", "accept it", "HF_TOKEN", "owner/model")]
    [InlineData(404, "RepoNotFound", "spelling")]
    [InlineData(404, "RevisionNotFound", "no such revision")]
    [InlineData(418, "", "418")]
    public async Task A_refusal_says_what_to_do(int status, string code, params string[] says)
    {
        server.Behave = (path, _, _) => Answer.Text(status, "") with { Headers = code.Length > 0 ? new() { ["X-Error-Code"] = code } : [] };
        var error = await Assert.ThrowsAnyAsync<Exception>(() => Download());
        foreach (var part in says) Assert.Contains(part, error.Message);
        Assert.Single(server.Seen);                                              // and is not asked again and again
        NothingHalfWritten();
    }

    [Fact]
    public async Task A_server_that_sends_more_than_it_announced_is_stopped()
    {
        server.List = server.Listing(size: f => f == "model.safetensors" ? 1000 : server.Files[f].Length);
        Assert.Contains("1,000", (await Assert.ThrowsAsync<InvalidDataException>(() => Download())).Message);
        NothingHalfWritten();
    }

    [Fact]
    public async Task A_server_that_claims_too_much_is_an_error()
    {
        server.Behave = (path, headers, _) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? MisbehavingServer.Part(weights, headers) with { ClaimedLength = 400_000 } : null;
        await Assert.ThrowsAsync<InvalidDataException>(() => Download());
        Assert.Empty(Directory.GetFiles(folder["hub"], "model.safetensors", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_wrong_hash_deletes_what_came()
    {
        server.List = server.Listing(hash: _ => new string('a', 64));
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Download());
        foreach (var part in new[] { "model.safetensors", MisbehavingServer.Sha256(weights), new string('a', 64) }) Assert.Contains(part, error.Message);
        NothingHalfWritten();
        server.List = null;
        Directory.Delete(folder["hub"], recursive: true);
        server.Behave = (path, _, _) => path.EndsWith("/config.json", StringComparison.Ordinal) ? Answer.Text(200, """{"model_type":"BERT"}""") : null;
        Assert.Contains("config.json", (await Assert.ThrowsAsync<InvalidDataException>(() => Download())).Message);   // small files by git's hash
    }

    [Theory]
    [InlineData("../evil.safetensors")]
    [InlineData("/etc/evil.safetensors")]
    [InlineData("C:\\evil.safetensors")]
    [InlineData("a/../../evil.safetensors")]
    [InlineData("a//b.safetensors")]
    [InlineData("nul.safetensors")]
    [InlineData("evil\u0007.safetensors")]
    public async Task No_file_leaves_the_cache(string name)
    {
        server.Files[name] = [1];
        Assert.Contains("out of the cache", (await Assert.ThrowsAsync<InvalidDataException>(() => Download())).Message);
        Assert.Single(server.Seen);
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("a/b/c")]
    [InlineData("a/..")]
    [InlineData("a b")]
    [InlineData("")]
    [InlineData("owner/mo--del")]
    public async Task No_id_leaves_the_cache(string id)
    {
        await Assert.ThrowsAsync<ArgumentException>(() => Download(id: id));
        await Assert.ThrowsAsync<ArgumentException>(() => Download(revision: "../x"));
        Assert.Empty(server.Seen);
    }

    [Fact]
    public async Task A_hundred_gigabytes_are_refused_before_they_come()
    {
        server.List = server.Listing(size: f => f == "model.safetensors" ? 100_000_000_000 : server.Files[f].Length);
        var error = await Assert.ThrowsAsync<IOException>(() => Download());
        foreach (var part in new[] { "100.0 GB", "20.0 GB", "model.safetensors", "--allow-size" }) Assert.Contains(part, error.Message);
        Assert.Contains("free", (await Assert.ThrowsAsync<IOException>(() => Download(settings: s => s with { MaximumBytes = long.MaxValue }, list: server.Listing(size: _ => 1L << 55)))).Message);
        Assert.DoesNotContain(server.Seen, s => s.Path.Contains("/resolve/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Pickles_alone_are_refused_with_the_way_to_convert_them()
    {
        server.Files.Remove("model.safetensors");
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Download());
        foreach (var part in new[] { "pytorch_model.bin", "pickle", "safe_serialization" }) Assert.Contains(part, error.Message);
    }

    [Theory]
    [InlineData("<html>", "does not answer like a hub")]
    [InlineData("{\"sha\":\"../../x\",\"siblings\":[]}", "which is none")]
    [InlineData("{\"sha\":\"0123456789abcdef0123456789abcdef01234567\",\"siblings\":[{\"rfilename\":\"config.json\",\"size\":1,\"blobId\":\"../x\"}]}", "hash")]
    public async Task An_answer_that_is_no_list_is_refused(string list, string says) => Assert.Contains(says, (await Assert.ThrowsAsync<InvalidDataException>(() => Download(list: list))).Message);

    [Fact]
    public async Task Offline_only_the_cache_is_used()
    {
        Assert.Contains("HF_HUB_OFFLINE", (await Assert.ThrowsAsync<FileNotFoundException>(() => Download(settings: s => s with { Offline = true }))).Message);
        var snapshot = await Download();
        var asked = server.Seen.Count;
        Assert.Equal(snapshot, await Download(settings: s => s with { Offline = true }));
        Assert.Equal(asked, server.Seen.Count);
    }

    [Fact]
    public async Task A_cancelled_download_keeps_only_what_it_can_go_on_from()
    {
        using var source = new CancellationTokenSource();
        server.Behave = (path, _, _) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, weights) { CutAfter = 90_000, Stalls = true } : null;
        var running = Download(settings: s => s with { Timeout = TimeSpan.FromSeconds(30) }, cancellation: source.Token);
        while (!Directory.Exists(folder["hub"]) || !Directory.GetFiles(folder["hub"], "*.incomplete", SearchOption.AllDirectories).Any(f => new FileInfo(f).Length == 90_000)) await Task.Delay(20, TestContext.Current.CancellationToken);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Empty(Directory.GetFiles(folder["hub"], "model.safetensors", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Two_downloads_at_once_do_not_clash()
    {
        var both = await Task.WhenAll(Download(settings: s => s with { Parallel = 4 }), Download(settings: s => s with { Parallel = 4 }));
        Assert.Equal(both[0], both[1]);
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(both[0], "model.safetensors")));
        Assert.Equal(1, server.Seen.Count(s => s.Path.EndsWith("model.safetensors", StringComparison.Ordinal)));
        NothingHalfWritten();
    }

    [Fact]
    public async Task The_cache_is_listed_and_pruned()
    {
        await Download();
        server.Behave = (path, _, _) => path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, weights) { CutAfter = 10 } : null;
        await Assert.ThrowsAsync<IOException>(() => Download(id: "owner/other"));
        var cache = new HubCache(folder["hub"]);
        var (whole, cut) = (cache.List().Single(r => r.Id == Id), cache.List().Single(r => r.Id == "owner/other"));
        Assert.Equal(["main"], Assert.Single(whole.Revisions).Names);
        Assert.InRange(whole.Bytes, weights.Length, weights.Length + 1000);
        Assert.Equal(10, cut.Incomplete);
        Assert.Contains("owner/model", cache.Show().ToText());
        Assert.Equal(10, cache.Prune(cut, onlyIncomplete: true));
        Assert.Equal(10, cache.List().Single(r => r.Id == "owner/other").Incomplete);      // only counted
        Assert.Equal(10, cache.Prune(cut, onlyIncomplete: true, delete: true));
        Assert.Equal(0, cache.List().Single(r => r.Id == "owner/other").Incomplete);
        Assert.InRange(cache.Prune(whole, MisbehavingServer.Commit, delete: true), weights.Length, weights.Length + 1000);
        Assert.Null(cache.Find(Id));
        foreach (var repository in cache.List()) cache.Prune(repository, delete: true);
        Assert.Empty(cache.List());
    }

    private Task<string> Download(string revision = "main", string id = Id, Func<HubSettings, HubSettings>? settings = null, string? list = null, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (list is not null) server.List = list;
        var own = new HubSettings
        {
            Cache = folder["hub"], Endpoint = server.Address, Timeout = TimeSpan.FromMilliseconds(800), Parallel = 1,
            Wait = (pause, _) =>
            {
                lock (pauses) pauses.Add(pause);
                return Task.CompletedTask;
            },
        };
        return Run(settings?.Invoke(own) ?? own);

        async Task<string> Run(HubSettings s)
        {
            using var client = new HubClient(s);
            return await client.DownloadAsync(id, revision, progress: progress, cancellation: cancellation);
        }
    }

    private void NothingHalfWritten() => Assert.Empty(Directory.Exists(folder["hub"]) ? Directory.GetFiles(folder["hub"], "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".incomplete", StringComparison.Ordinal) || f.EndsWith(".lock", StringComparison.Ordinal) || f.EndsWith(".tmp", StringComparison.Ordinal)) : []);

    private sealed class Told(List<DownloadProgress> told) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value)
        {
            lock (told) told.Add(value);
        }
    }
}
