using System.Numerics.Tensors;

namespace NotebookKit.Baselines;

/// <summary>Limited-memory BFGS (Nocedal &amp; Wright 2006, algorithm 7.5) with a line search for the weak Wolfe conditions.</summary>
internal static class Lbfgs
{
    private const int History = 10;
    private const double SufficientDecrease = 1e-4, Curvature = 0.9;

    /// <summary>Minimises a smooth function from <paramref name="start"/>; stops when the largest entry of the gradient is at most the tolerance.</summary>
    public static double[] Minimize(Func<double[], double[], double> objective, double[] start, double tolerance, int maximumIterations)
    {
        var x = start;
        var gradient = new double[x.Length];
        var value = objective(x, gradient);
        var past = new LinkedList<(double[] Step, double[] Change, double Rho)>();
        for (var iteration = 0; iteration < maximumIterations && TensorPrimitives.MaxMagnitude<double>(gradient) is var g && Math.Abs(g) > tolerance; iteration++)
        {
            var direction = Direction(gradient, past);
            var slope = TensorPrimitives.Dot<double>(direction, gradient);
            var (low, high, rate) = (0.0, double.PositiveInfinity, past.Count == 0 ? Math.Min(1, 1 / TensorPrimitives.Norm<double>(gradient)) : 1.0);
            var (next, nextGradient, nextValue) = (new double[x.Length], new double[x.Length], value);
            var found = false;
            for (var trial = 0; trial < 40 && !found; trial++)
            {
                TensorPrimitives.MultiplyAdd<double>(direction, rate, x, next);
                nextValue = objective(next, nextGradient);
                if (nextValue > value + SufficientDecrease * rate * slope) high = rate;
                else if (TensorPrimitives.Dot<double>(direction, nextGradient) < Curvature * slope) low = rate;
                else found = true;
                if (!found) rate = double.IsInfinity(high) ? 2 * rate : (low + high) / 2;
            }
            if (!found) break; // no descent left at machine precision
            var step = new double[x.Length];
            var change = new double[x.Length];
            TensorPrimitives.Subtract<double>(next, x, step);
            TensorPrimitives.Subtract<double>(nextGradient, gradient, change);
            past.AddLast((step, change, 1 / TensorPrimitives.Dot<double>(step, change)));
            if (past.Count > History) past.RemoveFirst();
            (x, gradient, value) = (next, nextGradient, nextValue);
        }
        return x;
    }

    private static double[] Direction(double[] gradient, LinkedList<(double[] Step, double[] Change, double Rho)> past)
    {
        var q = (double[])gradient.Clone();
        var alphas = new Stack<double>();
        for (var node = past.Last; node is not null; node = node.Previous)
        {
            var alpha = node.Value.Rho * TensorPrimitives.Dot<double>(node.Value.Step, q);
            alphas.Push(alpha);
            TensorPrimitives.MultiplyAdd<double>(node.Value.Change, -alpha, q, q);
        }
        if (past.Last is { Value: var last })
            TensorPrimitives.Multiply<double>(q, 1 / (last.Rho * TensorPrimitives.SumOfSquares<double>(last.Change)), q);
        foreach (var (step, change, rho) in past)
        {
            var beta = rho * TensorPrimitives.Dot<double>(change, q);
            TensorPrimitives.MultiplyAdd<double>(step, alphas.Pop() - beta, q, q);
        }
        TensorPrimitives.Negate<double>(q, q);
        return q;
    }
}
