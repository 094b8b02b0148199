using NotebookKit.Data;

namespace NotebookKit.Baselines;

/// <summary>TF-IDF with logistic regression: the rival that a finetuned model must beat. Immutable once fitted; thread-safe.</summary>
public sealed class TfidfClassifier
{
    private readonly TfidfVectorizer _vectorizer;
    private readonly LogisticRegression _regression;
    private readonly LabelSet _labels;

    private TfidfClassifier(TfidfVectorizer vectorizer, LogisticRegression regression, LabelSet labels) => (_vectorizer, _regression, _labels) = (vectorizer, regression, labels);

    /// <summary>Fits vocabulary and weights on training examples.</summary>
    public static TfidfClassifier Fit(TextDataset train, LogisticRegressionSettings? settings = null)
    {
        var vectorizer = TfidfVectorizer.Fit(train.Texts);
        return new TfidfClassifier(vectorizer, LogisticRegression.Fit(vectorizer.Transform(train.Texts), train.LabelIds(), train.Labels.Count, settings), train.Labels);
    }

    /// <summary>The most probable class id of every text.</summary>
    public int[] Predict(IReadOnlyList<string> texts) => _regression.Predict(_vectorizer.Transform(texts));

    /// <summary>Probability of every class for every text.</summary>
    public double[][] PredictProbabilities(IReadOnlyList<string> texts) => _regression.PredictProbabilities(_vectorizer.Transform(texts));

    /// <summary>The terms that speak most for a class.</summary>
    public IReadOnlyList<string> TopTerms(string label, int count = 10)
    {
        var (terms, id) = (_vectorizer.Terms, _labels.IndexOf(label));
        return [.. Enumerable.Range(0, terms.Count).OrderByDescending(f => _regression.Weight(f, id)).Take(count).Select(f => terms[f])];
    }
}

/// <summary>Answers the commonest class, whatever the text: the floor of every comparison.</summary>
public sealed class MajorityClassifier
{
    private MajorityClassifier(int label) => Label = label;

    /// <summary>Id of the commonest class; of several, the first.</summary>
    public int Label { get; }

    /// <summary>Counts the classes of training examples.</summary>
    public static MajorityClassifier Fit(TextDataset train)
    {
        var counts = train.CountByLabel();
        return new MajorityClassifier(Array.IndexOf(counts, counts.Max()));
    }

    /// <summary>The same class for every text.</summary>
    public int[] Predict(IReadOnlyList<string> texts) => [.. Enumerable.Repeat(Label, texts.Count)];
}
