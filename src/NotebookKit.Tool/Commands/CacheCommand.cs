using System.CommandLine;
using NotebookKit.Hub;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit cache</c>: what was downloaded; <c>nbkit cache prune</c>: make room.</summary>
internal static class CacheCommand
{
    public static Command Create()
    {
        var cache = new Option<string>("--cache") { Description = "Folder of the cache. Default: HF_HUB_CACHE, else ~/.cache/huggingface/hub.", Recursive = true };
        var files = new Option<bool>("--files") { Description = "List the files of each revision as well." };
        var command = new Command("cache", "List the models and datasets in the cache: revisions, sizes on disk, last use.") { cache, files, Prune(cache) };
        command.SetAction(result => List(new HubCache(Settings(result.GetValue(cache)).CacheFolder).List(), result.GetValue(files)));
        return command;
    }

    /// <summary>The environment's settings, with the folder of <c>--cache</c> if it was given.</summary>
    internal static HubSettings Settings(string? cache) => HubSettings.FromEnvironment() is var settings && cache is null ? settings : settings with { CacheFolder = Path.GetFullPath(cache!) };

    private static int List(CacheListing listing, bool files)
    {
        Console.WriteLine(listing.ToText());
        if (!files) return ExitCodes.Success;
        foreach (var repository in listing.Repositories)
            foreach (var revision in repository.Revisions)
            {
                Console.WriteLine($"\n{repository.Repository} at {revision.Commit}");
                foreach (var file in revision.Files) Console.WriteLine($"  {(file.Blob is null ? "broken link" : ByteSize.Text(file.Size)),11}  {file.Name}");
            }
        return ExitCodes.Success;
    }

    private static Command Prune(Option<string> cache)
    {
        var id = new Option<string>("--id") { Description = "Only this model or dataset." };
        var revision = new Option<string>("--revision") { Description = "Only this branch, tag or commit." };
        var unused = new Option<double?>("--unused-for") { Description = "Only what nobody used for so many days." };
        var incomplete = new Option<bool>("--incomplete") { Description = "Downloads that stopped half way." };
        var yes = new Option<bool>("--yes") { Description = "Delete. Without it the command only says what would go." };
        var command = new Command("prune", "Delete from the cache what is named; without --yes, only say what would go and how much it frees.") { id, revision, unused, incomplete, yes };
        command.SetAction(result =>
        {
            if (result.GetValue(unused) is < 0 or > 100_000) throw new ArgumentException("--unused-for takes a number of days.");
            var request = new PruneRequest(result.GetValue(id), result.GetValue(revision), result.GetValue(unused) is { } days ? TimeSpan.FromDays(days) : null, result.GetValue(incomplete));
            var plan = CachePruning.Plan(new HubCache(Settings(result.GetValue(cache)).CacheFolder), request, DateTime.UtcNow);
            if (plan.Items.Count == 0) { Console.WriteLine("nothing in the cache fits that"); return ExitCodes.Success; }
            Console.WriteLine(plan.ToText());
            if (result.GetValue(yes)) plan.Delete();
            Console.WriteLine(result.GetValue(yes) ? $"deleted; {ByteSize.Text(plan.Bytes)} are free again" : "nothing was deleted; add --yes to delete this");
            return ExitCodes.Success;
        });
        return command;
    }
}
