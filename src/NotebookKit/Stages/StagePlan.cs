using System.Globalization;
using System.Text.Json;
using NotebookKit.Adapters;
using NotebookKit.Data;
using NotebookKit.Display;
using NotebookKit.Pipelines;
using NotebookKit.Pretraining;
using NotebookKit.Training;

namespace NotebookKit.Stages;

/// <summary>Finetuning as a sequence of stages that a person can read. Prints as a table; <see cref="ToJson"/> and <see cref="FromJson"/> keep it in a file.</summary>
/// <param name="Name">What the plan is.</param>
/// <param name="Stages">At least one.</param>
[TypeFormatterSource(typeof(ShownFormatterSource))]
public sealed record StagePlan(string Name, IReadOnlyList<Stage> Stages) : IShown
{
    /// <summary>The plan as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, PlanJson.Default.StagePlan);

    /// <summary>A plan that <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is no plan; the message names the field.</exception>
    public static StagePlan FromJson(string json)
    {
        try { return JsonSerializer.Deserialize(json, PlanJson.Default.StagePlan) is { Stages: not null } plan ? plan : throw new InvalidDataException("This is no plan: Stages is missing."); }
        catch (Exception e) when (e is JsonException or NotSupportedException or ArgumentException) { throw new InvalidDataException($"This is no plan: {e.Message}", e); }
    }

    /// <summary>Refuses, before the first step, what could not be done later, naming stage and field.</summary>
    /// <param name="classifier">What would be trained.</param>
    /// <param name="data">What it would be trained on.</param>
    /// <exception cref="ArgumentException">A stage cannot be done.</exception>
    public void Check(TextClassifier classifier, StageData data)
    {
        if (Stages.Count == 0) throw new ArgumentException($"Plan '{Name}': Stages is empty.");
        if (Stages.GroupBy(s => s.Name).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"Plan '{Name}': two stages are called '{twice.Key}'.");
        if (classifier.Model.Adapter is not null) throw new ArgumentException($"Plan '{Name}': an adapter takes part in the classifier already. Merge it, or Dispose it.");
        foreach (var part in new[] { data.Train, data.Validation, data.Old, data.OldValidation }) if (part is not null) Finetuner.CheckLabels(classifier, part);
        var before = default(Stage);
        foreach (var stage in Stages)
        {
            Check(stage, before, classifier, data);
            before = stage;
        }
    }

    private static void Check(Stage stage, Stage? before, TextClassifier classifier, StageData data)
    {
        ArgumentException Wrong(string what, Exception? inner = null) => new($"Stage '{stage.Name}': {what}", inner);
        try { stage.Settings.Validate(); }
        catch (ArgumentException e) { throw Wrong($"Settings: {e.Message}", e); }
        if (stage.Settings.Trained != Trained.All) throw Wrong("Settings.Trained follows from Trains: leave it as it is, and set Trains = TrainedPart.Probe.");
        if (stage.Settings.FrozenLayers is not null) throw Wrong("Settings.FrozenLayers follows from Trains: leave it null, and set Trains = TrainedPart.Top(layers).");
        if (stage.Settings.Checkpoints is not null) throw Wrong("Settings.Checkpoints follows from the folder that the plan is run in: leave it null.");
        var layers = LayerRates.Count(classifier.Model.OwnParameters().Select(p => p.Name));
        if (stage.Trains.Kind == TrainedKind.TopLayers && (stage.Trains.Layers < 0 || stage.Trains.Layers > layers)) throw Wrong($"Trains.Layers is {stage.Trains.Layers}; the model has {layers} layers.");
        if (stage.Settings.RateFactors is { } factors)
        {
            if (factors.Count != layers + 2) throw Wrong($"Settings.RateFactors has {factors.Count} numbers; the model needs {layers + 2}: embeddings, {layers} layers, head.");
            var first = stage.Trains.Kind == TrainedKind.TopLayers ? 1 + layers - stage.Trains.Layers : 0;
            if (stage.Trains.Kind != TrainedKind.Probe && factors.Skip(first).All(f => f == 0)) throw Wrong($"Settings.RateFactors is 0 for all that is trained ({stage.Trains}): the stage would train nothing.");
        }
        if (stage.Trains.Kind == TrainedKind.Adapter)
        {
            if (stage.Trains.Adapter is not { } adapter) throw Wrong("Trains.Adapter is null; an adapter stage needs its settings.");
            try { Adapter.Check(classifier.Model, adapter); }
            catch (ArgumentException e) { throw Wrong($"Trains.Adapter: {e.Message}", e); }
        }
        if (before is { Trains: { Kind: TrainedKind.Adapter, Adapter: PromptSettings or PrefixSettings or BottleneckSettings } } && stage.Trains != before.Trains)
            throw Wrong($"Trains is {stage.Trains}, and the {before.Trains} of stage '{before.Name}' cannot be merged into the weights first. Go on with the same adapter, or use LoRA there.");
        if (stage.Trains.Kind == TrainedKind.Pretraining) CheckPretraining(stage, classifier, data, Wrong);
        stage.Data.Check(data.Train, stage.Name);
        if (stage.Replay is { } replay)
        {
            if (replay.Share is not (> 0 and <= 1)) throw Wrong($"Replay.Share is {replay.Share.ToString(CultureInfo.InvariantCulture)}; it is in (0, 1].");
            if (data.Old is null && before is null) throw Wrong("Replay asks for old examples, and there are none: StageData.Old is null, and no stage comes before.");
        }
        stage.Gate?.Check(data, stage.Name);
    }

    private static void CheckPretraining(Stage stage, TextClassifier classifier, StageData data, Func<string, Exception?, ArgumentException> wrong)
    {
        if (stage.Trains.Pretraining is not { } settings) throw wrong("Trains.Pretraining is null; a stage that learns masked tokens needs its settings.", null);
        try { settings.Validate(); }
        catch (ArgumentException e) { throw wrong($"Trains.Pretraining: {e.Message}", e); }
        if (data.Encoder is not { } encoder) throw wrong("masked tokens need the encoder's own head: set StageData.Encoder to what the classifier was made from.", null);
        try { FurtherPretraining.Check(classifier, encoder); }
        catch (ArgumentException e) { throw wrong($"StageData.Encoder: {e.Message}.", e); }
        if (stage.Trains.OnDomain && (data.DomainTexts?.Count ?? 0) < settings.BatchSize) throw wrong($"StageData.DomainTexts has {data.DomainTexts?.Count ?? 0} texts; Trains asks for them, at least a batch of {settings.BatchSize}.", null);
        if (stage.Gate is not null) throw wrong("Gate judges labels, which this stage does not learn: give the gate to the stage after it.", null);
        if (stage.Replay is not null) throw wrong("Replay brings labelled examples, which this stage does not learn: leave it null.", null);
    }

    /// <inheritdoc/>
    public string ToHtml() => Table.ToHtml();

    /// <inheritdoc/>
    public string ToText() => Table.ToText();

    private Table Table => new(["stage", "data", "replay", "trains", "rates", "epochs", "gate"],
        [.. Stages.Select(s => (IReadOnlyList<string>)[s.Name, s.Data.ToString(), s.Replay is { } r ? string.Create(CultureInfo.InvariantCulture, $"{100 * r.Share:0.#} % of the old") : "–", s.Trains.ToString(), Rates(s), Epochs(s), s.Gate?.ToString() ?? "–"])], Name);

    private static string Epochs(Stage stage) => stage.Trains.Kind == TrainedKind.Probe ? "–" : (stage.Trains.Pretraining?.Epochs ?? stage.Settings.Epochs).ToString(CultureInfo.InvariantCulture);

    private static string Rates(Stage stage) => stage.Trains.Kind == TrainedKind.Probe ? "–"
        : stage.Trains.Pretraining is { } pretraining ? string.Create(CultureInfo.InvariantCulture, $"{pretraining.LearningRate:0.#e+0} Linear")
        : string.Create(CultureInfo.InvariantCulture, $"{stage.Settings.LearningRate:0.#e+0} {stage.Settings.Schedule}")
        + (stage.Settings.RateFactors is { } factors ? $", times {string.Join(" ", factors.Select(f => f.ToString("0.###", CultureInfo.InvariantCulture)))} from the embeddings up" : stage.Settings.LayerDecay < 1 ? string.Create(CultureInfo.InvariantCulture, $", {stage.Settings.LayerDecay:0.###} per layer down") : "");
}
