using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NotebookKit.Data;
using NotebookKit.Hub;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit download</c> and <c>nbkit cache</c>: models and datasets on this machine.</summary>
internal static class HubCommands
{
    public static Command CreateDownload()
    {
        var id = new Argument<string>("id") { Description = "Hub id of a model, such as sentence-transformers/all-MiniLM-L6-v2, or the name of a public dataset, such as banking77." };
        var revision = new Option<string>("--revision") { Description = "Branch, tag or commit.", DefaultValueFactory = _ => "main" };
        var include = new Option<string[]>("--include") { Description = "Names or patterns of the files wanted; by default what a model needs.", AllowMultipleArgumentsPerToken = true };
        var dataset = new Option<bool>("--dataset") { Description = "The id is a dataset on the hub." };
        var cache = new Option<string?>("--cache") { Description = "The cache's folder; by default Hugging Face's own." };
        var allow = new Option<double>("--allow-size") { Description = "Most gigabytes to download.", DefaultValueFactory = _ => 20 };
        var command = new Command("download", "Download a model or dataset into Hugging Face's cache: checked by hash, resumed where it stopped.") { id, revision, include, dataset, cache, allow };
        command.SetAction(async (result, cancellation) =>
        {
            var name = result.GetValue(id)!;
            if (!result.GetValue(dataset) && DatasetCatalog.Entries.Any(e => e.Name == name))
            {
                Console.WriteLine(await DatasetCatalog.DownloadAsync(name, cancellation: cancellation));
                return ExitCodes.Success;
            }
            var settings = HubSettings.FromEnvironment();
            settings = settings with { Cache = result.GetValue(cache) ?? settings.Cache, MaximumBytes = (long)(result.GetValue(allow) * 1e9) };
            using var client = new HubClient(settings);
            var folder = await client.DownloadAsync(name, result.GetValue(revision)!, result.GetValue(include) is { Length: > 0 } some ? some : null,
                result.GetValue(dataset) ? RepositoryType.Dataset : RepositoryType.Model, new Bar(), cancellation);
            Console.Error.WriteLine();
            Console.WriteLine(folder);
            return ExitCodes.Success;
        });
        return command;
    }

    public static Command CreateCache()
    {
        var folder = new Option<string?>("--cache") { Description = "The cache's folder; by default Hugging Face's own.", Recursive = true };
        var id = new Option<string?>("--id") { Description = "Only this model or dataset." };
        var revision = new Option<string?>("--revision") { Description = "Only this commit of it." };
        var unused = new Option<int?>("--unused-for") { Description = "Only what was not used for so many days." };
        var incomplete = new Option<bool>("--incomplete") { Description = "Only downloads that were cut short." };
        var yes = new Option<bool>("--yes") { Description = "Delete; without it only what would go is shown." };
        HubCache Cache(ParseResult result) => new(result.GetValue(folder) ?? HubSettings.FromEnvironment().Cache);

        var prune = new Command("prune", "Delete models and datasets from the cache, or show what would go.") { id, revision, unused, incomplete, yes };
        prune.SetAction(result =>
        {
            var (cache, delete) = (Cache(result), result.GetValue(yes));
            if (result.GetValue(id) is null && result.GetValue(unused) is null && !result.GetValue(incomplete))
                throw new ArgumentException("Say what may go: --id, --unused-for or --incomplete. Without one of them everything would.");
            var chosen = cache.List().Where(r => result.GetValue(id) is not { } only || r.Id == only).Where(r => result.GetValue(unused) is not { } days || r.LastUsed < DateTime.Now.AddDays(-days)).ToArray();
            if (result.GetValue(id) is { } wanted && chosen.Length == 0 && result.GetValue(unused) is null) throw new KeyNotFoundException($"'{wanted}' is not in the cache '{cache.Root}'. It has {string.Join(", ", cache.List().Select(r => r.Id))}.");
            if (result.GetValue(revision) is not null && result.GetValue(id) is null) throw new ArgumentException("--revision needs --id.");
            var total = 0L;
            foreach (var repository in chosen)
            {
                var bytes = cache.Prune(repository, result.GetValue(revision), result.GetValue(incomplete), delete);
                total += bytes;
                if (bytes > 0) Console.WriteLine($"{(delete ? "deleted" : "would delete")} {repository.Id}: {Size(bytes)}");
            }
            Console.WriteLine(delete ? $"{Size(total)} freed" : $"{Size(total)} would be freed; add --yes to delete");
            return ExitCodes.Success;
        });
        var command = new Command("cache", "List the models and datasets in Hugging Face's cache.") { folder, prune };
        command.SetAction(result =>
        {
            var cache = Cache(result);
            Console.WriteLine(cache.List().Count == 0 ? $"The cache '{cache.Root}' is empty." : cache.Show().ToText());
            return ExitCodes.Success;
        });
        return command;
    }

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:N1} MB");

    /// <summary>One line that is written over, a few times a second.</summary>
    private sealed class Bar : IProgress<DownloadProgress>
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private readonly Lock _lock = new();
        private long _shown = -1000;

        public void Report(DownloadProgress value)
        {
            lock (_lock)
            {
                if (_clock.ElapsedMilliseconds - _shown < 200 && value.Bytes < value.Total) return;
                _shown = _clock.ElapsedMilliseconds;
                Console.Error.Write($"\r{Size(value.Bytes)} of {Size(value.Total)}  {value.File,-40}");
            }
        }
    }
}
