using System.CommandLine;
using NotebookKit.Tool.Commands;

var root = new RootCommand("nbkit: run notebooks headless, check models against a reference, download models and data, and make the models that come with NotebookKit.")
{
    RunCommand.Create(), PretrainCommand.Create(), PretrainCommand.CreateCorpus(), ConformCommand.Create(), DownloadCommand.Create(), CacheCommand.Create(),
};
try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("nbkit: cancelled.");
    return ExitCodes.Cancelled;
}
catch (Exception e) when (e is IOException or InvalidDataException or ArgumentException or InvalidOperationException or UnauthorizedAccessException or DllNotFoundException or KeyNotFoundException)
{
    Console.Error.WriteLine($"nbkit: {e.Message}");
    return ExitCodes.Failure;
}
