using System.Text.Json;
using NotebookKit.Metrics;

namespace NotebookKit.Tests.Metrics;

/// <summary>Expected values: scikit-learn 1.9.1 (Fixtures/metrics/classification.json.gz, kind "labels"), tolerance 1e-9.</summary>
public sealed class ClassificationTests
{
    private static readonly JsonElement[] Cases = [.. TestData.Cases("metrics/classification.json.gz").Where(c => c.GetProperty("params").GetProperty("kind").GetString() == "labels")];

    public static TheoryData<string> Names => [.. Cases.Select(c => c.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Figures_equal_scikit_learn(string name)
    {
        var wanted = Cases.Single(c => c.GetProperty("name").GetString() == name);
        var (inputs, expected) = (wanted.GetProperty("inputs"), wanted.GetProperty("expected"));
        var weights = inputs.GetProperty("sample_weight").ValueKind == JsonValueKind.Null ? null : inputs.GetProperty("sample_weight").Doubles();
        int[] Ids(string key) => [.. inputs.GetProperty(key).EnumerateArray().Select(v => v.GetInt32())];
        var matrix = ConfusionMatrix.Of(Ids("y_true"), Ids("y_pred"), wanted.GetProperty("params").GetProperty("n_classes").GetInt32(), weights);

        Close(expected.GetProperty("accuracy").Number(), new ClassificationReport(matrix, zeroDivision: double.NaN).Accuracy, "accuracy");
        if (expected.GetProperty("balanced_accuracy").ValueKind != JsonValueKind.Object && weights is null)
            Close(expected.GetProperty("balanced_accuracy").Number(), new ClassificationReport(matrix).BalancedAccuracy, "balanced accuracy");
        foreach (var (key, normalization) in new[] { ("confusion_none", Normalization.None), ("confusion_true", Normalization.Truth), ("confusion_pred", Normalization.Prediction), ("confusion_all", Normalization.All) })
        {
            if (!expected.TryGetProperty(key, out var rows)) continue;
            var got = matrix.Normalized(normalization);
            for (var t = 0; t < matrix.Classes; t++)
                for (var p = 0; p < matrix.Classes; p++) Close(rows[t][p].Number(), got[t, p], $"{key}[{t},{p}]");
        }
        foreach (var (division, value) in new[] { ("zero_division_0", 0.0), ("zero_division_1", 1.0), ("zero_division_nan", double.NaN) })
            foreach (var (fName, beta) in new[] { ("f1", 1.0), ("f0.5", 0.5), ("f2", 2.0) })
            {
                var report = new ClassificationReport(matrix, zeroDivision: value, beta: beta);
                var scores = expected.GetProperty("prf_all_classes").GetProperty(division);
                foreach (var (figure, get) in new (string, Func<ClassScores, double>)[] { ("precision", s => s.Precision), ("recall", s => s.Recall), (fName, s => s.F) })
                {
                    var one = scores.GetProperty(figure);
                    for (var c = 0; c < matrix.Classes; c++) Close(one.GetProperty("per_class")[c].Number(), get(report.PerClass[c]), $"{division} {figure} of {c}");
                    Close(one.GetProperty("macro").Number(), get(report.Macro), $"{division} {figure} macro");
                    Close(one.GetProperty("micro").Number(), get(report.Micro), $"{division} {figure} micro");
                    Close(one.GetProperty("weighted").Number(), get(report.Weighted), $"{division} {figure} weighted");
                }
            }
    }

    /// <summary>Counts are additive: parts merged equal the whole.</summary>
    [Fact]
    public void Parts_merge_to_the_whole()
    {
        int[] truth = [0, 1, 2, 1, 0, 2, 2], predicted = [0, 2, 2, 1, 1, 2, 0];
        var whole = ConfusionMatrix.Of(truth, predicted, 3);
        var parts = ConfusionMatrix.Of(truth[..3], predicted[..3], 3);
        parts.Merge(ConfusionMatrix.Of(truth[3..], predicted[3..], 3));
        for (var t = 0; t < 3; t++)
            for (var p = 0; p < 3; p++) Assert.Equal(whole[t, p], parts[t, p]);
        Assert.Equal(whole.Total, parts.Total);
    }

    [Fact]
    public void Ids_out_of_range_and_lists_of_other_lengths_are_refused()
    {
        Assert.Contains("[0, 3)", Assert.Throws<ArgumentException>(() => ConfusionMatrix.Of([3], [0], 3)).Message);
        Assert.Contains("got 1 for 2", Assert.Throws<ArgumentException>(() => ConfusionMatrix.Of([0, 1], [0], 3)).Message);
    }

    private static void Close(double expected, double got, string what)
    {
        if (double.IsNaN(expected)) Assert.True(double.IsNaN(got), $"{what}: expected NaN, got {got}");
        else Assert.True(Math.Abs(expected - got) <= 1e-9 * Math.Max(1, Math.Abs(expected)), $"{what}: expected {expected}, got {got}");
    }
}
