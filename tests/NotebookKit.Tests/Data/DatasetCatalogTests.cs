using System.IO.Compression;
using NotebookKit.Data;
using NotebookKit.Hub;
using NotebookKit.Tests.Hub;

namespace NotebookKit.Tests.Data;

/// <summary>Expected values: rows and classes that the sets' own cards state; the fake server's bytes. Sets that are not on the machine are skipped.</summary>
public sealed class DatasetCatalogTests
{
    /// <summary>Rows of the test part, rows of training and validation part together, classes.</summary>
    [Theory]
    [InlineData("banking77", 10_003, 3_080, 77)]
    [InlineData("bitext-support", 6_480 + 810, 810, 27)]
    [InlineData("sst2", 6_920 + 872, 1_821, 2)]
    [InlineData("trec", 5_452, 500, 6)]
    [InlineData("trec-fine", 5_452, 500, 50)]
    [InlineData("davidson-moderation", 24_783 - 2_478, 2_478, 3)]
    public void Classification_sets_load_with_the_rows_their_cards_state(string name, int learnt, int tested, int classes)
    {
        Assert.SkipUnless(DatasetCatalog.IsPresent(name), $"'{name}' is not on this machine: nbkit download {name}");
        var data = DatasetCatalog.Load(name);
        Assert.Equal((learnt, tested, classes), (data.Train.Count + data.Validation.Count, data.Test.Count, data.Labels.Count));
        Assert.Equal(name, data.Name);
        Assert.All(data.Test.Concat(data.Train), e => Assert.DoesNotContain('\uFFFD', e.Text)); // read with its own encoding
    }

    [Fact]
    public void Both_trec_tasks_have_the_same_questions_in_the_same_parts()
    {
        Assert.SkipUnless(DatasetCatalog.IsPresent("trec"), "'trec' is not on this machine: nbkit download trec");
        var (coarse, fine) = (DatasetCatalog.Load("trec"), DatasetCatalog.Load("trec-fine"));
        Assert.Equal(coarse.Validation.Texts, fine.Validation.Texts);
        Assert.Equal(coarse.Test.Select(e => e.Kind), fine.Test.Select(e => e.Label));
        Assert.Contains(coarse.Train.Concat(coarse.Validation), e => e.Text.Any(c => c > 127)); // ISO-8859-1
    }

    [Theory]
    [InlineData("multi30k", 9)]
    [InlineData("movielens-small", 3)]
    [InlineData("tinyshakespeare", 1)]
    public void Other_sets_give_checked_files(string name, int files)
    {
        Assert.Contains("DatasetCatalog.Files", Assert.Throws<InvalidOperationException>(() => DatasetCatalog.Load(name)).Message);
        Assert.SkipUnless(DatasetCatalog.IsPresent(name), $"'{name}' is not on this machine: nbkit download {name}");
        var found = DatasetCatalog.Files(name);
        Assert.Equal(files, found.Count);
        Assert.All(found.Values, f => Assert.True(File.Exists(f)));
    }

    [Fact]
    public void Every_entry_is_pinned_and_has_a_licence()
    {
        Assert.All(DatasetCatalog.Entries, e =>
        {
            Assert.NotEqual("", e.Licence);
            if (e.Page is null) Assert.All(e.Files, f => Assert.Matches("^https://raw\\.githubusercontent\\.com/[^/]+/[^/]+/[0-9a-f]{12,40}/", f.Source));
            Assert.All(e.Files, f => Assert.Matches("^[0-9a-f]{64}$", f.Sha256));
        });
        Assert.Equal(DatasetCatalog.Entries.Count, DatasetCatalog.Overview().Rows.Count);
        Assert.Contains("'sst2'", Assert.Throws<KeyNotFoundException>(() => DatasetCatalog.Load("nothing")).Message);
    }

    [Fact]
    public async Task A_set_that_only_a_person_can_get_says_where_it_is()
    {
        using var folder = TestData.NewFolder();
        using var client = new HubClient(new HubSettings { CacheFolder = folder["hub"] });
        var entry = DatasetCatalog.Entries.Single(e => e.Name == "bitext-support");
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => DatasetCatalog.FetchAsync(entry, folder["x"], client, null, default));
        foreach (var part in new[] { "cannot be downloaded by name", entry.Page!, entry.Files[0].Name, folder["x"] }) Assert.Contains(part, error.Message);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task A_set_is_downloaded_checked_and_taken_out_of_an_archive()
    {
        var (plain, inside) = (FakeHub.Bytes(50_000, 1), FakeHub.Bytes(2_000, 2));
        var zip = new MemoryStream();
        using (var archive = new ZipArchive(zip, ZipArchiveMode.Create, leaveOpen: true))
        await using (var member = archive.CreateEntry("qc/b.txt").Open())
            member.Write(inside);
        var cuts = 0;
        using var server = new MisbehavingServer(asked => asked.Path == "/qc.zip" ? FakeHub.Part(asked, zip.ToArray()) : FakeHub.Part(asked, plain) with { CutAt = cuts++ == 0 ? 20_000 : null });
        using var folder = TestData.NewFolder();
        using var client = new HubClient(new HubSettings { CacheFolder = folder["hub"], Endpoint = server.Address, RetryDelay = TimeSpan.FromMilliseconds(1), Token = "hf_secret" });
        CatalogEntry Entry(string sha256) => new("x", DatasetTask.PlainText, "MIT",
            [new("a.txt", sha256, $"{server.Address}a.txt"), new("b.txt", MisbehavingServer.Sha256(inside), $"{server.Address}qc.zip", "qc/b.txt")], "test");

        await DatasetCatalog.FetchAsync(Entry(MisbehavingServer.Sha256(plain)), folder["x"], client, null, default);
        Assert.Equal(plain, await File.ReadAllBytesAsync(Path.Combine(folder["x"], "a.txt")));
        Assert.Equal(inside, await File.ReadAllBytesAsync(Path.Combine(folder["x"], "b.txt")));
        Assert.Equal(["a.txt", "b.txt"], Directory.GetFiles(folder["x"]).Select(Path.GetFileName).Order());

        var error = await Assert.ThrowsAsync<HubException>(() => DatasetCatalog.FetchAsync(Entry(new string('0', 64)), folder["y"], client, null, default));
        Assert.Equal(HubFailure.Corrupt, error.Failure);
        Assert.Empty(Directory.GetFiles(folder["y"]));
    }
}
