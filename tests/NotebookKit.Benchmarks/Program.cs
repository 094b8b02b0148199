using System.CommandLine;
using NotebookKit.Benchmarks;

// dotnet run -c Release --project tests/NotebookKit.Benchmarks -- <what>
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
var epoch = new Command("epoch", "Seconds to finetune all-MiniLM-L6-v2 on banking77 at ten examples per class, against TorchSharp eager, with the accuracy reached.");
epoch.SetAction(_ => EpochBenchmark.Run());
root.Add(epoch);
return root.Parse(args).Invoke();
