using NotebookKit.Notebooks;
using NotebookKit.Pipelines;
using NotebookKit.Stages;
using NotebookKit.Tests.Training;
using NotebookKit.Training;

namespace NotebookKit.Tests.Notebooks;

/// <summary>What is shown while stages run.</summary>
public sealed class LiveCurvesTests
{
    /// <summary>Expected: a line a stage, each beginning where the one before ended, the rolled back one marked; a regression has no epochs and no line.</summary>
    [Fact]
    public void Stages_are_lines_over_one_axis()
    {
        var quick = new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 2, BatchSize = 4, LearningRate = 1e-2 };
        var curves = new LiveCurves("a plan");
        Assert.Null(curves.AsFigure());
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, FinetunerTests.Animals.Labels, seed: 3);
        var history = new StagedFinetuner(new StagePlan("p",
        [
            new Stage { Name = "first", Settings = quick }, new Stage { Name = "never", Settings = quick with { Epochs = 1 }, Gate = new Gate { MinimumGain = 1 } }, new Stage { Name = "last", Settings = quick },
        ])).Run(classifier, new StageData(FinetunerTests.Animals, FinetunerTests.Animals), curves);
        var data = System.Text.Json.Nodes.JsonNode.Parse(curves.AsFigure()!.Json)!["data"]!.AsArray();
        Assert.Equal(["first", "never (rolled back)", "last"], data.Select(t => (string)t!["name"]!));
        Assert.Equal([[1, 2], [3], [4, 5]], data.Select(t => t!["x"]!.AsArray().Select(x => (double)x!).ToArray()));
        Assert.Equal(history.Stages[2].Epochs.Select(e => e.ValidationAccuracy!.Value), data[2]!["y"]!.AsArray().Select(y => (double)y!));
    }

    [Fact]
    public void Without_validation_the_loss_is_drawn()
    {
        var curves = new LiveCurves("a run");
        using var classifier = TextClassifier.FromScratch(FinetunerTests.Tiny, FinetunerTests.Animals.Labels, seed: 3);
        var history = new Finetuner(new FinetuneSettings { HeadStart = HeadStart.Random, Epochs = 3, BatchSize = 4 }).Run(classifier, FinetunerTests.Animals, null, curves);
        var line = Assert.Single(System.Text.Json.Nodes.JsonNode.Parse(curves.AsFigure()!.Json)!["data"]!.AsArray())!;
        Assert.Equal("a run", (string)line["name"]!);
        Assert.Equal(history.Epochs.Select(e => e.TrainLoss), line["y"]!.AsArray().Select(y => (double)y!));
    }
}
