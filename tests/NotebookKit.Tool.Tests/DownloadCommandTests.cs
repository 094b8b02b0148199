using NotebookKit.Tests.Hub;
using NotebookKit.Tool.Commands;

namespace NotebookKit.Tool.Tests;

/// <summary>Expected values: the fake hub's files, and what the commands promise: the folder as the last line, nothing deleted without --yes.</summary>
public sealed class DownloadCommandTests : IDisposable
{
    private readonly ToolFixture _fixture = new();
    private readonly FakeHub _hub = new();
    private readonly string?[] _before;
    private static readonly string[] Variables = ["HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "NOTEBOOKKIT_DATASETS"];

    public DownloadCommandTests()
    {
        _before = [.. Variables.Select(Environment.GetEnvironmentVariable)];
        foreach (var variable in Variables) Environment.SetEnvironmentVariable(variable, null);
        Environment.SetEnvironmentVariable("HF_ENDPOINT", _hub.Server.Address.AbsoluteUri);
    }

    private string Cache => _fixture.PathOf("hub");

    private string Snapshot => Path.Combine(Cache, "models--org--model", "snapshots", FakeHub.Commit);

    [Fact]
    public async Task A_download_ends_with_the_folder_and_the_cache_lists_it()
    {
        var (code, output) = await Run("download", FakeHub.Id, "--cache", Cache);
        Assert.Equal((ExitCodes.Success, Snapshot), (code, output.Trim().Split('\n')[^1]));
        Assert.Equal(_hub.Weights, await File.ReadAllBytesAsync(Path.Combine(Snapshot, "model.safetensors")));
        var list = (await Run("cache", "--cache", Cache, "--files")).Output;
        Assert.Contains("org/model", list);
        Assert.Contains("300.0 kB", list);
        Assert.Contains("main", list);
        Assert.Contains("tokenizer.json", list);
    }

    [Fact]
    public async Task Patterns_revision_and_size_limit_are_passed_on()
    {
        await Run("download", FakeHub.Id, "--cache", Cache, "--revision", "v1", "--include", "config.json", "onnx/*");
        Assert.Equal(["config.json"], Directory.GetFiles(Snapshot).Select(Path.GetFileName));
        Assert.True(File.Exists(Path.Combine(Snapshot, "onnx", "model.onnx")));
        Assert.True(File.Exists(Path.Combine(Cache, "models--org--model", "refs", "v1")));
        Assert.Contains("--allow-size", (await Assert.ThrowsAsync<NotebookKit.Hub.HubException>(() => Run("download", FakeHub.Id, "--cache", Cache, "--allow-size", "0.0001"))).Message);
        await Assert.ThrowsAsync<ArgumentException>(() => Run("download", FakeHub.Id, "--cache", Cache, "--allow-size", "0"));
    }

    [Fact]
    public async Task A_dataset_of_the_hub_goes_to_its_own_folder()
    {
        using var hub = new FakeHub { Kind = "datasets" };
        Environment.SetEnvironmentVariable("HF_ENDPOINT", hub.Server.Address.AbsoluteUri);
        Assert.Contains("datasets--org--model", (await Run("download", FakeHub.Id, "--dataset", "--cache", Cache, "--include", "*.json")).Output);
    }

    [Fact]
    public async Task A_dataset_of_the_catalogue_that_is_here_is_checked_and_its_folder_said()
    {
        var shared = ToolFixture.RequireShared("datasets");
        Environment.SetEnvironmentVariable("NOTEBOOKKIT_DATASETS", shared);
        Assert.Equal(Path.Combine(shared, "banking77"), (await Run("download", "banking77")).Output.Trim());
        Assert.Empty(_hub.Server.Requests);
    }

    [Fact]
    public async Task Prune_says_what_would_go_and_deletes_only_with_yes()
    {
        await Run("download", FakeHub.Id, "--cache", Cache);
        var (code, said) = await Run("cache", "prune", "--cache", Cache, "--id", FakeHub.Id);
        Assert.Equal(ExitCodes.Success, code);
        Assert.Contains("300.0 kB", said);
        Assert.Contains("add --yes", said);
        Assert.True(File.Exists(Path.Combine(Snapshot, "model.safetensors")));
        Assert.Contains("nothing in the cache fits", (await Run("cache", "prune", "--cache", Cache, "--unused-for", "7", "--yes")).Output);
        Assert.Contains("deleted", (await Run("cache", "prune", "--cache", Cache, "--id", FakeHub.Id, "--yes")).Output);
        Assert.False(Directory.Exists(Path.Combine(Cache, "models--org--model")));
        await Assert.ThrowsAsync<ArgumentException>(() => Run("cache", "prune", "--cache", Cache, "--yes"));
    }

    public void Dispose()
    {
        foreach (var (variable, value) in Variables.Zip(_before)) Environment.SetEnvironmentVariable(variable, value);
        _hub.Dispose();
        _fixture.Dispose();
    }

    private static async Task<(int Code, string Output)> Run(params string[] args)
    {
        var (before, beforeError) = (Console.Out, Console.Error);
        var output = new StringWriter();
        Console.SetOut(output);
        Console.SetError(TextWriter.Null);
        try
        {
            var root = new System.CommandLine.RootCommand { DownloadCommand.Create(), CacheCommand.Create() };
            return (await root.Parse(args).InvokeAsync(new System.CommandLine.InvocationConfiguration { EnableDefaultExceptionHandler = false }), output.ToString());
        }
        finally
        {
            Console.SetOut(before);
            Console.SetError(beforeError);
        }
    }
}
