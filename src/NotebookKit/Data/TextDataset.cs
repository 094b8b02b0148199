using System.Collections;
using Microsoft.Data.Analysis;

namespace NotebookKit.Data;

/// <summary>Labelled texts in a fixed order. Immutable and thread-safe.</summary>
public sealed class TextDataset : IReadOnlyList<Example>
{
    private readonly Example[] _examples;

    /// <summary>Examples under a name.</summary>
    /// <param name="name">Shown in reports and errors.</param>
    /// <param name="examples">At least one; texts must not be empty.</param>
    /// <param name="labels">Classes of the task; <c>null</c> takes those that stand in the examples.</param>
    /// <exception cref="InvalidDataException">A text is empty or a label unknown; the message names the example.</exception>
    public TextDataset(string name, IEnumerable<Example> examples, LabelSet? labels = null)
    {
        Name = name;
        _examples = [.. examples];
        if (_examples.Length == 0) throw new InvalidDataException($"Dataset '{name}' has no examples.");
        for (var i = 0; i < _examples.Length; i++)
            if (string.IsNullOrWhiteSpace(_examples[i].Text))
                throw new InvalidDataException($"Dataset '{name}': example {i + 1} (label '{_examples[i].Label}') has an empty text.");
        Labels = labels ?? LabelSet.From(_examples);
        for (var i = 0; i < _examples.Length; i++)
            if (!Labels.Contains(_examples[i].Label))
                throw new InvalidDataException($"Dataset '{name}': example {i + 1} ('{Shorten(_examples[i].Text)}') has the label '{_examples[i].Label}', "
                    + $"which is not one of the {Labels.Count} known labels. Correct the label, or give a LabelSet that has it.");
    }

    /// <summary>Name, for reports and errors.</summary>
    public string Name { get; }

    /// <summary>Classes of the task; some may have no example here.</summary>
    public LabelSet Labels { get; }

    /// <inheritdoc/>
    public int Count => _examples.Length;

    /// <inheritdoc/>
    public Example this[int index] => _examples[index];

    /// <summary>The texts in order.</summary>
    public IReadOnlyList<string> Texts => Array.ConvertAll(_examples, e => e.Text);

    /// <summary>Class id of every example.</summary>
    public int[] LabelIds() => Array.ConvertAll(_examples, e => Labels.IndexOf(e.Label));

    /// <summary>Number of examples per class, in id order.</summary>
    public int[] CountByLabel()
    {
        var counts = new int[Labels.Count];
        foreach (var id in LabelIds()) counts[id]++;
        return counts;
    }

    /// <summary>A dataset of the same task with some of the examples.</summary>
    public TextDataset With(string name, IEnumerable<Example> examples) => new(name, examples, Labels);

    /// <summary>Draws <paramref name="n"/> examples of every class without replacement.</summary>
    /// <param name="n">At least 1.</param>
    /// <param name="seed">Same seed, same draw.</param>
    /// <param name="orAll">Whether a class that has fewer gives all it has.</param>
    /// <exception cref="InvalidDataException">A class has fewer, and <paramref name="orAll"/> is not set.</exception>
    public TextDataset SamplePerClass(int n, int seed, bool orAll = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var random = new Random(seed);
        var drawn = new List<Example>();
        foreach (var label in Labels.Names)
        {
            var own = _examples.Where(e => e.Label == label).ToArray();
            if (own.Length < n && !orAll) throw new InvalidDataException($"Dataset '{Name}': {n} examples per class were asked for, label '{label}' has {own.Length}.");
            random.Shuffle(own);
            drawn.AddRange(own.Take(n));
        }
        return With($"{Name} ({n} per class)", drawn);
    }

    /// <summary>The examples as a table with the columns <c>text</c>, <c>label</c> and, where any example has one, <c>kind</c>.</summary>
    public DataFrame ToDataFrame()
    {
        var frame = new DataFrame(
            new StringDataFrameColumn("text", _examples.Select(e => e.Text)),
            new StringDataFrameColumn("label", _examples.Select(e => e.Label)));
        if (_examples.Any(e => e.Kind is not null)) frame.Columns.Add(new StringDataFrameColumn("kind", _examples.Select(e => e.Kind)));
        return frame;
    }

    /// <summary>Reads examples from a table.</summary>
    /// <param name="name">Name of the dataset.</param>
    /// <param name="frame">A table with a text and a label column.</param>
    /// <param name="textColumn">Default <c>text</c>.</param>
    /// <param name="labelColumn">Default <c>label</c>.</param>
    /// <param name="labels">Classes of the task; <c>null</c> takes those that stand in the table.</param>
    /// <exception cref="InvalidDataException">A column is missing, or a cell empty.</exception>
    public static TextDataset FromDataFrame(string name, DataFrame frame, string textColumn = "text", string labelColumn = "label", LabelSet? labels = null)
    {
        DataFrameColumn Column(string wanted) => frame.Columns.FirstOrDefault(c => c.Name == wanted)
            ?? throw new InvalidDataException($"Dataset '{name}': the table has no column '{wanted}'. It has {string.Join(", ", frame.Columns.Select(c => $"'{c.Name}'"))}.");
        var (texts, classes) = (Column(textColumn), Column(labelColumn));
        return new TextDataset(name, Enumerable.Range(0, (int)frame.Rows.Count).Select(row => new Example(
            texts[row]?.ToString() ?? "",
            classes[row]?.ToString() ?? throw new InvalidDataException($"Dataset '{name}': row {row + 1} has no value in column '{labelColumn}'."))), labels);
    }

    /// <inheritdoc/>
    public IEnumerator<Example> GetEnumerator() => ((IEnumerable<Example>)_examples).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count:N0} examples, {Labels.Count} classes";

    private static string Shorten(string text) => text.Length <= 60 ? text : text[..57] + "…";
}

/// <summary>A task's three parts, fixed once.</summary>
/// <param name="Name">Name of the task.</param>
/// <param name="Train">What is learnt from.</param>
/// <param name="Validation">What choices are made on (epochs, settings).</param>
/// <param name="Test">What is reported, once.</param>
public sealed record DatasetSplits(string Name, TextDataset Train, TextDataset Validation, TextDataset Test)
{
    /// <summary>Classes of the task.</summary>
    public LabelSet Labels => Train.Labels;
}
