using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Encoders;
using NotebookKit.Pipelines;
using NotebookKit.Pretraining.Corpora;
using NotebookKit.Runtime;
using NotebookKit.Text;
using NotebookKit.Training;
using TorchSharp;
using Tensor = TorchSharp.torch.Tensor;

namespace NotebookKit.Pretraining;

/// <summary>What the stages of a recipe reached; stands beside the weights as <c>training.json</c>.</summary>
/// <param name="CorpusCharacters">Characters of prose per source.</param>
/// <param name="CorpusTokens">Tokens of the training text.</param>
/// <param name="Parameters">Weights of the encoder.</param>
/// <param name="MaskedLM">Curve of the first stage (cross-entropy in nats; perplexity is its exponential).</param>
/// <param name="Distillation">Curve of the second stage (1 − cosine).</param>
/// <param name="Joint">Curve of the third stage, masked tokens.</param>
/// <param name="JointDistance">Held-out 1 − cosine after the third stage.</param>
/// <param name="TeacherKeptShare">Share of the teacher's squared length in the directions the student learns.</param>
/// <param name="Probes">Accuracy of a linear probe at 10 examples per class on the validation part, per stage and dataset, mean of 5 draws.</param>
/// <param name="KeptStage">The stage whose weights were kept.</param>
public sealed record PretrainingResult(IReadOnlyDictionary<string, long> CorpusCharacters, long CorpusTokens, long Parameters, IReadOnlyList<PretrainingPoint> MaskedLM,
    IReadOnlyList<PretrainingPoint> Distillation, IReadOnlyList<PretrainingPoint> Joint, double JointDistance, double TeacherKeptShare, IReadOnlyDictionary<string, IReadOnlyDictionary<string, double>> Probes, string KeptStage);

/// <summary>
/// Runs a recipe from packages to a model folder: corpus, vocabulary, masked language modelling, distillation, both at once; keeps the last stage whose frozen features
/// classify about as well as the best. Every part resumes: run it again after an interruption.
/// </summary>
/// <param name="recipe">What to make.</param>
/// <param name="workFolder">Corpus, checkpoints and caches; several hundred MB.</param>
public sealed class EncoderPretraining(PretrainingRecipe recipe, string workFolder)
{
    /// <summary>A later stage is kept where its probes are at most this much below the best; the draws of a probe differ by more.</summary>
    private const double Tolerance = 0.01;

    /// <summary>Makes the model and writes it to <paramref name="modelFolder"/>.</summary>
    public async Task<PretrainingResult> RunAsync(string modelFolder, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        TorchRuntime.EnsureLoaded();
        var characters = await CorpusAsync(progress, cancellation);
        var tokenizer = LearnVocabulary(progress);
        var config = recipe.Model with { VocabularySize = tokenizer.VocabularySize };
        string At(params string[] parts) => Path.Combine([workFolder, .. parts]);
        var train = TokenizedCorpus.Load(At("corpus", "train.txt"), tokenizer, recipe.MaskedLM.MaximumLength);
        var heldOut = TokenizedCorpus.Load(At("corpus", "heldout.txt"), tokenizer, recipe.MaskedLM.MaximumLength);
        progress?.Report($"corpus: {train.Tokens:N0} tokens in {train.Count:N0} passages; held out {heldOut.Tokens:N0}");

        var (maskedLM, maskedCurve) = new MaskedLMPretrainer(config, recipe.MaskedLM, tokenizer, train, heldOut, At("masked-lm")).Run(progress, cancellation);
        var stages = new Dictionary<string, string> { ["masked-lm"] = At("stages", "masked-lm"), ["distilled"] = At("stages", "distilled"), ["joint"] = At("stages", "joint") };
        WriteModel(stages["masked-lm"], config, tokenizer, maskedLM);

        var texts = DistillationTexts.Draw(At("corpus", "train.txt"), recipe.Distillation.Texts, recipe.Distillation.Seed);
        var teacherFolder = PretrainedEncoder.Open(ModelCache.Find(recipe.Teacher));
        using var teacher = teacherFolder.LoadEncoder();
        teacher.ComputeIn(TorchSharp.torch.ScalarType.BFloat16, linearLayersOnly: true);
        var targets = TeacherEmbeddings.Compute(teacher, teacherFolder.Tokenizer, texts, config.HiddenSize, At("teacher.f16"), progress, cancellation);
        progress?.Report($"teacher: {targets.Width} of {teacher.Width} directions hold {targets.KeptShare:P1} of its squared length");
        var distiller = new SentenceDistiller(recipe.Distillation, maskedLM, tokenizer, texts, targets, At("distillation"));
        var distilledCurve = distiller.Run(progress, cancellation);
        WriteModel(stages["distilled"], config, tokenizer, maskedLM);
        var jointCurve = new MaskedLMPretrainer(config, recipe.Joint, tokenizer, train, heldOut, At("joint"), maskedLM, step => recipe.JointSentenceWeight * distiller.LossAt(step))
            .Run(progress, cancellation).Curve;
        var jointDistance = distiller.HeldOutLoss();
        progress?.Report($"both at once: held-out cosine to the teacher {1 - jointDistance:F4}");
        WriteModel(stages["joint"], config, tokenizer, maskedLM);

        var probes = stages.ToDictionary(s => s.Key, s => Probe(s.Value, progress));
        var best = probes.Max(p => p.Value.Values.Average());
        var kept = stages.Keys.Last(s => probes[s].Values.Average() >= best - Tolerance);
        Directory.CreateDirectory(modelFolder);
        foreach (var file in Directory.EnumerateFiles(stages[kept], "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(modelFolder, Path.GetRelativePath(stages[kept], file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target, overwrite: true);
        }
        var result = new PretrainingResult(characters, train.Tokens, maskedLM.parameters().Sum(p => p.numel()), maskedCurve, distilledCurve, jointCurve, jointDistance, targets.KeptShare, probes, kept);
        WriteText(Path.Combine(modelFolder, "training.json"), JsonSerializer.Serialize(result, new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }));
        WriteText(Path.Combine(modelFolder, "README.md"), EncoderCard.Write(recipe, config, result));
        maskedLM.Dispose();
        return result;
    }

    /// <summary>Builds the corpus unless it is there.</summary>
    public async Task<IReadOnlyDictionary<string, long>> CorpusAsync(IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        var folder = Path.Combine(workFolder, "corpus");
        var counts = Path.Combine(folder, "characters.json");
        if (File.Exists(counts)) return JsonSerializer.Deserialize<Dictionary<string, long>>(await File.ReadAllTextAsync(counts, cancellation))!;
        var characters = await new CorpusBuilder(recipe.Corpus, folder).BuildAsync(progress, cancellation);
        WriteText(counts, JsonSerializer.Serialize(characters));
        return characters;
    }

    private Tokenizer LearnVocabulary(IProgress<string>? progress)
    {
        if (File.Exists(Path.Combine(workFolder, "tokenizer.json"))) return Tokenizer.Load(workFolder);
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var words = WordSplitter.Bert();
        foreach (var passage in File.ReadLines(Path.Combine(workFolder, "corpus", "train.txt")))
            foreach (var word in words.Words(passage))
                counts[word] = counts.GetValueOrDefault(word) + 1;
        progress?.Report($"vocabulary: {counts.Values.Sum():N0} words, {counts.Count:N0} different");
        var tokenizer = Tokenizer.FromVocabulary(new WordPieceTrainer { VocabularySize = recipe.VocabularySize }.Train(counts));
        tokenizer.Save(workFolder);
        return tokenizer;
    }

    private static Dictionary<string, double> ProbeDatasets(string folder)
    {
        var accuracies = new Dictionary<string, double>();
        foreach (var name in new[] { "support-intents", "banking77" }.Where(DatasetCatalog.IsPresent))
        {
            var data = DatasetCatalog.Load(name);
            accuracies[name] = Enumerable.Range(0, 5).Average(seed =>
            {
                using var classifier = TextClassifier.FromPretrained(PretrainedEncoder.Open(folder), data.Labels, seed);
                LinearProbe.FitHead(classifier, data.Train.SamplePerClass(10, seed));
                return Finetuner.Measure(classifier, data.Validation).Accuracy;
            });
        }
        return accuracies;
    }

    private static IReadOnlyDictionary<string, double> Probe(string folder, IProgress<string>? progress)
    {
        var accuracies = ProbeDatasets(folder);
        foreach (var (name, accuracy) in accuracies) progress?.Report($"{Path.GetFileName(folder)}: linear probe at 10 per class on {name} {accuracy:P1}");
        return accuracies;
    }

    private static void WriteModel(string folder, BertConfig config, Tokenizer tokenizer, Bert model)
    {
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), model.Stored().Select(s => KeyValuePair.Create(s.Name, s.Value)), torch.ScalarType.BFloat16);
        tokenizer.Save(folder);
        Models.ModelFolder.WriteJson(Path.Combine(folder, "config.json"), config.ToJson("BertForMaskedLM"));
        // sentence-transformers' own files, so that it reads the folder as it is.
        Models.ModelFolder.WriteJson(Path.Combine(folder, "modules.json"), new JsonArray(
            new JsonObject { ["idx"] = 0, ["name"] = "0", ["path"] = "", ["type"] = "sentence_transformers.models.Transformer" },
            new JsonObject { ["idx"] = 1, ["name"] = "1", ["path"] = "1_Pooling", ["type"] = "sentence_transformers.models.Pooling" }));
        Models.ModelFolder.WriteJson(Path.Combine(folder, "1_Pooling", "config.json"), new JsonObject { ["word_embedding_dimension"] = config.HiddenSize, ["pooling_mode_mean_tokens"] = true });
    }

    private static void WriteText(string path, string text) => WholeFile.Write(path, text.TrimEnd('\n') + "\n");
}
