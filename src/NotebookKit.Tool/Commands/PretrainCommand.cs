using System.CommandLine;
using NotebookKit.Pretraining;

namespace NotebookKit.Tool.Commands;

/// <summary><c>nbkit pretrain</c> and <c>nbkit corpus</c>: make an encoder, or only its corpus, from a recipe file.</summary>
internal static class PretrainCommand
{
    public static Command Create() => Make("pretrain", "Make an encoder from its recipe: corpus, vocabulary, masked language modelling, distillation. Run it again to go on after an interruption.",
        async (recipe, work, cancellation) =>
        {
            var loaded = PretrainingRecipe.Load(recipe);
            var result = await new EncoderPretraining(loaded, Path.Combine(work, loaded.Name)).RunAsync(Path.GetDirectoryName(Path.GetFullPath(recipe))!, new Lines(), cancellation);
            Console.WriteLine($"kept the stage '{result.KeptStage}'; model and card are in {Path.GetDirectoryName(recipe)}");
        });

    public static Command CreateCorpus() => Make("corpus", "Fetch the packages that a recipe names and write their prose, one passage a line.",
        async (recipe, work, cancellation) =>
        {
            var loaded = PretrainingRecipe.Load(recipe);
            var kept = await new EncoderPretraining(loaded, Path.Combine(work, loaded.Name)).CorpusAsync(new Lines(), cancellation);
            Console.WriteLine($"{kept.Values.Sum() / 1e6:F1} million characters in {Path.Combine(work, loaded.Name, "corpus")}");
        });

    private static Command Make(string name, string description, Func<string, string, CancellationToken, Task> run)
    {
        var recipe = new Argument<string>("recipe") { Description = "The recipe file, such as data/models/pocket-encoder/recipe.json." };
        var work = new Option<string>("--work") { Description = "Folder for corpus, checkpoints and caches.", DefaultValueFactory = _ => Path.Combine("artifacts", "pretraining") };
        var command = new Command(name, description) { recipe, work };
        command.SetAction(async (result, cancellation) =>
        {
            await run(result.GetValue(recipe)!, result.GetValue(work)!, cancellation);
            return ExitCodes.Success;
        });
        return command;
    }

    private sealed class Lines : IProgress<string>
    {
        public void Report(string value) => Console.WriteLine($"{DateTime.Now:HH:mm:ss} {value}");
    }
}
