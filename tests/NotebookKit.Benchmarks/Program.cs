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
step.SetAction(result => StepBenchmark.Run(result.GetValue(quick), result.GetValue(rounds)));
root.Add(step);
return root.Parse(args).Invoke();
