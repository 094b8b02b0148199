using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>Expected values: the fake hub's own bytes; HTTP's rules for ranges and retries (RFC 9110, sections 10.2.3, 13 to 15); the layout in huggingface_hub's documentation of its cache.</summary>
public sealed class HubDownloadTests : HubTests
{
    [Fact]
    public async Task A_model_is_laid_out_as_huggingface_hub_does_it()
    {
        using var client = Client();
        Assert.Equal(Snapshot, await client.DownloadAsync(FakeHub.Id));
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
        Assert.Equal(FakeHub.Commit, await File.ReadAllTextAsync(Path.Combine(Repository, "refs", "main")));
        Assert.Equal($"../../blobs/{Hub.TagOf("config.json")}", new FileInfo(Path.Combine(Snapshot, "config.json")).LinkTarget);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.GetFiles(Snapshot).Select(Path.GetFileName).Order());
        Assert.DoesNotContain(Left(), f => f.EndsWith(".incomplete", StringComparison.Ordinal) || f.EndsWith(".tmp", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_second_download_fetches_no_file_again_and_a_commit_needs_no_network()
    {
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        var before = Hub.Server.Requests.Count;
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal(before + 1, Hub.Server.Requests.Count); // the listing: main may have moved
        Assert.Equal(Snapshot, await client.DownloadAsync(FakeHub.Id, new DownloadRequest { Revision = FakeHub.Commit }));
        Assert.Equal(before + 1, Hub.Server.Requests.Count);
    }

    [Fact]
    public async Task A_tag_is_its_own_ref_and_shares_blobs()
    {
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id, new DownloadRequest { Revision = "v1" });
        Assert.Equal(FakeHub.Commit, await File.ReadAllTextAsync(Path.Combine(Repository, "refs", "v1")));
        Assert.False(File.Exists(Path.Combine(Repository, "refs", "main")));
    }

    [Fact]
    public async Task Patterns_choose_files_in_folders()
    {
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id, new DownloadRequest { Files = FileSelection.Globs("onnx/*", "config.*") });
        Assert.Equal("../../../blobs/" + Hub.TagOf("onnx/model.onnx"), new FileInfo(Path.Combine(Snapshot, "onnx", "model.onnx")).LinkTarget);
        Assert.False(File.Exists(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_download_cut_off_goes_on_with_a_range_and_the_ETag()
    {
        Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) && asked.From == 0 ? Hub.Behave(asked) with { CutAt = 120_000 } : null;
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        var gets = Hub.Gets("model.safetensors").ToArray();
        Assert.Equal(2, gets.Length);
        Assert.InRange(gets[1].From, 1, 120_000);
        Assert.Equal($"\"{Hub.TagOf("model.safetensors")}\"", gets[1]["If-Range"]);
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_new_process_goes_on_where_the_old_one_stopped()
    {
        Directory.CreateDirectory(Path.Combine(Repository, "blobs"));
        await File.WriteAllBytesAsync(Blob("model.safetensors") + ".incomplete", Hub.Weights[..100_000]); // as huggingface_hub leaves it, too
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal("bytes=100000-", Assert.Single(Hub.Gets("model.safetensors"))["Range"]);
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task Leftovers_that_are_wrong_are_fetched_anew_once()
    {
        Directory.CreateDirectory(Path.Combine(Repository, "blobs"));
        await File.WriteAllBytesAsync(Blob("model.safetensors") + ".incomplete", FakeHub.Bytes(100_000, 9));
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal([100_000, 0], Hub.Gets("model.safetensors").Select(g => g.From));
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_server_that_ignores_ranges_makes_it_start_anew()
    {
        var round = 0;
        Hub.Override = asked => !asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) ? null : round++ == 0 ? new Answer(200, Hub.Weights) { CutAt = 50_000 } : new Answer(200, Hub.Weights);
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.NotNull(Hub.Gets("model.safetensors").Last()["Range"]);
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_changed_ETag_and_a_416_make_it_start_anew()
    {
        var round = 0;
        Hub.Override = asked => !asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) ? null : ++round switch
        {
            1 => new Answer(200, FakeHub.Bytes(300_000, 8), ("ETag", "\"old\"")) { CutAt = 50_000 },
            2 => FakeHub.Part(asked, Hub.Weights, ("ETag", "\"new\"")), // 206 though If-Range named another
            3 => new Answer(200, Hub.Weights, ("ETag", "\"new\"")) { CutAt = 60_000 },
            4 => new Answer(416, [], ("Content-Range", "bytes */300000")),
            _ => FakeHub.Part(asked, Hub.Weights, ("ETag", "\"new\"")),
        };
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal([true, false, true, false, true], Hub.Gets("model.safetensors").Select(g => g.From == 0));
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Theory]
    [InlineData("7", 7)]
    [InlineData("Thu, 01 Jan 2026 12:00:30 GMT", 30)]
    public async Task Too_many_requests_wait_as_long_as_the_server_asks(string retryAfter, int seconds)
    {
        var asked = 0;
        Hub.Override = r => r.Path.StartsWith("/api", StringComparison.Ordinal) && asked++ == 0 ? Answer.Text(429, "", ("Retry-After", retryAfter)) : null;
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal(seconds, Assert.Single(Time.Waits).TotalSeconds, 0.001);
    }

    [Fact]
    public async Task A_wait_that_is_too_long_is_an_error_that_says_so()
    {
        Hub.Override = _ => Answer.Text(429, "", ("Retry-After", "7200"));
        Assert.Contains("120 min", (await FailsAsync(HubFailure.Unavailable)).Message);
    }

    [Fact]
    public async Task Server_errors_pass_with_doubling_pauses_and_do_not_go_on_for_ever()
    {
        var asked = 0;
        Hub.Override = r => r.Path.StartsWith("/api", StringComparison.Ordinal) && asked++ < 3 ? Answer.Text(500, "") : null;
        using (var client = Client()) await client.DownloadAsync(FakeHub.Id);
        Assert.Equal(3, Time.Waits.Count);
        foreach (var (wait, least) in Time.Waits.Zip([1, 2, 4])) Assert.InRange(wait.TotalSeconds, least, least * 1.25); // 1 s, doubled, up to a quarter more
        Hub.Override = _ => Answer.Text(503, "");
        Assert.Contains("after 5 attempts", (await FailsAsync(HubFailure.Unavailable)).Message);
    }

    [Fact]
    public async Task A_stream_that_stalls_is_cut_and_gone_on_with()
    {
        Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) && asked.From == 0 ? Hub.Behave(asked) with { StallAt = 100_000 } : null;
        using var client = Client(s => s with { Timeout = TimeSpan.FromSeconds(1) });
        await client.DownloadAsync(FakeHub.Id);
        Assert.Equal(100_000, Hub.Gets("model.safetensors").Last().From);
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_server_that_never_answers_or_is_not_there_ends_in_an_error()
    {
        Hub.Override = _ => { Thread.Sleep(1500); return null; };
        Assert.Contains("no answer in 0.2 s", (await FailsAsync(HubFailure.Unavailable, s => s with { Timeout = TimeSpan.FromMilliseconds(200), Attempts = 2 })).Message);
        Assert.Contains("no connection", (await FailsAsync(HubFailure.Unavailable, s => s with { Endpoint = new Uri("http://127.0.0.1:1"), Attempts = 2 })).Message);
    }

    [Fact]
    public async Task The_token_goes_to_the_hub_and_not_to_the_host_it_redirects_to()
    {
        using var elsewhere = new MisbehavingServer(asked => FakeHub.Part(asked, Hub.Weights, ("ETag", "\"of-another-kind\"")));
        Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal)
            ? Answer.Text(302, "", ("Location", $"{elsewhere.Address}signed?x=1"), ("X-Linked-Etag", $"\"{Hub.TagOf("model.safetensors")}\"")) : null;
        using var client = Client(s => s with { Token = "hf_secret" });
        await client.DownloadAsync(FakeHub.Id);
        Assert.All(Hub.Server.Requests, r => Assert.Equal("Bearer hf_secret", r["Authorization"]));
        Assert.Null(Assert.Single(elsewhere.Requests)["Authorization"]);
        Assert.Equal(Hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_listing_without_checksums_is_completed_from_the_headers()
    {
        Hub.Override = asked => asked.Path.StartsWith("/api", StringComparison.Ordinal) ? Answer.Text(200, $"{{\"sha\":\"{FakeHub.Commit}\",\"siblings\":[{{\"rfilename\":\"config.json\"}},{{\"rfilename\":\"model.safetensors\"}}]}}")
            : asked.Method == "HEAD" && asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal)
                ? Answer.Text(302, "", ("Location", "http://192.0.2.1/x"), ("X-Linked-Etag", $"\"{Hub.TagOf("model.safetensors")}\""), ("X-Linked-Size", "300000")) : null;
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id);
        Assert.True(File.Exists(Blob("model.safetensors")));
        Assert.True(File.Exists(Blob("config.json")));
    }

    [Fact]
    public async Task Progress_ends_at_the_announced_total()
    {
        var reports = new List<DownloadProgress>();
        using var client = Client(s => s with { ParallelFiles = 1 });
        await client.DownloadAsync(FakeHub.Id, progress: new Synchronous(reports));
        var total = Hub.Weights.Length + Hub.Files["config.json"].Length + Hub.Files["tokenizer.json"].Length;
        Assert.Equal((total, total, 3, 3), (reports[^1].Bytes, reports[^1].Total, reports[^1].FilesDone, reports[^1].Files));
    }

    [Fact]
    public async Task Two_clients_that_want_the_same_blob_fetch_it_once()
    {
        Hub.Override = asked => { if (asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal)) Thread.Sleep(200); return null; };
        using var first = Client();
        using var second = Client();
        var folders = await Task.WhenAll(first.DownloadAsync(FakeHub.Id), second.DownloadAsync(FakeHub.Id));
        Assert.Equal([Snapshot, Snapshot], folders);
        Assert.Single(Hub.Gets("model.safetensors"));
    }

    [Fact]
    public async Task Cancelled_in_the_middle_only_the_resumable_part_is_left()
    {
        using var stop = new CancellationTokenSource();
        Hub.Override = asked =>
        {
            if (!asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal)) return null;
            stop.CancelAfter(500);
            return Hub.Behave(asked) with { StallAt = 100_000 };
        };
        using (var client = Client())
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.DownloadAsync(FakeHub.Id, new DownloadRequest { Files = FileSelection.Globs("model.safetensors") }, cancellation: stop.Token));
        Assert.Equal([$"blobs/{Hub.TagOf("model.safetensors")}.incomplete"], Left());
        Hub.Override = null;
        using var again = Client();
        await again.DownloadAsync(FakeHub.Id);
        Assert.Equal(100_000, Hub.Gets("model.safetensors").Last().From);
    }

    [Fact]
    public async Task A_dataset_of_the_hub_has_its_own_addresses_and_folder()
    {
        using var hub = new FakeHub { Kind = "datasets" };
        using var client = Client(s => s with { Endpoint = hub.Server.Address });
        var folder = await client.DownloadAsync(FakeHub.Id, new DownloadRequest { Kind = RepositoryKind.Dataset, Files = FileSelection.Globs("*.json") });
        Assert.Equal(Path.Combine(CacheFolder, "datasets--org--model", "snapshots", FakeHub.Commit), folder);
        Assert.Equal(2, Directory.GetFiles(folder).Length);
    }

    [Fact]
    public async Task Without_links_a_new_blob_moves_into_the_snapshot()
    {
        using var client = new HubClient(Settings, Time) { Cache = new HubCache(CacheFolder, links: false) };
        await client.DownloadAsync(FakeHub.Id);
        Assert.Null(new FileInfo(Path.Combine(Snapshot, "model.safetensors")).LinkTarget);
        Assert.False(File.Exists(Blob("model.safetensors")));
        await client.DownloadAsync(FakeHub.Id);
        Assert.Single(Hub.Gets("model.safetensors"));
    }

    private sealed class Synchronous(List<DownloadProgress> reports) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) { lock (reports) reports.Add(value); }
    }
}
