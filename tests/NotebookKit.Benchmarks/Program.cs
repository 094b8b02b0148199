using System.CommandLine;
using NotebookKit.Benchmarks;

// dotnet run -c Release --project tests/NotebookKit.Benchmarks -- <what>
var root = new RootCommand("Measures the kit against a named baseline in the same process; figures are ratios, because machines differ.");
var tokenise = new Command("tokenise", "Megabytes of text a second on one thread, against Microsoft.ML.Tokenizers.");
tokenise.SetAction(_ => TokeniseBenchmark.Run());
root.Add(tokenise);
return root.Parse(args).Invoke();
