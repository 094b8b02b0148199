using System.Numerics.Tensors;

namespace NotebookKit.Baselines;

/// <summary>Settings of <see cref="LogisticRegression"/>.</summary>
public sealed record LogisticRegressionSettings
{
    /// <summary>Inverse strength of the L2 penalty, above 0. Default 10, the anchor recipe's; scikit-learn's own default is 1.</summary>
    public double C { get; init; } = 10;

    /// <summary>Stops when the largest entry of the gradient, per example, is below this. Default 1e-4, as scikit-learn.</summary>
    public double Tolerance { get; init; } = 1e-4;

    /// <summary>Most iterations of L-BFGS. Default 300.</summary>
    public int MaximumIterations { get; init; } = 300;
}

/// <summary>
/// Multinomial logistic regression with an L2 penalty on the weights (not on the intercepts), fitted by L-BFGS: minimises
/// C·Σ cross-entropy + ½‖W‖², the objective of scikit-learn's <c>LogisticRegression</c>, divided by C·N. Immutable once fitted; thread-safe.
/// </summary>
public sealed class LogisticRegression
{
    private readonly double[] _parameters;
    private readonly int _features;

    private LogisticRegression(double[] parameters, int features, int classes)
    {
        (_parameters, _features, Classes) = (parameters, features, classes);
    }

    /// <summary>Number of classes C.</summary>
    public int Classes { get; }

    /// <summary>Weight of a feature for a class.</summary>
    public double Weight(int feature, int @class) => _parameters[feature * Classes + @class];

    /// <summary>Intercept of a class.</summary>
    public double Intercept(int @class) => _parameters[_features * Classes + @class];

    /// <summary>Fits the model.</summary>
    /// <param name="rows">Features, N rows.</param>
    /// <param name="labels">Class of each row, in [0, <paramref name="classes"/>).</param>
    /// <param name="classes">Number of classes, at least 2.</param>
    /// <param name="settings">Penalty and stopping.</param>
    /// <exception cref="ArgumentException">Rows and labels do not fit together.</exception>
    public static LogisticRegression Fit(FeatureRows rows, IReadOnlyList<int> labels, int classes, LogisticRegressionSettings? settings = null)
    {
        settings ??= new LogisticRegressionSettings();
        if (labels.Count != rows.Count) throw new ArgumentException($"{rows.Count} rows of features need as many labels; got {labels.Count}.", nameof(labels));
        for (var i = 0; i < labels.Count; i++)
            if (labels[i] < 0 || labels[i] >= classes) throw new ArgumentException($"Labels must be in [0, {classes}); found {labels[i]} in row {i}.", nameof(labels));

        var weights = rows.Width * classes;
        var parts = Math.Min(Environment.ProcessorCount, Math.Max(1, rows.Count / 64));
        var gradients = Enumerable.Range(0, parts).Select(_ => new double[weights + classes]).ToArray();
        var losses = new double[parts];

        double Objective(double[] parameters, double[] gradient)
        {
            Parallel.For(0, parts, part =>
            {
                var own = gradients[part];
                Array.Clear(own);
                losses[part] = 0;
                var scores = new double[classes];
                for (var row = (int)((long)rows.Count * part / parts); row < (int)((long)rows.Count * (part + 1) / parts); row++)
                {
                    parameters.AsSpan(weights, classes).CopyTo(scores);
                    rows.AddScores(row, parameters.AsSpan(0, weights), scores);
                    var largest = TensorPrimitives.Max<double>(scores);
                    var labelScore = scores[labels[row]];
                    TensorPrimitives.Subtract(scores, largest, scores);
                    TensorPrimitives.Exp<double>(scores, scores);
                    var sum = TensorPrimitives.Sum<double>(scores);
                    losses[part] += Math.Log(sum) + largest - labelScore;
                    TensorPrimitives.Divide(scores, sum, scores);
                    scores[labels[row]] -= 1;
                    rows.AddOuter(row, scores, own.AsSpan(0, weights));
                    TensorPrimitives.Add<double>(own.AsSpan(weights), scores, own.AsSpan(weights));
                }
            });
            Array.Clear(gradient);
            foreach (var part in gradients) TensorPrimitives.Add<double>(gradient, part, gradient);
            var scale = 1.0 / rows.Count;
            var penalty = 1 / (settings.C * rows.Count);
            TensorPrimitives.Multiply<double>(gradient, scale, gradient);
            var w = parameters.AsSpan(0, weights);
            TensorPrimitives.MultiplyAdd<double>(w, penalty, gradient.AsSpan(0, weights), gradient.AsSpan(0, weights));
            return losses.Sum() * scale + 0.5 * penalty * TensorPrimitives.SumOfSquares<double>(w);
        }

        var fitted = Lbfgs.Minimize(Objective, new double[weights + classes], settings.Tolerance, settings.MaximumIterations);
        return new LogisticRegression(fitted, rows.Width, classes);
    }

    /// <summary>Probability of every class for every row.</summary>
    public double[][] PredictProbabilities(FeatureRows rows)
    {
        if (rows.Width != _features) throw new ArgumentException($"The model was fitted on {_features} features; got {rows.Width}.", nameof(rows));
        var result = new double[rows.Count][];
        Parallel.For(0, rows.Count, row =>
        {
            var scores = _parameters.AsSpan(_features * Classes, Classes).ToArray();
            rows.AddScores(row, _parameters.AsSpan(0, _features * Classes), scores);
            TensorPrimitives.SoftMax<double>(scores, scores);
            result[row] = scores;
        });
        return result;
    }

    /// <summary>The most probable class of every row.</summary>
    public int[] Predict(FeatureRows rows) => Array.ConvertAll(PredictProbabilities(rows), p => TensorPrimitives.IndexOfMax<double>(p));
}
