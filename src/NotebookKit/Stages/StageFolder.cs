using System.Globalization;
using System.Text.Json;
using NotebookKit.Checkpoints;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using NotebookKit.Runtime;
using NotebookKit.Training;
using NotebookKit.Training.Runs;
using static TorchSharp.torch;

namespace NotebookKit.Stages;

/// <summary>What a plan's run keeps: the plan and what it runs on, an outcome per stage, the weights after each promoted stage, and checkpoints of the stage under way. Each file is whole or absent; an outcome is written after its weights.</summary>
internal sealed class StageFolder
{
    private readonly string _folder;

    public StageFolder(string folder, StagePlan plan, TextClassifier classifier, StageData data)
    {
        _folder = folder;
        Directory.CreateDirectory(folder);
        string Text(TextDataset? part) => part is null ? "" : string.Join('\n', part.Select(e => $"{e.Label}\t{e.Kind}\t{e.Text}"));
        var identity = TensorHash.Of(classifier.Model.Held().Select(p => KeyValuePair.Create(p.Name, p.Value)), string.Join("\n\n", plan.ToJson(), Text(data.Train), Text(data.Validation), Text(data.Old), Text(data.OldValidation), string.Join('\n', data.DomainTexts ?? [])));
        var (planFile, identityFile) = (Path.Combine(folder, "plan.json"), Path.Combine(folder, "identity.txt"));
        if (File.Exists(identityFile) && File.ReadAllText(identityFile) != identity)
            throw new InvalidOperationException($"'{Path.GetFullPath(folder)}' holds the stages of another run: {(File.Exists(planFile) && File.ReadAllText(planFile) != plan.ToJson() ? "its plan.json is another plan" : "data or first weights differ")}. Give this run a folder of its own, or delete that one.");
        WholeFile.Write(planFile, plan.ToJson());
        WholeFile.Write(identityFile, identity);
    }

    /// <summary>Where the run of a stage keeps its checkpoints.</summary>
    public CheckpointSettings CheckpointsOf(int number) => new(Path.Combine(_folder, Name(number)));

    /// <summary>Outcomes of the stages that are done, in order.</summary>
    public IEnumerable<StageOutcome> Done()
    {
        for (var number = 1; File.Exists(OutcomeOf(number)); number++)
        {
            StageOutcome? outcome;
            try { outcome = JsonSerializer.Deserialize(File.ReadAllText(OutcomeOf(number)), PlanJson.Default.StageOutcome); }
            catch (JsonException e) { throw new InvalidDataException($"'{OutcomeOf(number)}' is damaged: {e.Message} Delete it to run the stage again.", e); }
            yield return outcome!;
        }
    }

    /// <summary>Puts the weights after a stage into the classifier.</summary>
    public void Restore(int number, TextClassifier classifier)
    {
        using var file = SafetensorsFile.Open(WeightsOf(number));
        using var noGradient = no_grad();
        foreach (var (name, weights) in WeightSnapshot.Of(classifier.Model)) file.ReadInto(name, weights);
    }

    /// <summary>Keeps what came of a stage, and deletes its checkpoints.</summary>
    public void Keep(StageOutcome outcome, TextClassifier classifier)
    {
        if (outcome.Promoted) SafetensorsWriter.Write(WeightsOf(outcome.Number), WeightSnapshot.Of(classifier.Model).Select(p => KeyValuePair.Create(p.Name, p.Weights)));
        WholeFile.Write(OutcomeOf(outcome.Number), JsonSerializer.Serialize(outcome, PlanJson.Default.StageOutcome));
        var checkpoints = Path.Combine(_folder, Name(outcome.Number));
        if (Directory.Exists(checkpoints)) Directory.Delete(checkpoints, recursive: true);
    }

    private string OutcomeOf(int number) => Path.Combine(_folder, Name(number) + ".json");

    private string WeightsOf(int number) => Path.Combine(_folder, Name(number) + ".safetensors");

    private static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"stage-{number:D2}");
}
