using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>Expected values: the error codes the hub documents (X-Error-Code), and the promise that nothing half written or unchecked ever stands in blobs or snapshots.</summary>
public sealed class HubRefusalTests : HubTests
{
    [Theory]
    [InlineData(401, "GatedRepo", HubFailure.Gated, "Accept it at")]
    [InlineData(403, "GatedRepo", HubFailure.Gated, "HF_TOKEN")]
    [InlineData(401, "RepoNotFound", HubFailure.RepositoryNotFound, "or it is private")]
    [InlineData(401, null, HubFailure.Unauthorized, "set HF_TOKEN")]
    [InlineData(403, null, HubFailure.Unauthorized, "org/model")]
    [InlineData(404, "RepoNotFound", HubFailure.RepositoryNotFound, "no model 'org/model'")]
    [InlineData(404, "RevisionNotFound", HubFailure.RevisionNotFound, "no revision 'main'")]
    [InlineData(404, null, HubFailure.RepositoryNotFound, "Check the spelling")]
    [InlineData(410, null, HubFailure.Unavailable, "410")]
    public async Task Refusals_of_the_listing_say_what_to_do(int status, string? code, HubFailure failure, string says)
    {
        Hub.Override = _ => code is null ? Answer.Text(status, "") : Answer.Text(status, "", ("X-Error-Code", code));
        Assert.Contains(says, (await FailsAsync(failure)).Message);
        Assert.Single(Hub.Server.Requests); // trying again would not help
    }

    [Theory]
    [InlineData(403, "GatedRepo", HubFailure.Gated, "gated")]
    [InlineData(404, "EntryNotFound", HubFailure.FileNotFound, "no file 'config.json'")]
    [InlineData(404, null, HubFailure.FileNotFound, "no file 'config.json'")]
    public async Task Refusals_of_a_file_say_what_to_do(int status, string? code, HubFailure failure, string says)
    {
        Hub.Override = asked => !asked.Path.EndsWith("config.json", StringComparison.Ordinal) ? null : code is null ? Answer.Text(status, "") : Answer.Text(status, "", ("X-Error-Code", code));
        Assert.Contains(says, (await FailsAsync(failure, c => c.DownloadAsync(FakeHub.Id, new DownloadRequest { Files = FileSelection.Globs("config.json") }))).Message);
        Assert.Empty(Left());
    }

    [Fact]
    public async Task An_unknown_revision_is_named()
    {
        Assert.Contains("'v9'", (await FailsAsync(HubFailure.RevisionNotFound, c => c.DownloadAsync(FakeHub.Id, new DownloadRequest { Revision = "v9" }))).Message);
    }

    [Fact]
    public async Task A_body_longer_than_the_listing_says_is_stopped_and_deleted()
    {
        foreach (var announced in new long?[] { null, -1 }) // with a Content-Length that admits it, and without one
        {
            Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, FakeHub.Bytes(2_000_000, 4)) { Announced = announced } : null;
            Assert.Contains("300,000 bytes by the listing", (await FailsAsync(HubFailure.Corrupt)).Message);
            Assert.DoesNotContain(Left(), f => f.Contains(Hub.TagOf("model.safetensors"), StringComparison.Ordinal));
            Assert.False(File.Exists(Path.Combine(Snapshot, "model.safetensors")));
        }
    }

    [Fact]
    public async Task A_body_shorter_than_it_says_is_tried_again_and_then_an_error()
    {
        Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, Hub.Weights[..200_000]) : null; // an honest Content-Length, a lie to the listing
        Assert.Contains("200,000 of 300,000 bytes", (await FailsAsync(HubFailure.Unavailable)).Message);
        Assert.Equal(5, Hub.Gets("model.safetensors").Count());
        Hub.Override = asked => asked.Path.EndsWith("model.safetensors", StringComparison.Ordinal) ? new Answer(200, Hub.Weights[..200_000]) { Announced = 300_000 } : null;
        await FailsAsync(HubFailure.Unavailable);
        Assert.False(File.Exists(Blob("model.safetensors")));
        Assert.False(Path.Exists(Path.Combine(Snapshot, "model.safetensors")));
        Assert.False(File.Exists(Path.Combine(Repository, "refs", "main")));
    }

    [Theory]
    [InlineData("model.safetensors", "SHA-256")]
    [InlineData("config.json", "git hash")]
    public async Task A_wrong_checksum_is_an_error_and_the_bytes_are_deleted(string file, string kind)
    {
        Hub.Override = asked => asked.Path.EndsWith(file, StringComparison.Ordinal) ? new Answer(200, FakeHub.Bytes(Hub.Files[file].Length, 5)) : null;
        Assert.Contains(kind, (await FailsAsync(HubFailure.Corrupt)).Message);
        Assert.DoesNotContain(Left(), f => f.Contains(Hub.TagOf(file), StringComparison.Ordinal) || f.EndsWith(file, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("../evil")]
    [InlineData("a/../../evil.json")]
    [InlineData("/etc/evil")]
    [InlineData(@"C:\x")]
    [InlineData("C:/x")]
    [InlineData(@"..\evil")]
    [InlineData("a\u0000b")]
    [InlineData("a\nb")]
    [InlineData("a//b")]
    [InlineData("")]
    public async Task A_listed_name_that_leads_out_of_the_cache_stops_everything(string name)
    {
        Hub.AlsoListed.Add((name, 10, new string('c', 64)));
        await FailsAsync(HubFailure.UnsafeName);
        Assert.Single(Hub.Server.Requests);
        Assert.Empty(Left());
    }

    [Theory]
    [InlineData("aux.json")]
    [InlineData("data/NUL")]
    [InlineData("stream:x")]
    [InlineData("dot./x")]
    public async Task Names_that_Windows_cannot_keep_are_refused_where_they_are_chosen(string name)
    {
        Hub.AlsoListed.Add((name, 10, new string('c', 64)));
        await FailsAsync(HubFailure.UnsafeName, c => c.DownloadAsync(FakeHub.Id, new DownloadRequest { Files = FileSelection.All }));
        using var client = Client();
        await client.DownloadAsync(FakeHub.Id); // not among what the kit reads
    }

    [Theory]
    [InlineData("../x/y")]
    [InlineData("a/b/c")]
    [InlineData("/a")]
    [InlineData("a--b/c")]
    [InlineData("a/..")]
    [InlineData("con/x")]
    [InlineData(@"a\b")]
    [InlineData("")]
    public async Task Ids_that_are_none_are_refused_before_anything_is_asked(string id)
    {
        using var client = Client();
        await Assert.ThrowsAsync<ArgumentException>(() => client.DownloadAsync(id));
        await Assert.ThrowsAsync<ArgumentException>(() => client.DownloadAsync(FakeHub.Id, new DownloadRequest { Revision = "../../main" }));
        Assert.Empty(Hub.Server.Requests);
    }

    [Fact]
    public async Task A_tag_that_is_no_file_name_is_refused()
    {
        Hub.AlsoListed.Add(("vocab.txt", 10, "../../../evil"));
        await FailsAsync(HubFailure.Corrupt);
        Assert.Empty(Left());
    }

    [Fact]
    public async Task A_hundred_gigabytes_are_refused_with_the_size_said_until_allowed()
    {
        Hub.Files.Remove("model.safetensors");
        Hub.AlsoListed.Add(("model.safetensors", 100_000_000_000, new string('c', 64)));
        var message = (await FailsAsync(HubFailure.TooLarge)).Message;
        Assert.Contains("100.0 GB", message);
        Assert.Contains("--allow-size 101", message);
        Hub.AlsoListed[0] = ("model.safetensors", 8_000_000_000_000_000_000, new string('c', 64));
        Assert.Contains("free", (await FailsAsync(HubFailure.TooLarge, c => c.DownloadAsync(FakeHub.Id, new DownloadRequest { AllowedSize = long.MaxValue }))).Message); // no disk has eight exabytes
        Assert.Single(Hub.Server.Requests.Select(r => r.Path).Distinct());
    }

    [Fact]
    public async Task Pickled_weights_alone_are_refused_with_the_way_to_convert_them()
    {
        Hub.Files.Remove("model.safetensors");
        Assert.Contains("save_pretrained", (await FailsAsync(HubFailure.Pickled)).Message);
        await FailsAsync(HubFailure.Pickled, c => c.DownloadAsync(FakeHub.Id, new DownloadRequest { Files = FileSelection.Globs("*.bin") }));
        Assert.Empty(Left());
    }

    [Theory]
    [InlineData("<html>not json</html>")]
    [InlineData("{}")]
    [InlineData("{\"sha\":\"main\",\"siblings\":[]}")]
    [InlineData("{\"sha\":\"0123456789abcdef0123456789abcdef01234567\",\"siblings\":[{\"rfilename\":\"a\",\"size\":-1}]}")]
    [InlineData("{\"sha\":\"0123456789abcdef0123456789abcdef01234567\",\"siblings\":[{\"rfilename\":\"a\",\"size\":1e99}]}")]
    [InlineData("[1,2]")]
    public async Task A_listing_that_is_none_is_refused(string listing)
    {
        Hub.Override = _ => Answer.Text(200, listing);
        Assert.Contains("no listing", (await FailsAsync(HubFailure.Corrupt)).Message);
    }

    [Fact]
    public async Task Redirects_in_a_circle_end()
    {
        Hub.Override = asked => Answer.Text(302, "", ("Location", asked.Path));
        Assert.Contains("more than 8 times", (await FailsAsync(HubFailure.Corrupt)).Message);
    }

    [Fact]
    public async Task Offline_uses_the_cache_and_lists_what_is_missing()
    {
        Assert.Contains("nbkit download org/model", (await FailsAsync(HubFailure.Offline, s => s with { Offline = true })).Message);
        using (var client = Client()) await client.DownloadAsync(FakeHub.Id);
        using (var offline = Client(s => s with { Offline = true, Endpoint = new Uri("http://127.0.0.1:1") })) Assert.Equal(Snapshot, await offline.DownloadAsync(FakeHub.Id));
        File.Delete(Path.Combine(Snapshot, "model.safetensors"));
        var before = Hub.Server.Requests.Count;
        Assert.Contains("model.safetensors", (await FailsAsync(HubFailure.Offline, s => s with { Offline = true })).Message);
        Assert.Equal(before, Hub.Server.Requests.Count);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_is_named()
    {
        var file = Path.Combine(Path.GetDirectoryName(CacheFolder)!, "a-file");
        await File.WriteAllTextAsync(file, "");
        Assert.Contains("HF_HUB_CACHE", (await FailsAsync(HubFailure.CacheUnusable, s => s with { CacheFolder = Path.Combine(file, "hub") })).Message);
        if (OperatingSystem.IsLinux()) await FailsAsync(HubFailure.CacheUnusable, s => s with { CacheFolder = "/proc/nbkit" }); // read-only even for root
    }

    [Fact]
    public async Task A_lock_that_another_process_holds_without_working_ends_in_an_error()
    {
        var path = Path.Combine(CacheFolder, ".locks", "models--org--model", Hub.TagOf("config.json") + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using var held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        Assert.Contains(path, (await FailsAsync(HubFailure.CacheUnusable, s => s with { LockTimeout = TimeSpan.FromMilliseconds(200) })).Message);
    }
}
