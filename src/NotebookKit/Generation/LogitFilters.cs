using System.Numerics.Tensors;

namespace NotebookKit.Generation;

/// <summary>What is done to a row of logits before a token is chosen; each filter equals the reference's. A token ruled out has −∞.</summary>
public static class LogitFilters
{
    /// <summary>Divides by the temperature.</summary>
    public static void Temperature(Span<float> logits, double temperature)
    {
        if (temperature != 1) TensorPrimitives.Divide(logits, (float)temperature, logits);
    }

    /// <summary>Keeps the k largest, and those equal to the k-th.</summary>
    public static void TopK(Span<float> logits, int k)
    {
        if (k <= 0 || k >= logits.Length) return;
        var sorted = logits.ToArray();
        Array.Sort(sorted);
        var threshold = sorted[^k];
        foreach (ref var x in logits)
            if (x < threshold) x = float.NegativeInfinity;
    }

    /// <summary>Keeps the fewest whose probabilities together reach p; the most probable always.</summary>
    public static void TopP(Span<float> logits, double p)
    {
        if (p >= 1) return;
        var probabilities = Softmax(logits);
        var order = Enumerable.Range(0, logits.Length).ToArray();
        var keys = logits.ToArray();
        Array.Sort(keys, order);                                             // ascending
        var sum = 0f;
        for (var i = 0; i < order.Length - 1; i++)
        {
            sum += probabilities[order[i]];
            if (sum > 1 - p) break;
            logits[order[i]] = float.NegativeInfinity;
        }
    }

    /// <summary>Keeps those at least p times as probable as the most probable.</summary>
    public static void MinP(Span<float> logits, double p)
    {
        if (p <= 0) return;
        var probabilities = Softmax(logits);
        var threshold = (float)p * TensorPrimitives.Max<float>(probabilities);
        for (var i = 0; i < logits.Length; i++)
            if (probabilities[i] < threshold) logits[i] = float.NegativeInfinity;
    }

    /// <summary>Makes tokens that stand there already less likely.</summary>
    public static void RepetitionPenalty(Span<float> logits, IReadOnlyList<int> tokens, double penalty)
    {
        if (penalty == 1) return;
        foreach (var id in tokens.Distinct()) logits[id] = logits[id] < 0 ? logits[id] * (float)penalty : logits[id] / (float)penalty;
    }

    /// <summary>Rules out every token that would complete an n-gram which stands there already.</summary>
    public static void NoRepeatNgram(Span<float> logits, IReadOnlyList<int> tokens, int size)
    {
        if (size <= 0) return;
        for (var start = 0; start + size <= tokens.Count; start++)
        {
            var same = true;
            for (var i = 0; i < size - 1 && same; i++) same = tokens[start + i] == tokens[tokens.Count - size + 1 + i];
            if (same) logits[tokens[start + size - 1]] = float.NegativeInfinity;
        }
    }

    /// <summary>Rules out the last token of every bad word whose others stand at the end.</summary>
    public static void BadWords(Span<float> logits, IReadOnlyList<int> tokens, IReadOnlyList<IReadOnlyList<int>> words)
    {
        foreach (var word in words)
        {
            if (word.Count == 0 || word.Count - 1 > tokens.Count) continue;
            var same = true;
            for (var i = 0; i < word.Count - 1 && same; i++) same = word[i] == tokens[tokens.Count - word.Count + 1 + i];
            if (same && word[^1] >= 0 && word[^1] < logits.Length) logits[word[^1]] = float.NegativeInfinity;
        }
    }

    /// <summary>All filters of the settings that hold for every way of choosing, in the reference's order.</summary>
    /// <param name="logits">A row.</param>
    /// <param name="settings">The settings.</param>
    /// <param name="tokens">What stands there: the prompt without padding, then what was written.</param>
    /// <param name="written">How many tokens were written.</param>
    internal static void Process(Span<float> logits, GenerationSettings settings, IReadOnlyList<int> tokens, int written)
    {
        RepetitionPenalty(logits, tokens, settings.RepetitionPenalty);
        NoRepeatNgram(logits, tokens, settings.NoRepeatNgramSize);
        BadWords(logits, tokens, settings.BadWords);
        if (written < settings.MinimumNewTokens)
            foreach (var end in settings.EndIds) logits[end] = float.NegativeInfinity;
        if (written == 0 && settings.ForcedFirstId is { } first) Force(logits, first);
        if (written == settings.MaximumNewTokens - 1 && settings.ForcedEndId is { } last) Force(logits, last);
        foreach (var id in settings.SuppressedIds) logits[id] = float.NegativeInfinity;
    }

    /// <summary>The filters of drawing, in the reference's order.</summary>
    internal static void Warp(Span<float> logits, GenerationSettings settings)
    {
        Temperature(logits, settings.Temperature);
        TopK(logits, settings.TopK);
        TopP(logits, settings.TopP);
        MinP(logits, settings.MinP);
    }

    /// <summary>Probabilities of a row.</summary>
    internal static float[] Softmax(ReadOnlySpan<float> logits)
    {
        var result = new float[logits.Length];
        TensorPrimitives.Subtract(logits, TensorPrimitives.Max(logits), result);
        TensorPrimitives.Exp<float>(result, result);
        TensorPrimitives.Divide(result, TensorPrimitives.Sum<float>(result), result);
        return result;
    }

    /// <summary>Logarithms of the probabilities of a row.</summary>
    internal static void LogSoftmax(Span<float> logits)
    {
        var largest = TensorPrimitives.Max<float>(logits);
        var sum = 0.0;
        foreach (var x in logits) sum += Math.Exp(x - largest);
        TensorPrimitives.Subtract(logits, (float)(largest + Math.Log(sum)), logits);
    }

    private static void Force(Span<float> logits, int id)
    {
        logits.Fill(float.NegativeInfinity);
        logits[id] = 0;
    }
}
