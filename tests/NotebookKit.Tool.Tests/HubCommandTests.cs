using System.Diagnostics;

namespace NotebookKit.Tool.Tests;

/// <summary>The commands as a person runs them; what they must print follows from their own help. No network: an address where nothing listens.</summary>
public sealed class HubCommandTests
{
    [Fact]
    public void A_cache_is_listed_and_pruned_only_when_told_to()
    {
        using var folder = new ToolFixture();
        var repository = Path.Combine(folder.Folder, "models--owner--model");
        var commit = new string('a', 40);
        Directory.CreateDirectory(Path.Combine(repository, "refs"));
        Directory.CreateDirectory(Path.Combine(repository, "snapshots", commit));
        File.WriteAllText(Path.Combine(repository, "refs", "main"), commit);
        File.WriteAllBytes(Path.Combine(repository, "snapshots", commit, "model.safetensors"), new byte[2_500_000]);
        var (code, listing) = Run(folder.Folder, "cache");
        Assert.Equal(0, code);
        foreach (var part in new[] { "owner/model", "main", "2.5 MB" }) Assert.Contains(part, listing);
        Assert.Contains("would delete owner/model: 2.5 MB", Run(folder.Folder, "cache", "prune", "--id", "owner/model").Text);
        Assert.True(Directory.Exists(repository));
        Assert.Contains("0.0 MB would be freed", Run(folder.Folder, "cache", "prune", "--unused-for", "3").Text);
        Assert.Contains("2.5 MB freed", Run(folder.Folder, "cache", "prune", "--id", "owner/model", "--yes").Text);
        Assert.False(Directory.Exists(repository));
        Assert.Contains("is empty", Run(folder.Folder, "cache").Text);
        var (failed, missing) = Run(folder.Folder, "cache", "prune", "--id", "owner/model");
        Assert.NotEqual(0, failed);
        Assert.Contains("not in the cache", missing);
    }

    [Fact]
    public void A_download_that_cannot_be_says_why()
    {
        using var folder = new ToolFixture();
        var (code, text) = Run(folder.Folder, "download", "../etc");
        Assert.NotEqual(0, code);
        Assert.Contains("is not a hub id", text);
        Assert.Contains("HF_HUB_OFFLINE", Run(folder.Folder, "download", "owner/model").Text);
        Assert.Contains("cannot be downloaded by name", Run(folder.Folder, "download", "bitext-support").Text);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Folder));
    }

    private static (int Code, string Text) Run(string cache, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(NotebookKit.Tool.Conformance.Conformer).Assembly.Location);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        (start.Environment["HF_HUB_CACHE"], start.Environment["HF_HUB_OFFLINE"]) = (cache, "1");
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        process.WaitForExit();
        return (process.ExitCode, output.Result + errors.Result);
    }
}
