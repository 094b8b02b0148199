using System.IO.Compression;
using System.Text;
using NotebookKit.Data;
using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>The catalogue's sets. Sizes: shared/datasets/README.md, where they stand with their sources (skipped where the data is absent).</summary>
public sealed class DatasetDownloadTests
{
    [Theory]
    [InlineData("banking77", 77, 10_003, 3_080)]
    [InlineData("bitext-support", 27, 7_290, 810)]
    [InlineData("sst2", 2, 7_792, 1_821)]
    [InlineData("trec", 6, 5_452, 500)]
    [InlineData("trec-fine", 50, 5_452, 500)]
    [InlineData("davidson-moderation", 3, 22_305, 2_478)]
    public void Labelled_sets_are_read_whole(string name, int classes, int trainAndValidation, int test)
    {
        TestData.RequireShared($"datasets/{DatasetCatalog.Entries.Single(e => e.Name == name).Folder}");
        var data = DatasetCatalog.Load(name);
        Assert.Equal((classes, trainAndValidation, test), (data.Labels.Count, data.Train.Count + data.Validation.Count, data.Test.Count));
    }

    [Theory]
    [InlineData("multi30k", 9)]
    [InlineData("movielens-small", 2)]
    [InlineData("tinyshakespeare", 1)]
    public void Other_sets_are_given_as_checked_files(string name, int files)
    {
        TestData.RequireShared($"datasets/{name}");
        Assert.Equal(files, DatasetCatalog.Files(name).Count);
        Assert.Contains("Files", Assert.Throws<InvalidOperationException>(() => DatasetCatalog.Load(name)).Message);
    }

    [Fact]
    public async Task A_source_is_checked_and_an_archive_s_entry_too()
    {
        MisbehavingServer.RequireLoopback();
        using var folder = TestData.NewFolder();
        using var server = new MisbehavingServer();
        var text = Encoding.UTF8.GetBytes("DESC:def What is an atom ?\n");
        using var archive = new MemoryStream();
        using (var zip = new ZipArchive(archive, ZipArchiveMode.Create, leaveOpen: true))
        {
            using var entry = zip.CreateEntry("qc/test.txt").Open();
            entry.Write(text);
        }
        server.Behave = (path, headers, _) => MisbehavingServer.Part(path.EndsWith(".zip", StringComparison.Ordinal) ? archive.ToArray() : text, headers);
        using var client = new HubClient(new HubSettings { Cache = folder["hub"], Endpoint = server.Address, Wait = (_, _) => Task.CompletedTask });
        Task Fetch(string hash, string source, string name) => DatasetCatalog.FetchAsync(client, new DatasetFile(name, hash, new Uri(server.Address, source).ToString()), folder[name], TestContext.Current.CancellationToken);
        await Fetch(MisbehavingServer.Sha256(text), "a.txt", "a.txt");
        await Fetch(MisbehavingServer.Sha256(text), "qc.zip#qc/test.txt", "b.txt");
        Assert.Equal(text, File.ReadAllBytes(folder["b.txt"]));
        await Assert.ThrowsAsync<InvalidDataException>(() => Fetch(new string('0', 64), "c.txt", "c.txt"));
        await Assert.ThrowsAsync<InvalidDataException>(() => Fetch(new string('0', 64), "qc.zip#qc/test.txt", "d.txt"));
        Assert.Contains("none.txt", (await Assert.ThrowsAsync<InvalidDataException>(() => Fetch("", "qc.zip#none.txt", "e.txt"))).Message);
        Assert.Equal(["a.txt", "b.txt", "qc.zip"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order());
        Assert.Contains("by name", (await Assert.ThrowsAsync<InvalidOperationException>(() => DatasetCatalog.DownloadAsync("bitext-support", client, folder.Path, TestContext.Current.CancellationToken))).Message);
    }
}
