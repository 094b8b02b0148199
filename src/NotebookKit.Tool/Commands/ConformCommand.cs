using System.CommandLine;
using NotebookKit.Tool.Conformance;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit conform</c>: runs the kit against reference outputs.</summary>
internal static class ConformCommand
{
    public static Command Create()
    {
        var folder = new Argument<string>("folder") { Description = "A folder of golden files, at any depth: checkpoints, variants, trained models, published shapes, tokenizers, chat templates, training." };
        var command = new Command("conform", "Check the kit against a reference implementation's outputs: logits, losses, gradients, generated tokens, parameter shapes, token ids and offsets, rendered chats, optimisers, schedules, losses.") { folder };
        command.SetAction(result => Run(result.GetValue(folder)!));
        return command;
    }

    private static int Run(string folder)
    {
        var counts = new Dictionary<Verdict, int>();
        foreach (var (place, outcome) in Conformer.Run(folder))
        {
            counts[outcome.Verdict] = counts.GetValueOrDefault(outcome.Verdict) + 1;
            Console.WriteLine($"{outcome.Verdict.ToString().ToLowerInvariant(),-7} {place}: {outcome.Case}  {outcome.Detail}");
        }
        var (passed, failed, skipped) = (counts.GetValueOrDefault(Verdict.Passed), counts.GetValueOrDefault(Verdict.Failed), counts.GetValueOrDefault(Verdict.Skipped));
        if (skipped > 0) Console.WriteLine($"{skipped} skipped");
        if (passed + failed + skipped == 0) Console.WriteLine($"no golden files were found in '{folder}'");
        Console.WriteLine($"{passed} passed, {failed} failed");
        return failed == 0 && passed > 0 ? ExitCodes.Success : ExitCodes.Failure;
    }
}
