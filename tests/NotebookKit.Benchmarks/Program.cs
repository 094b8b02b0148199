using System.CommandLine;
using NotebookKit.Benchmarks;

// dotnet run -c Release --project tests/NotebookKit.Benchmarks -- <what>; without a name all run, one after the other.
var root = new RootCommand("Measures the kit against a named baseline in the same process; figures are ratios, because machines differ.");
var tokenise = new Command("tokenise", "Megabytes of text a second on one thread, against Microsoft.ML.Tokenizers.");
tokenise.SetAction(_ => TokeniseBenchmark.Run());
root.Add(tokenise);
var quick = new Option<bool>("--quick") { Description = "The first size only." };
var rounds = new Option<int>("--rounds") { Description = "Interleaved rounds.", DefaultValueFactory = _ => 12 };
var step = new Command("step", "Milliseconds of one training step, against TorchSharp eager with its own AdamW.") { quick, rounds };
var levers = new Option<bool>("--levers") { Description = "What each lever brings, not the ratios." };
step.Add(levers);
step.SetAction(result => result.GetValue(levers) ? StepBenchmark.Levers(result.GetValue(rounds)) : StepBenchmark.Run(result.GetValue(quick), result.GetValue(rounds)));
root.Add(step);
var adapters = new Command("adapters", "Time of a training step with each kind of adapter, against full finetuning.") { rounds };
adapters.SetAction(result => StepBenchmark.Adapters(result.GetValue(rounds)));
root.Add(adapters);
var epoch = new Command("epoch", "Seconds to finetune all-MiniLM-L6-v2 on banking77 at ten examples per class, against TorchSharp eager, with the accuracy reached.");
var full = new Option<bool>("--full") { Description = "All 10,003 examples, three epochs; takes a quarter of an hour." };
epoch.Add(full);
var seeds = new Option<int>("--seeds") { Description = "More than one: accuracies over as many draws, with intervals, without the eager run.", DefaultValueFactory = _ => 1 };
epoch.Add(seeds);
var train = new Option<string?>("--train") { Description = "A file of examples (text, label) in place of the kit's draw, such as the draw that a reference was measured on." };
epoch.Add(train);
epoch.SetAction(result => EpochBenchmark.Run(result.GetValue(full), result.GetValue(seeds), result.GetValue(train)));
root.Add(epoch);
var generate = new Command("generate", "Tokens a second of decoding, against libtorch's operations, and as a share of what memory allows.") { rounds };
generate.SetAction(result => GenerateBenchmark.Run(result.GetValue(rounds)));
root.Add(generate);
var load = new Command("load", "Milliseconds to load weights, against TorchSharp's own format.") { rounds };
load.SetAction(result => LoadBenchmark.Run(result.GetValue(rounds)));
root.Add(load);
var evaluate = new Command("evaluate", "Texts a second of measuring a classifier, against TorchSharp eager.") { rounds };
evaluate.SetAction(result => EvaluateBenchmark.Run(result.GetValue(rounds)));
root.Add(evaluate);
root.SetAction(_ => new[] { "tokenise", "load", "evaluate", "generate", "epoch", "adapters", "step" }.Select(name =>
{
    Console.WriteLine($"== {name}");
    return root.Parse(name).Invoke();
}).ToArray().Max());
return root.Parse(args).Invoke();
