using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Display;

namespace NotebookKit.Tracking;

/// <summary>A run as its JSON Lines log tells it.</summary>
/// <param name="Run">What it was made of.</param>
/// <param name="Epochs">Its epochs.</param>
/// <param name="Steps">Optimiser steps taken.</param>
/// <param name="IsDone">Whether it ended by itself.</param>
public sealed record RunLog(RunRecord Run, IReadOnlyList<EpochRecord> Epochs, int Steps, bool IsDone)
{
    /// <summary>Reads the last run of a log. A last line that is cut off, as a killed process may leave it, is passed over.</summary>
    /// <exception cref="InvalidDataException">The file holds no run.</exception>
    public static RunLog Read(string path)
    {
        var (run, epochs, steps, done, number) = (default(RunRecord), new List<EpochRecord>(), 0, false, 0);
        foreach (var line in File.ReadLines(path))
        {
            number++;
            JsonNode json;
            try { json = JsonNode.Parse(line)!; }
            catch (JsonException) { continue; }
            if (json["run"] is { } started)
            {
                (run, done) = (RunRecord.Parse(started), false);
                epochs.Clear();
            }
            steps = (int?)json["step"] ?? steps;
            if (json["train_loss"] is { } loss) epochs.Add(new EpochRecord((int)json["epoch"]!, (double)loss, (double?)json["validation_loss"], (double?)json["validation_accuracy"]));
            done |= json["best_epoch"] is not null;
        }
        return new RunLog(run ?? throw new InvalidDataException($"'{path}' tells of no run: {number} lines, none with the field 'run'. JsonLinesLog writes such files."), epochs, steps, done);
    }

    /// <summary>In what two runs differ, and what each reached.</summary>
    /// <param name="first">A log.</param>
    /// <param name="second">Another.</param>
    public static Table Compare(string first, string second) => Compare(Read(first), Read(second));

    /// <summary>In what two runs differ, and what each reached.</summary>
    public static Table Compare(RunLog first, RunLog second)
    {
        var (a, b) = (first.Run.Fields().ToDictionary(f => f.Name, f => f.Value), second.Run.Fields().ToDictionary(f => f.Name, f => f.Value));
        var rows = a.Keys.Union(b.Keys).Where(k => a.GetValueOrDefault(k) != b.GetValueOrDefault(k)).Select(k => (IReadOnlyList<string>)[k, Short(a.GetValueOrDefault(k)), Short(b.GetValueOrDefault(k))]).ToList();
        var same = rows.Count == 0;
        rows.Add(["steps", first.Steps.ToString(CultureInfo.InvariantCulture), second.Steps.ToString(CultureInfo.InvariantCulture)]);
        rows.Add(["last training loss", Number(first.Epochs.LastOrDefault()?.TrainLoss), Number(second.Epochs.LastOrDefault()?.TrainLoss)]);
        rows.Add(["best validation accuracy", Number(first.Epochs.Max(e => e.ValidationAccuracy)), Number(second.Epochs.Max(e => e.ValidationAccuracy))]);
        rows.Add(["ended", first.IsDone ? "yes" : "no", second.IsDone ? "yes" : "no"]);
        return new Table(["", first.Run.Name, second.Run.Name], rows, same ? "The same settings, data, weights, versions and machine" : "What differs, and what came of it");
    }

    private static string Short(string? value) => value is null ? "" : value.Length == 64 && value.All(char.IsAsciiHexDigitLower) ? value[..12] + "…" : value;

    private static string Number(double? value) => value?.ToString("G4", CultureInfo.InvariantCulture) ?? "";
}
