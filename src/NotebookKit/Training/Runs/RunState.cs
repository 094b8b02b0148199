using System.Globalization;
using System.Text.Json.Nodes;
using NotebookKit.Tracking;

namespace NotebookKit.Training.Runs;

/// <summary>Where a run stands between two steps, weights aside.</summary>
internal sealed class RunState
{
    /// <summary>Epoch in progress, from 1.</summary>
    public int Epoch { get; set; } = 1;

    /// <summary>Batches of it that are done.</summary>
    public int Batch { get; set; }

    /// <summary>Steps taken.</summary>
    public int Steps { get; set; }

    /// <summary>Losses of the epoch so far, times examples.</summary>
    public double LossSum { get; set; }

    /// <summary>Examples of the epoch so far.</summary>
    public int Seen { get; set; }

    /// <summary>Finished epochs.</summary>
    public List<EpochRecord> Epochs { get; } = [];

    /// <summary>The best epoch so far; 0 is the start.</summary>
    public int BestEpoch { get; set; }

    /// <summary>Its accuracy on the validation part.</summary>
    public double BestAccuracy { get; set; } = double.NegativeInfinity;

    /// <summary>Its loss on the validation part.</summary>
    public double BestLoss { get; set; } = double.PositiveInfinity;

    /// <summary>The best epochs, best first, where some are to be averaged.</summary>
    public IReadOnlyList<SoupMember> Soup { get; set; } = [];

    /// <summary>Whether patience ran out.</summary>
    public bool StoppedEarly { get; set; }

    /// <summary>The state of the dropout masks.</summary>
    public IReadOnlyList<ulong> Dropout { get; set; } = [];

    public string ToText() => new JsonObject
    {
        ["epoch"] = Epoch, ["batch"] = Batch, ["steps"] = Steps, ["loss_sum"] = Exact(LossSum), ["seen"] = Seen, ["best_epoch"] = BestEpoch, ["best_accuracy"] = Exact(BestAccuracy), ["best_loss"] = Exact(BestLoss),
        ["stopped_early"] = StoppedEarly, ["dropout"] = string.Join(' ', Dropout.Select(d => d.ToString("x16", CultureInfo.InvariantCulture))),
        ["soup"] = new JsonArray([.. Soup.Select(m => (JsonNode)new JsonArray(m.Epoch, Exact(m.Accuracy), Exact(m.Loss)))]),
        ["epochs"] = new JsonArray([.. Epochs.Select(e => (JsonNode)new JsonArray(e.Epoch, Exact(e.TrainLoss), e.ValidationLoss is { } l ? Exact(l) : null, e.ValidationAccuracy is { } a ? Exact(a) : null))]),
    }.ToJsonString();

    public static RunState Parse(string text)
    {
        var json = JsonNode.Parse(text)!;
        var state = new RunState
        {
            Epoch = (int)json["epoch"]!, Batch = (int)json["batch"]!, Steps = (int)json["steps"]!, LossSum = Real(json["loss_sum"]), Seen = (int)json["seen"]!, BestEpoch = (int)json["best_epoch"]!,
            BestAccuracy = Real(json["best_accuracy"]), BestLoss = Real(json["best_loss"]), StoppedEarly = (bool)json["stopped_early"]!,
            Dropout = [.. ((string)json["dropout"]!).Split(' ').Select(d => ulong.Parse(d, NumberStyles.HexNumber, CultureInfo.InvariantCulture))],
            Soup = [.. json["soup"]!.AsArray().Select(m => new SoupMember((int)m![0]!, Real(m[1]), Real(m[2])))],
        };
        state.Epochs.AddRange(json["epochs"]!.AsArray().Select(e => new EpochRecord((int)e![0]!, Real(e[1]), e[2] is null ? null : Real(e[2]), e[3] is null ? null : Real(e[3]))));
        return state;
    }

    /// <summary>Shortest text that reads back to the same number, infinities included.</summary>
    private static string Exact(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static double Real(JsonNode? node) => double.Parse((string)node!, CultureInfo.InvariantCulture);
}
