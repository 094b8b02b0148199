using NotebookKit.Baselines;
using NotebookKit.Data;

namespace NotebookKit.Tests.Baselines;

public sealed class BaselineTests
{
    /// <summary>By hand, as scikit-learn's TfidfVectorizer defines it: two texts, idf = ln(3/(1+df)) + 1, rows of unit length.</summary>
    [Fact]
    public void Weights_follow_the_definition()
    {
        var vectorizer = TfidfVectorizer.Fit(["the cat the", "the dog"]);
        Assert.Equal(["cat", "cat the", "dog", "the", "the cat", "the dog"], vectorizer.Terms);
        var row = vectorizer.Transform(["the cat the"]).Row(0).ToDictionary(v => vectorizer.Terms[v.Feature], v => v.Value);
        var rare = Math.Log(3.0 / 2) + 1;
        var raw = new Dictionary<string, double> { ["the"] = 1 + Math.Log(2), ["cat"] = rare, ["the cat"] = rare, ["cat the"] = rare };
        var norm = Math.Sqrt(raw.Values.Sum(v => v * v));
        foreach (var (term, weight) in raw) Assert.Equal(weight / norm, row[term], 1e-12);
        Assert.Empty(vectorizer.Transform(["zebra"]).Row(0));
    }

    /// <summary>At the optimum the gradient of C·Σ loss + ½‖W‖² is zero: W = C·Σ (one-hot − probability)·x, which is checked entry by entry.</summary>
    [Fact]
    public void Regression_is_at_its_optimum()
    {
        var random = new Random(4);
        var rows = Enumerable.Range(0, 60).Select(_ => Enumerable.Range(0, 5).Select(_ => (float)random.NextDouble()).ToArray()).ToArray();
        var labels = rows.Select(r => r[0] > r[1] ? 0 : r[2] > 0.5f ? 1 : 2).ToArray();
        var fitted = LogisticRegression.Fit(FeatureRows.Dense(rows), labels, 3, new LogisticRegressionSettings { C = 2, Tolerance = 1e-9, MaximumIterations = 2000 });
        var probabilities = fitted.PredictProbabilities(FeatureRows.Dense(rows));
        for (var k = 0; k < 3; k++)
        {
            Assert.Equal(0, Enumerable.Range(0, 60).Sum(i => (labels[i] == k ? 1 : 0) - probabilities[i][k]), 1e-5);
            for (var f = 0; f < 5; f++)
                Assert.Equal(2 * Enumerable.Range(0, 60).Sum(i => ((labels[i] == k ? 1 : 0) - probabilities[i][k]) * rows[i][f]), fitted.Weight(f, k), 1e-5);
        }
    }

    [Fact]
    public void Labels_out_of_range_and_other_widths_are_refused()
    {
        var rows = FeatureRows.Dense([[1f, 0], [0, 1f]]);
        Assert.Contains("found 2 in row 1", Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(rows, [0, 2], 2)).Message);
        Assert.Contains("got 3", Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(rows, [0, 1, 1], 2)).Message);
        Assert.Contains("fitted on 2", Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(rows, [0, 1], 2).Predict(FeatureRows.Dense([[1f]]))).Message);
    }

    [Fact]
    public void Majority_answers_the_commonest_class()
    {
        var data = new TextDataset("x", [new("a", "l"), new("b", "m"), new("c", "m")]);
        Assert.Equal([1, 1], MajorityClassifier.Fit(data).Predict(["q", "r"]));
    }

    /// <summary>Expected value: scikit-learn with the same recipe on banking77, 0.8938 (anchors/banking77-minilm.json); 0.2 points are allowed for the solver's stopping.</summary>
    [Fact]
    public void Banking77_accuracy_equals_scikit_learns()
    {
        var folder = TestData.RequireShared("datasets/banking77");
        var columns = new ColumnNames(Label: "category");
        var train = DatasetReader.Read(Path.Combine(folder, "train.csv"), columns);
        var test = DatasetReader.Read(Path.Combine(folder, "test.csv"), columns, train.Labels);
        var predicted = TfidfClassifier.Fit(train).Predict(test.Texts);
        Assert.Equal(0.8938311688311689, predicted.Zip(test.LabelIds()).Count(p => p.First == p.Second) / (double)test.Count, 0.002);
    }
}
