using System.CommandLine;
using NotebookKit.Data;
using NotebookKit.Hub;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit download</c>: a model or dataset from the hub, or a dataset of the catalogue, into the cache.</summary>
internal static class DownloadCommand
{
    public static Command Create()
    {
        var id = new Argument<string>("id") { Description = "A hub id such as sentence-transformers/all-MiniLM-L6-v2, or a dataset of the catalogue such as banking77." };
        var revision = new Option<string>("--revision") { Description = "Branch, tag or commit.", DefaultValueFactory = _ => "main" };
        var include = new Option<string[]>("--include") { Description = "Only files that match, such as '*.json'. Without it: what the kit reads of a model, everything of a dataset.", AllowMultipleArgumentsPerToken = true };
        var dataset = new Option<bool>("--dataset") { Description = "The id is a dataset on the hub." };
        var cache = new Option<string>("--cache") { Description = "Folder of the cache. Default: HF_HUB_CACHE, else ~/.cache/huggingface/hub." };
        var allowed = new Option<double?>("--allow-size") { Description = "Gigabytes that the download may take. Default 20." };
        var command = new Command("download", "Download a model or dataset from the Hugging Face hub, checked and resumable, or a public dataset by its name in the catalogue.") { id, revision, include, dataset, cache, allowed };
        command.SetAction(async (result, cancellation) =>
        {
            var settings = CacheCommand.Settings(result.GetValue(cache));
            if (result.GetValue(allowed) is <= 0) throw new ArgumentException("--allow-size takes a number of gigabytes above 0.");
            using var client = new HubClient(settings);
            using var lines = new ProgressLine();
            var (name, globs) = (result.GetValue(id)!, result.GetValue(include) ?? []);
            var folder = DatasetCatalog.Entries.Any(e => e.Name == name) && !result.GetValue(dataset)
                ? await DatasetCatalog.DownloadAsync(name, client, lines, cancellation)
                : await client.DownloadAsync(name, new DownloadRequest
                {
                    Kind = result.GetValue(dataset) ? RepositoryKind.Dataset : RepositoryKind.Model,
                    Revision = result.GetValue(revision)!,
                    Files = globs.Length > 0 ? FileSelection.Globs(globs) : null,
                    AllowedSize = result.GetValue(allowed) is { } gigabytes ? (long)Math.Min(gigabytes * 1e9, 9e18) : null,
                }, lines, cancellation);
            lines.Dispose();
            Console.WriteLine(folder);
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>A line that is rewritten in a terminal; in a file, a line per finished file.</summary>
    private sealed class ProgressLine : IProgress<DownloadProgress>, IDisposable
    {
        private readonly Lock _lock = new();
        private readonly bool _rewrites = !Console.IsErrorRedirected;
        private int _shown, _width;

        public void Report(DownloadProgress value)
        {
            lock (_lock)
            {
                var done = value.FilesDone > _shown || (value.Files == 1 && value.FilesDone == 1);
                _shown = value.FilesDone;
                if (!_rewrites && !done) return;
                var share = value.Total > 0 ? $" ({(double)value.Bytes / value.Total:P0})" : "";
                var line = $"{value.FilesDone}/{value.Files} files, {ByteSize.Text(value.Bytes)} of {ByteSize.Text(value.Total)}{share}  {value.File}";
                Console.Error.Write(_rewrites ? $"\r{line.PadRight(_width)}" : line + Environment.NewLine);
                _width = line.Length;
            }
        }

        public void Dispose()
        {
            if (_rewrites && _width > 0) Console.Error.WriteLine();
            _width = 0;
        }
    }
}
