using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Tests.Training;
using NotebookKit.Training;

namespace NotebookKit.Tests.Pipelines;

/// <summary>Expected values: what the same classifier said before, and the embedded model's promises.</summary>
public sealed class TextClassifierTests
{
    private static PretrainedEncoder Embedded() => PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));

    [Fact]
    public void A_saved_classifier_answers_the_same_after_loading()
    {
        using var folder = TestData.NewFolder();
        using var classifier = TextClassifier.FromPretrained(Embedded(), FinetunerTests.Animals.Labels, seed: 4);
        LinearProbe.FitHead(classifier, FinetunerTests.Animals);
        classifier.Save(folder["saved"]);
        using var loaded = TextClassifier.Load(folder["saved"]);
        Assert.Equal(classifier.Logits(FinetunerTests.Animals.Texts), loaded.Logits(FinetunerTests.Animals.Texts));
        Assert.Equal(classifier.Labels.Names, loaded.Labels.Names);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.GetFiles(folder["saved"]).Select(Path.GetFileName).Order());
    }

    /// <summary>Padding must not change an answer: alone or beside a long text.</summary>
    [Fact]
    public void An_answer_does_not_depend_on_what_it_was_batched_with()
    {
        using var classifier = TextClassifier.FromPretrained(Embedded(), FinetunerTests.Animals.Labels, seed: 4);
        var alone = classifier.Logits(["my dog ran"])[0];
        var beside = classifier.Logits([string.Join(' ', Enumerable.Repeat("a very long text about a cat on a mat", 8)), "my dog ran"])[1];
        for (var k = 0; k < alone.Length; k++) Assert.Equal(alone[k], beside[k], 1e-4);
    }

    /// <summary>The model card's claim: sentences of like meaning lie nearer than others.</summary>
    [Fact]
    public void The_embedded_encoder_puts_like_meanings_together()
    {
        var encoder = Embedded();
        using var model = encoder.LoadEncoder();
        using var vectors = NotebookKit.Pretraining.TeacherEmbeddings.Embed(model, encoder.Tokenizer,
            ["My card has not arrived yet, it has been two weeks.", "I still haven't received my new card.", "A man on a ladder is cleaning a window."]);
        using var cosine = vectors.mm(vectors.t());
        Assert.True(cosine[0, 1].item<float>() > cosine[0, 2].item<float>() + 0.3, $"{cosine[0, 1].item<float>()} against {cosine[0, 2].item<float>()}");
    }

    [Fact]
    public void Empty_texts_and_folders_without_classes_are_refused()
    {
        using var classifier = TextClassifier.FromPretrained(Embedded(), FinetunerTests.Animals.Labels, seed: 4);
        Assert.Contains("Text 2 of 2", Assert.Throws<ArgumentException>(() => classifier.Predict(["a", "  "])).Message);
        Assert.Contains("no id2label", Assert.Throws<InvalidDataException>(() => TextClassifier.Load(RepositoryFolder.Data("models", "pocket-encoder"))).Message);
        Assert.Throws<DirectoryNotFoundException>(() => PretrainedEncoder.Open("nowhere"));
    }

    /// <summary>What pretraining is for, on a fixed draw of 10 per class: the probe on the embedded encoder beats TF-IDF on the validation part by at least 5 points.</summary>
    [Fact]
    public void The_embedded_encoder_beats_counting_words_with_ten_examples()
    {
        var data = DatasetCatalog.Load("support-intents");
        var draw = data.Train.SamplePerClass(10, seed: 0);
        using var classifier = TextClassifier.FromPretrained(Embedded(), data.Labels, seed: 0);
        LinearProbe.FitHead(classifier, draw);
        var tfidf = NotebookKit.Baselines.TfidfClassifier.Fit(draw).Predict(data.Validation.Texts);
        var counted = tfidf.Zip(data.Validation.LabelIds()).Count(p => p.First == p.Second) / (double)data.Validation.Count;
        Assert.True(Finetuner.Measure(classifier, data.Validation).Accuracy > counted + 0.05);
    }
}
