using NotebookKit.Data;
using NotebookKit.Metrics;
using NotebookKit.Pipelines;
using NotebookKit.Tracking;
using NotebookKit.Training;
using static NotebookKit.Tests.Training.FinetunerTests;

namespace NotebookKit.Tests.Training;

/// <summary>Runs whose trouble is known are diagnosed with it; expected symptoms follow from how each run was made.</summary>
public sealed class DiagnosisTests
{
    private static TrainingHistory History(params (double Train, double? Validation)[] epochs) =>
        new(new FinetuneSettings(), [.. epochs.Select((e, i) => new EpochRecord(i + 1, e.Train, e.Validation, e.Validation is null ? null : 0.5))], 1, 10, false);

    [Fact]
    public void Figures_of_known_trouble_are_recognised()
    {
        Assert.Equal(TrainingSymptom.Overfitting, One(History((2.0, 1.9), (1.2, 1.5), (0.6, 1.6), (0.2, 1.9))));
        Assert.Equal(TrainingSymptom.StillLearning, One(History((2.0, 1.9), (1.7, 1.6), (1.4, 1.4), (1.1, 1.2))));
        Assert.Equal(TrainingSymptom.RateTooHigh, One(History((2.0, null), (2.4, null), (2.9, null))));
        Assert.Equal(TrainingSymptom.RateTooHigh, One(History((2.0, 2.1), (0.7, 1.0), (1.6, 1.8), (2.2, 2.3))));
        Assert.Equal(TrainingSymptom.RateTooLow, One(History((2.00, 2.0), (1.99, 1.99), (1.98, 1.98))));
        Assert.Equal(TrainingSymptom.Plateau, One(History((2.0, 2.0), (1.4, 1.5), (1.301, 1.4), (1.300, 1.4), (1.300, 1.4), (1.299, 1.4), (1.299, 1.4))));
        Assert.Empty(TrainingDiagnosis.Of(History((2.0, 1.5), (0.5, 0.6), (0.2, 0.41), (0.195, 0.41))).Findings);

        static TrainingSymptom One(TrainingHistory history) => Assert.Single(TrainingDiagnosis.Of(history).Findings).Symptom;
    }

    [Fact]
    public void A_class_that_is_never_answered_is_named_with_what_is_answered_instead()
    {
        var matrix = ConfusionMatrix.Of([0, 0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 0, 0, 2, 1, 1], 3);
        var finding = Assert.Single(TrainingDiagnosis.Of(History((1, null)), matrix, new LabelSet(["refund", "return", "rare"])).Findings);
        Assert.Equal(TrainingSymptom.ClassNeverLearned, finding.Symptom);
        Assert.Equal("none of 3 examples of 'return' is answered rightly; most often 'refund' (2)", finding.Evidence);
    }

    [Theory]
    [InlineData(1e-6, TrainingSymptom.RateTooLow)]
    [InlineData(1.0, TrainingSymptom.RateTooHigh)]
    public void Real_runs_at_wrong_rates_are_recognised(double rate, TrainingSymptom expected)
    {
        using var classifier = TextClassifier.FromScratch(Still, Animals.Labels, seed: 3);
        var history = new Finetuner(new FinetuneSettings { Epochs = 8, BatchSize = 4, LearningRate = rate, HeadStart = HeadStart.Random }).Run(classifier, Animals);
        Assert.Equal(expected, TrainingDiagnosis.Of(history).Findings[0].Symptom);
    }
}
