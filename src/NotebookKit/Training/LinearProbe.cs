using NotebookKit.Baselines;
using NotebookKit.Data;
using NotebookKit.Pipelines;
using static TorchSharp.torch;

namespace NotebookKit.Training;

/// <summary>Fits the head of a classifier on the frozen encoder's features by logistic regression.</summary>
public static class LinearProbe
{
    /// <summary>
    /// Features are centred and scaled to mean length 1 for the fit, so that the penalty means the same for every encoder; the head that
    /// is written reads the features as they are and answers the same.
    /// </summary>
    /// <param name="classifier">Its head is overwritten; its encoder is only read.</param>
    /// <param name="train">Examples.</param>
    /// <param name="c">Inverse strength of the penalty. Default 10.</param>
    public static void FitHead(TextClassifier classifier, TextDataset train, double c = 10)
    {
        var features = classifier.Features(train.Texts);
        var width = features[0].Length;
        var mean = new double[width];
        foreach (var row in features)
            for (var j = 0; j < width; j++) mean[j] += row[j] / (double)features.Length;
        var length = features.Average(row => Math.Sqrt(row.Select((v, j) => (v - mean[j]) * (v - mean[j])).Sum()));
        var scaled = Array.ConvertAll(features, row => row.Select((v, j) => (float)((v - mean[j]) / length)).ToArray());
        var regression = LogisticRegression.Fit(FeatureRows.Dense(scaled), train.LabelIds(), train.Labels.Count, new LogisticRegressionSettings { C = c });

        var (weight, bias) = (new float[regression.Classes * width], new float[regression.Classes]);
        for (var k = 0; k < regression.Classes; k++)
        {
            var intercept = regression.Intercept(k);
            for (var j = 0; j < width; j++)
            {
                var w = regression.Weight(j, k) / length;
                weight[k * width + j] = (float)w;
                intercept -= w * mean[j];
            }
            bias[k] = (float)intercept;
        }
        using var noGradient = no_grad();
        using var weights = tensor(weight, [regression.Classes, width]);
        using var biases = tensor(bias);
        classifier.Model.Classifier.weight.copy_(weights);
        classifier.Model.Classifier.bias!.copy_(biases);
    }
}
