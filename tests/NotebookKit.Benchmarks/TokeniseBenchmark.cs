using NotebookKit.Runtime;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using NotebookKit.Data;
using NotebookKit.Text;

namespace NotebookKit.Benchmarks;

/// <summary>
/// Text to ids on one thread. Each tokenizer is loaded afresh for every round, so that the first sight of every word is in the figure. Text: tinyshakespeare
/// and GPT-2's vocabulary where they are on this machine, else the embedded dataset and vocabularies learnt from it.
/// </summary>
internal static class TokeniseBenchmark
{
    private const int Rounds = 5;

    public static int Run()
    {
        var shared = Environment.GetEnvironmentVariable("NOTEBOOKKIT_SHARED") ?? Path.Combine(Path.GetDirectoryName(RepositoryFolder.Find()!)!, "shared");
        var plays = Path.Combine(shared, "datasets", "tinyshakespeare", "input.txt");
        if (!File.Exists(plays) && Directory.Exists(Path.GetDirectoryName(plays))) plays = Directory.EnumerateFiles(Path.GetDirectoryName(plays)!, "*.txt").FirstOrDefault() ?? plays;
        string[] intents = [.. DatasetCatalog.Load("support-intents").Train.Texts];
        var lines = File.Exists(plays) ? File.ReadAllText(plays).Split("\n\n").Select(p => p + "\n\n").ToArray() : intents;
        var megabytes = lines.Sum(l => Encoding.UTF8.GetByteCount(l)) / 1e6;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Hardware.Cpu}; {(File.Exists(plays) ? "tinyshakespeare" : "support-intents")}, {megabytes:F2} MB in {lines.Length:N0} texts; best of {Rounds}, one thread"));

        var gpt2 = Path.Combine(shared, "reference", "tokenizers", "gpt2");
        var wordPiece = RepositoryFolder.Data("models", "pocket-encoder");
        if (Directory.Exists(gpt2))
        {
            var baseline = Best(() => Microsoft.ML.Tokenizers.CodeGenTokenizer.Create(File.OpenRead(Path.Combine(gpt2, "vocab.json")), File.OpenRead(Path.Combine(gpt2, "merges.txt"))), (t, l) => t.EncodeToIds(l).Count, lines);
            Show("byte-level BPE (gpt2), ids", Best(() => Tokenizer.Load(gpt2), (t, l) => t.Encode(l, int.MaxValue).Length, lines), baseline, megabytes);
            Show("byte-level BPE (gpt2), with offsets", Best(() => Tokenizer.Load(gpt2), (t, l) => t.EncodeWithOffsets(l).Length, lines), baseline, megabytes);
        }
        else Show("byte-level BPE (learnt), ids", Best(() => Reload(new BytePairTrainer().Train(intents)), (t, l) => t.Encode(l, int.MaxValue).Length, lines), null, megabytes);
        var vocabulary = Path.GetTempFileName();
        try
        {
            var pocket = Tokenizer.Load(wordPiece);
            File.WriteAllLines(vocabulary, Enumerable.Range(0, pocket.VocabularySize).Select(pocket.TokenOf));
            var bert = Best(() => Microsoft.ML.Tokenizers.BertTokenizer.Create(vocabulary), (t, l) => t.EncodeToIds(l).Count, lines);
            Show("WordPiece (pocket-encoder), ids", Best(() => Tokenizer.Load(wordPiece), (t, l) => t.Encode(l, int.MaxValue).Length, lines), bert, megabytes);
        }
        finally { File.Delete(vocabulary); }
        Show("Unigram (learnt), ids", Best(() => Reload(new UnigramTrainer().Train(intents)), (t, l) => t.Encode(l, int.MaxValue).Length, lines), null, megabytes);
        return 0;
    }

    /// <summary>Seconds of the best round, loading not counted.</summary>
    private static double Best<T>(Func<T> load, Func<T, string, int> count, string[] lines)
    {
        var best = double.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var tokenizer = load();
            GC.Collect();                                                    // what loading left behind is not what is measured
            var clock = Stopwatch.StartNew();
            var tokens = 0L;
            foreach (var line in lines) tokens += count(tokenizer, line);
            best = tokens > 0 ? Math.Min(best, clock.Elapsed.TotalSeconds) : best;
        }
        return best;
    }

    private static Tokenizer Reload(Tokenizer tokenizer)
    {
        var folder = Directory.CreateTempSubdirectory("nbkit-bench-");
        try
        {
            tokenizer.Save(folder.FullName);
            return Tokenizer.Load(folder.FullName);
        }
        finally { folder.Delete(recursive: true); }
    }

    private static void Show(string name, double seconds, double? baseline, double megabytes) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-38} {megabytes / seconds,6:F1} MB/s")
            + (baseline is { } b ? string.Create(CultureInfo.InvariantCulture, $"   Microsoft.ML.Tokenizers {megabytes / b,6:F1} MB/s   ratio {b / seconds:F2}") : ""));
}
