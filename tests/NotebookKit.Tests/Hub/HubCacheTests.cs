using NotebookKit.Checkpoints;
using NotebookKit.Hub;

namespace NotebookKit.Tests.Hub;

/// <summary>Expected values: by hand, in the layout that huggingface_hub documents; what a prune frees is the length of blobs that nothing else links to.</summary>
public sealed class HubCacheTests : HubTests
{
    private const string Old = "1111111111111111111111111111111111111111";
    private const string New = "2222222222222222222222222222222222222222";

    /// <summary>Two revisions as Python's client writes them: config.json differs, the weights are shared.</summary>
    private string Written()
    {
        var folder = Path.Combine(CacheFolder, "models--py--thon");
        void Put(string path, string content) { Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, path))!); File.WriteAllText(Path.Combine(folder, path), content); }
        void Link(string path, string to) { Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, path))!); File.CreateSymbolicLink(Path.Combine(folder, path), to); }
        Put("blobs/a", "{}");
        Put("blobs/b", "{ }");
        Put("blobs/w", new string('w', 1000));
        Put("blobs/x.incomplete", "12345");
        Put("refs/main", New);
        Put("refs/v1", Old);
        Put($".no_exist/{Old}/chat_template.jinja", "");
        Link($"snapshots/{Old}/config.json", "../../blobs/a");
        Link($"snapshots/{Old}/model.safetensors", "../../blobs/w");
        Link($"snapshots/{New}/config.json", "../../blobs/b");
        Link($"snapshots/{New}/model.safetensors", "../../blobs/w");
        Link($"snapshots/{New}/1_Pooling/config.json", "../../../blobs/b");
        return folder;
    }

    [Fact]
    public async Task What_Python_wrote_is_found_by_main_by_tag_by_commit_and_offline()
    {
        var folder = Written();
        var cache = new HubCache(CacheFolder);
        var repository = new HubRepository("py/thon");
        Assert.Equal(Path.Combine(folder, "snapshots", New), cache.Snapshot(repository));
        Assert.Equal(Path.Combine(folder, "snapshots", Old), cache.Snapshot(repository, "v1"));
        Assert.Equal(Path.Combine(folder, "snapshots", Old), cache.Snapshot(repository, Old));
        Assert.Null(cache.Snapshot(repository, "../main"));
        Assert.Null(cache.Snapshot(new HubRepository("py/other")));
        using var offline = Client(s => s with { Offline = true });
        Assert.Equal(Path.Combine(folder, "snapshots", New), await offline.DownloadAsync("py/thon"));
        using var online = Client();
        Assert.Equal(Path.Combine(folder, "snapshots", Old), await online.DownloadAsync("py/thon", new DownloadRequest { Revision = Old }));
        Assert.Empty(Hub.Server.Requests);
    }

    [Fact]
    public void A_list_counts_every_blob_once()
    {
        Written();
        Directory.CreateDirectory(Path.Combine(CacheFolder, "models--..--evil"));
        var listing = new HubCache(CacheFolder).List();
        var repository = Assert.Single(listing.Repositories);
        Assert.Equal(2 + 3 + 1000 + 5, repository.Size);
        Assert.Equal([1002L, 1003L], repository.Revisions.Select(r => r.Size));
        Assert.Equal(["1_Pooling/config.json", "config.json", "model.safetensors"], repository.Revisions[1].Files.Select(f => f.Name));
        Assert.Equal(["main"], repository.Revisions[1].Refs);
        Assert.Equal(5, Assert.Single(repository.Incomplete).Size);
        Assert.Contains("1.0 kB", listing.ToText());
        Assert.Contains("<td", listing.ToHtml());
    }

    [Fact]
    public void A_pruned_revision_takes_only_blobs_of_its_own()
    {
        var folder = Written();
        var cache = new HubCache(CacheFolder);
        var plan = CachePruning.Plan(cache, new PruneRequest("py/thon", "v1"), DateTime.UtcNow);
        Assert.Equal(2, plan.Bytes);
        Assert.True(File.Exists(Path.Combine(folder, "blobs", "a"))); // a plan deletes nothing
        plan.Delete();
        Assert.False(Path.Exists(Path.Combine(folder, "blobs", "a")) || Path.Exists(Path.Combine(folder, "snapshots", Old)) || Path.Exists(Path.Combine(folder, "refs", "v1")));
        Assert.Equal(1000, new FileInfo(Path.Combine(folder, "blobs", "w")).Length);
        Assert.NotNull(cache.Snapshot(new HubRepository("py/thon")));
        CachePruning.Plan(cache, new PruneRequest("py/thon"), DateTime.UtcNow).Delete();
        Assert.False(Directory.Exists(folder));
        Assert.True(Directory.Exists(CacheFolder));
    }

    [Fact]
    public void Unused_and_incomplete_are_told_apart()
    {
        var folder = Written();
        var cache = new HubCache(CacheFolder);
        Assert.Empty(CachePruning.Plan(cache, new PruneRequest(UnusedFor: TimeSpan.FromDays(30)), DateTime.UtcNow).Items);
        Assert.Equal(1010, CachePruning.Plan(cache, new PruneRequest(UnusedFor: TimeSpan.FromDays(30)), DateTime.UtcNow.AddDays(31)).Bytes); // all goes, so its unfinished downloads go, too
        var incomplete = CachePruning.Plan(cache, new PruneRequest(Incomplete: true), DateTime.UtcNow);
        Assert.Equal([Path.Combine(folder, "blobs", "x.incomplete")], incomplete.Items.SelectMany(i => i.Paths));
        Directory.CreateDirectory(Path.Combine(CacheFolder, ".locks", "models--py--thon"));
        using (new FileStream(Path.Combine(CacheFolder, ".locks", "models--py--thon", "x.lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None))
            Assert.Empty(CachePruning.Plan(cache, new PruneRequest(Incomplete: true), DateTime.UtcNow).Items); // being downloaded now
        Assert.Throws<ArgumentException>(() => CachePruning.Plan(cache, new PruneRequest(), DateTime.UtcNow));
        Assert.Throws<ArgumentException>(() => CachePruning.Plan(cache, new PruneRequest(Revision: "22"), DateTime.UtcNow));
    }

    [Fact]
    public void Links_that_lead_out_of_the_cache_are_not_followed()
    {
        var folder = Written();
        var outside = Path.Combine(Path.GetDirectoryName(CacheFolder)!, "outside");
        Directory.CreateDirectory(outside);
        File.WriteAllText(Path.Combine(outside, "precious"), "mine");
        File.CreateSymbolicLink(Path.Combine(folder, "snapshots", New, "evil"), Path.Combine(outside, "precious"));
        Directory.CreateSymbolicLink(Path.Combine(folder, "snapshots", New, "more"), outside);
        Directory.CreateSymbolicLink(Path.Combine(CacheFolder, "models--linked--away"), outside);
        var cache = new HubCache(CacheFolder);
        Assert.Null(cache.List().Repositories.Single().Revisions[1].Files.Single(f => f.Name == "evil").Blob);
        CachePruning.Plan(cache, new PruneRequest("py/thon"), DateTime.UtcNow).Delete();
        Assert.Equal("mine", File.ReadAllText(Path.Combine(outside, "precious")));
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public void Settings_come_from_the_variables_of_Hugging_Faces_client_and_do_not_print_the_token()
    {
        HubSettings From(params (string Name, string Value)[] set) => HubSettings.FromEnvironment(name => set.FirstOrDefault(s => s.Name == name).Value);
        Assert.EndsWith(Path.Combine(".cache", "huggingface", "hub"), From().CacheFolder);
        Assert.Equal("/x/huggingface/hub", From(("XDG_CACHE_HOME", "/x")).CacheFolder);
        Assert.Equal("/h/hub", From(("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")).CacheFolder);
        Assert.Equal("/c", From(("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")).CacheFolder);
        Assert.Equal(new Uri("https://mirror.example/hf"), From(("HF_ENDPOINT", "https://mirror.example/hf")).Endpoint);
        Assert.True(From(("HF_HUB_OFFLINE", "1")).Offline && From(("HF_HUB_OFFLINE", "TRUE")).Offline && !From(("HF_HUB_OFFLINE", "0")).Offline);
        Assert.Equal(30, From(("HF_HUB_DOWNLOAD_TIMEOUT", "30")).Timeout.TotalSeconds);
        Assert.Contains("HF_ENDPOINT", Assert.Throws<ArgumentException>(() => From(("HF_ENDPOINT", "huggingface"))).Message);
        Assert.Contains("HF_HUB_DOWNLOAD_TIMEOUT", Assert.Throws<ArgumentException>(() => From(("HF_HUB_DOWNLOAD_TIMEOUT", "soon"))).Message);
        using var home = TestData.NewFolder();
        File.WriteAllText(home["token"], "hf_file\n");
        Assert.Equal("hf_file", From(("HF_HOME", home.Path)).Token);
        Assert.Equal("hf_set", From(("HF_HOME", home.Path), ("HF_TOKEN", "hf_set")).Token);
        Assert.DoesNotContain("hf_set", From(("HF_TOKEN", "hf_set")).ToString());
    }

    [Fact]
    public void The_models_default_files_are_one_set_of_weights_and_never_pickles()
    {
        string[] Chosen(params string[] names) => [.. FileSelection.Model.Of(new HubRevision(new HubRepository("a/b"), New, [.. names.Select(n => new HubFile(n, 1, "t"))])).Select(f => f.Name)];
        Assert.Equal(["config.json", "model.safetensors"], Chosen("config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"));
        Assert.Equal(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            Chosen("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "consolidated.safetensors"));
        Assert.Equal(["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors", "model.safetensors"], Chosen("modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin", "model.safetensors"));
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors"], Chosen("adapter_config.json", "adapter_model.safetensors"));
    }

    [Fact]
    public void A_model_that_is_nowhere_names_the_command_to_run()
    {
        Assert.Contains("nbkit download org/model-that-is-not-here", Assert.Throws<DirectoryNotFoundException>(() => ModelCache.Find("org/model-that-is-not-here")).Message);
        Assert.Null(ModelCache.TryFind("org/model-that-is-not-here"));
        Assert.Null(ModelCache.TryFind("not a hub id"));
    }
}
