namespace NotebookKit.Data;

/// <summary>A batch of token ids as plain arrays: no tensor is made before the step that uses it.</summary>
/// <param name="Ids">Row-major (B, T), padded on the right.</param>
/// <param name="Length">T: the longest row.</param>
/// <param name="RowLengths">Tokens of each row, B in all.</param>
/// <param name="Labels">Class index of each row, or <c>null</c>.</param>
public sealed record Batch(long[] Ids, int Length, int[] RowLengths, long[]? Labels)
{
    /// <summary>Which examples of the dataset the rows are, or <c>null</c>.</summary>
    public IReadOnlyList<int>? Examples { get; init; }

    /// <summary>B.</summary>
    public int Rows => RowLengths.Length;

    /// <summary>Some rows of a dataset, padded to the longest of them.</summary>
    /// <param name="window">Which rows.</param>
    /// <param name="rows">Token ids of all.</param>
    /// <param name="labels">Class indices of all.</param>
    /// <param name="padId">Id that fills up.</param>
    public static Batch Of(IReadOnlyList<int> window, IReadOnlyList<int[]> rows, IReadOnlyList<int> labels, int padId) => Pad([.. window.Select(i => rows[i])], padId, [.. window.Select(i => (long)labels[i])]) with { Examples = window };

    /// <summary>Pads rows to the longest of them.</summary>
    /// <param name="rows">Token ids, at least one row, none empty.</param>
    /// <param name="padId">Id that fills up.</param>
    /// <param name="labels">One per row, or <c>null</c>.</param>
    public static Batch Pad(IReadOnlyList<int[]> rows, int padId, long[]? labels = null)
    {
        if (rows.Count == 0) throw new ArgumentException("A batch needs at least one row.", nameof(rows));
        if (labels is not null && labels.Length != rows.Count)
            throw new ArgumentException($"A batch of {rows.Count} rows needs as many labels; got {labels.Length}.", nameof(labels));
        var length = rows.Max(r => r.Length);
        var ids = new long[rows.Count * length];
        Array.Fill(ids, padId);
        for (var row = 0; row < rows.Count; row++)
            for (var t = 0; t < rows[row].Length; t++) ids[row * length + t] = rows[row][t];
        return new Batch(ids, length, [.. rows.Select(r => r.Length)], labels);
    }
}
