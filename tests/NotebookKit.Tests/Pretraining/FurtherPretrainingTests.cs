using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Pretraining;

namespace NotebookKit.Tests.Pretraining;

/// <summary>On the embedded encoder and the task's own texts.</summary>
public sealed class FurtherPretrainingTests
{
    [Fact]
    public void Held_out_texts_of_the_task_become_less_surprising_and_the_encoder_is_written_for_classifiers()
    {
        using var folder = TestData.NewFolder();
        var data = DatasetCatalog.Load("support-intents");
        var encoder = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
        var settings = new FurtherPretrainingSettings { Epochs = 2, LearningRate = 3e-4 };
        var (adapted, curve) = FurtherPretraining.Run(encoder, [.. data.Train.Texts.Take(640)], folder["adapted"], settings, data.Validation.Texts);
        Assert.Equal([0, 1, 2], curve.Select(p => p.Epoch));
        Assert.True(curve[^1].ValidationLoss < curve[0].ValidationLoss - 0.1, $"{curve[0].ValidationLoss} to {curve[^1].ValidationLoss}");
        using var classifier = TextClassifier.FromPretrained(adapted, data.Labels, seed: 0);
        using var before = TextClassifier.FromPretrained(encoder, data.Labels, seed: 0);
        Assert.NotEqual(before.Logits(["where is my parcel"])[0], classifier.Logits(["where is my parcel"])[0]);
        // The second stage goes on where the first ended: its first point is the first stage's last.
        var (_, again) = FurtherPretraining.Run(adapted, [.. data.Train.Texts.Take(64)], folder["again"], settings with { Epochs = 1 }, data.Validation.Texts);
        Assert.Equal(curve[^1].ValidationLoss!.Value, again[0].ValidationLoss!.Value, 1e-4);
    }

    [Fact]
    public void Too_few_texts_are_refused_and_nothing_is_written()
    {
        using var folder = TestData.NewFolder();
        var encoder = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
        Assert.Contains("at least a batch of 32", Assert.Throws<ArgumentException>(() => FurtherPretraining.Run(encoder, ["one text"], folder["x"])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => FurtherPretraining.Run(encoder, ["one text"], folder["x"], new FurtherPretrainingSettings { MaskedShare = 1 }));
        Assert.False(Directory.Exists(folder["x"]));
    }
}
