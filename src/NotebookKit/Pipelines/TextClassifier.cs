using System.Numerics.Tensors;
using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Models.Layers;
using NotebookKit.Runtime;
using NotebookKit.Text;
using TorchSharp;
using Tensor = TorchSharp.torch.Tensor;
using static TorchSharp.torch;

namespace NotebookKit.Pipelines;

/// <summary>An encoder with a classification head, its tokenizer and its classes: what an application loads and calls. Not thread-safe.</summary>
public sealed class TextClassifier : IDisposable
{
    private const int TokensPerBatch = 4096;

    private TextClassifier(EncoderModel model, Tokenizer tokenizer, LabelSet labels, int maximumLength)
    {
        (Model, Tokenizer, Labels, MaximumLength) = (model, tokenizer, labels, maximumLength);
    }

    /// <summary>The model; only training changes it.</summary>
    public EncoderModel Model { get; }

    /// <summary>The tokenizer of the pretrained encoder.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Classes in id order.</summary>
    public LabelSet Labels { get; }

    /// <summary>Longer texts are cut to this many tokens.</summary>
    public int MaximumLength { get; }

    /// <summary>Puts a fresh head on a pretrained encoder.</summary>
    /// <param name="encoder">The pretrained encoder.</param>
    /// <param name="labels">Classes.</param>
    /// <param name="seed">Seed of the fresh weights.</param>
    /// <param name="pooling">What the head reads. Default: the mean over tokens, which suits few examples.</param>
    /// <param name="maximumLength">Longest text in tokens. Default 64.</param>
    public static TextClassifier FromPretrained(PretrainedEncoder encoder, LabelSet labels, int seed, Pooling pooling = Pooling.Mean, int maximumLength = 64)
    {
        var (classifier, build) = Make(encoder, labels, seed, pooling, maximumLength);
        using var checkpoint = Checkpoint.Open(encoder.Folder);
        PretrainedModel.Fill(classifier.Model, checkpoint, build);
        return classifier;
    }

    /// <summary>The same architecture and tokenizer with fresh weights: what pretraining is compared with.</summary>
    public static TextClassifier FromScratch(PretrainedEncoder encoder, LabelSet labels, int seed, Pooling pooling = Pooling.Mean, int maximumLength = 64)
    {
        var (classifier, build) = Make(encoder, labels, seed, pooling, maximumLength);
        build.Initialise();
        return classifier;
    }

    private static (TextClassifier Classifier, ModelBuilder Build) Make(PretrainedEncoder encoder, LabelSet labels, int seed, Pooling pooling, int maximumLength)
    {
        Seed.Everything(seed);
        MatrixProducts.UseOneDnn();
        ArgumentOutOfRangeException.ThrowIfLessThan(labels.Count, 2);
        var build = new ModelBuilder(new DropoutMask(seed));
        var model = Architectures.Build(encoder.Config, new HeadSettings(ModelHead.SequenceClassification, labels.Count, pooling), build) as EncoderModel
            ?? throw new InvalidDataException($"'{encoder.Folder}' holds a {encoder.Config.ModelType} model; a text classifier needs an encoder.");
        model.eval();
        return (new TextClassifier(model, encoder.Tokenizer, labels, Math.Min(maximumLength, model.MaximumPositions)), build);
    }

    /// <summary>The same classifier with more classes after its own: weights are copied, the new classes' rows of the head are drawn. The caller disposes both.</summary>
    /// <param name="more">Names of the new classes, at least one, none of them known.</param>
    /// <param name="seed">Seed of the fresh rows.</param>
    /// <exception cref="ArgumentException">A class is there already.</exception>
    /// <exception cref="InvalidOperationException">An adapter takes part, whose head would be lost.</exception>
    public TextClassifier WithClasses(IReadOnlyList<string> more, int seed)
    {
        if (Model.Adapter is not null) throw new InvalidOperationException("An adapter takes part in this classifier: Merge it or Deactivate it before classes are added.");
        if (more.Count == 0) throw new ArgumentException("Give at least one new class.", nameof(more));
        var (wider, build) = Make(new PretrainedEncoder("", Model.Config, Tokenizer), new LabelSet([.. Labels.Names, .. more]), seed, Model.Head.Pooling, MaximumLength);
        build.Initialise();
        using var noGradient = no_grad();
        var old = Model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        foreach (var (name, parameter) in wider.Model.named_parameters())
            (parameter.size(0) == old[name].size(0) ? parameter : parameter.narrow(0, 0, old[name].size(0))).copy_(old[name]);
        return wider;
    }

    /// <summary>Reads a classifier that <see cref="Save"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The folder holds an encoder without classes, or parts that do not fit together.</exception>
    public static TextClassifier Load(string folder)
    {
        var encoder = PretrainedEncoder.Open(folder);
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "config.json")));
        if (!json.RootElement.TryGetProperty("id2label", out var names))
            throw new InvalidDataException($"'{folder}' holds no classifier: its config.json has no id2label. For a pretrained encoder use FromPretrained.");
        var labels = new LabelSet(names.EnumerateObject().OrderBy(p => int.Parse(p.Name, System.Globalization.CultureInfo.InvariantCulture)).Select(p => p.Value.GetString()!));
        var maximumLength = json.RootElement.TryGetProperty("notebookkit_maximum_length", out var length) ? length.GetInt32() : 64;
        var (classifier, build) = Make(encoder, labels, seed: 0, Architectures.HeadOf(encoder.Config).Pooling, maximumLength);
        using var checkpoint = Checkpoint.Open(folder);
        var report = PretrainedModel.Fill(classifier.Model, checkpoint, build, headMayDiffer: false);
        if (report.Missing.Count > 0) throw new InvalidDataException($"'{checkpoint.Source}' lacks {string.Join(", ", report.Missing)}.");
        return classifier;
    }

    /// <summary>Writes a folder that <see cref="Load"/> reads: weights, configuration with the classes, tokenizer. Each file is whole or absent.</summary>
    /// <param name="folder">Made where it is absent.</param>
    public void Save(string folder)
    {
        ModelFolder.Write(Model, folder, labels: Labels.Names, extra: new Dictionary<string, System.Text.Json.Nodes.JsonNode?> { ["notebookkit_maximum_length"] = MaximumLength });
        Tokenizer.Save(folder);
    }

    /// <summary>The most probable class of one text.</summary>
    /// <exception cref="ArgumentException">The text is empty.</exception>
    public Prediction Predict(string text) => Predict([text])[0];

    /// <summary>The most probable class of every text, in order.</summary>
    /// <exception cref="ArgumentException">A text is empty; the message says which.</exception>
    public IReadOnlyList<Prediction> Predict(IReadOnlyList<string> texts)
    {
        var probabilities = PredictProbabilities(texts);
        return [.. texts.Select((text, i) =>
        {
            var best = TensorPrimitives.IndexOfMax<float>(probabilities[i]);
            return new Prediction(text, Labels[best], probabilities[i][best]);
        })];
    }

    /// <summary>Probability of every class for every text.</summary>
    public float[][] PredictProbabilities(IReadOnlyList<string> texts)
    {
        var rows = Logits(texts);
        foreach (var row in rows) TensorPrimitives.SoftMax<float>(row, row);
        return rows;
    }

    /// <summary>Class ids of every text.</summary>
    public int[] PredictIds(IReadOnlyList<string> texts) => Array.ConvertAll(Logits(texts), l => TensorPrimitives.IndexOfMax<float>(l));

    /// <summary>Logits of every text, (N, C).</summary>
    public float[][] Logits(IReadOnlyList<string> texts) => Read(texts, inputs => Model.forward(inputs));

    /// <summary>What the head reads of every text, (N, D): the frozen encoder's features.</summary>
    public float[][] Features(IReadOnlyList<string> texts) => Read(texts, inputs => Model.Features(inputs));

    /// <summary>Hands on the logits of every text as they come, in an order of its own: however many texts, never more than a batch's are held.</summary>
    internal void EachLogits(IReadOnlyList<string> texts, Action<int, float[]> use) => Read(texts, inputs => Model.forward(inputs), use);

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();

    private float[][] Read(IReadOnlyList<string> texts, Func<EncoderInputs, Tensor> compute)
    {
        var result = new float[texts.Count][];
        Read(texts, compute, (i, row) => result[i] = row);
        return result;
    }

    private void Read(IReadOnlyList<string> texts, Func<EncoderInputs, Tensor> compute, Action<int, float[]> use)
    {
        var empty = Enumerable.Range(0, texts.Count).FirstOrDefault(i => string.IsNullOrWhiteSpace(texts[i]), -1);
        if (empty >= 0) throw new ArgumentException($"Text {empty + 1} of {texts.Count} is empty; a classifier needs something to read.", nameof(texts));
        var rows = Tokenizer.EncodeAll(texts, MaximumLength);
        using var noGradient = no_grad();
        var wasTraining = Model.training;
        Model.eval();
        foreach (var window in BatchSampler.ByTokens(Array.ConvertAll(rows, r => r.Length), TokensPerBatch))
        {
            using var scope = NewDisposeScope();
            using var inputs = new EncoderInputs(Batch.Pad([.. window.Select(i => rows[i])], Tokenizer.PadId), Model.DataType);
            var values = compute(inputs).to(ScalarType.Float32).contiguous();
            var (flat, width) = (values.data<float>().ToArray(), (int)values.size(1));
            for (var i = 0; i < window.Length; i++) use(window[i], flat[(i * width)..((i + 1) * width)]);
        }
        Model.train(wasTraining);
    }
}
