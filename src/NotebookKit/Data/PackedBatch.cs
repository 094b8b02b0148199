namespace NotebookKit.Data;

/// <summary>
/// Rows that hold several documents one after the other, for training a language model with little padding. No document sees another: positions begin anew, and
/// <see cref="Documents"/> says which tokens belong together. (Without that, packing mixes what has nothing to do with each other: Krell et al. 2021, https://arxiv.org/abs/2107.02027.)
/// </summary>
/// <param name="Ids">Row-major (B, T).</param>
/// <param name="Positions">(B, T): place in the document, from 0.</param>
/// <param name="Documents">(B, T): number of the document within its row, from 1; 0 is padding.</param>
/// <param name="Targets">(B, T): the token that follows in the document; <see cref="NoTarget"/> at its last token, at padding, and where nothing is to be learned.</param>
/// <param name="Rows">B.</param>
/// <param name="Length">T.</param>
public sealed record PackedBatch(long[] Ids, long[] Positions, long[] Documents, long[] Targets, int Rows, int Length)
{
    /// <summary>A place without a loss.</summary>
    public const long NoTarget = -100;

    /// <summary>Places that have a loss.</summary>
    public int TargetCount => Targets.Count(t => t != NoTarget);

    /// <summary>Puts documents into as few rows as it can: longest first, each into the row that it fills best (best-fit decreasing). Every document stands in exactly one row.</summary>
    /// <param name="lengths">Tokens of each document, each at least 1.</param>
    /// <param name="capacity">Most tokens of a row.</param>
    /// <returns>Documents of each row.</returns>
    /// <exception cref="ArgumentException">A document is empty or does not fit.</exception>
    public static int[][] Plan(IReadOnlyList<int> lengths, int capacity)
    {
        var wrong = Enumerable.Range(0, lengths.Count).FirstOrDefault(i => lengths[i] < 1 || lengths[i] > capacity, -1);
        if (wrong >= 0) throw new ArgumentException($"Documents of 1 to {capacity} tokens can be packed; document {wrong} has {lengths[wrong]}. Cut it first.", nameof(lengths));
        var rows = new List<List<int>>();
        var byRoom = new SortedSet<(int Room, int Row)>();
        foreach (var document in Enumerable.Range(0, lengths.Count).OrderByDescending(i => lengths[i]))
        {
            var fit = byRoom.GetViewBetween((lengths[document], 0), (capacity, int.MaxValue)).Min;
            if (fit == default)
            {
                fit = (capacity, rows.Count);
                rows.Add([]);
            }
            else byRoom.Remove(fit);
            rows[fit.Row].Add(document);
            if (fit.Room > lengths[document]) byRoom.Add((fit.Room - lengths[document], fit.Row));
        }
        return [.. rows.Select(r => r.ToArray())];
    }

    /// <summary>Makes a batch of rows that <see cref="Plan"/> gave.</summary>
    /// <param name="documents">Token ids of all documents.</param>
    /// <param name="rows">Documents of each row of this batch.</param>
    /// <param name="padId">Id that fills up.</param>
    /// <param name="learned">For each document, whether each of its tokens is to be learned as what follows, such as an answer and not its question; <c>null</c> learns all.</param>
    public static PackedBatch Pack(IReadOnlyList<int[]> documents, IReadOnlyList<int[]> rows, int padId, IReadOnlyList<bool[]>? learned = null)
    {
        if (rows.Count == 0 || rows.Any(r => r.Length == 0)) throw new ArgumentException("A packed batch needs at least one row, and each at least one document.", nameof(rows));
        var length = rows.Max(r => r.Sum(d => documents[d].Length));
        var (ids, positions, numbers, targets) = (new long[rows.Count * length], new long[rows.Count * length], new long[rows.Count * length], new long[rows.Count * length]);
        Array.Fill(ids, padId);
        Array.Fill(targets, NoTarget);
        for (var row = 0; row < rows.Count; row++)
        {
            var at = row * length;
            for (var n = 0; n < rows[row].Length; n++)
            {
                var (document, mask) = (documents[rows[row][n]], learned?[rows[row][n]]);
                if (mask is not null && mask.Length != document.Length) throw new ArgumentException($"Document {rows[row][n]} has {document.Length} tokens; what is learned of it is given for {mask.Length}.", nameof(learned));
                for (var t = 0; t < document.Length; t++, at++)
                {
                    (ids[at], positions[at], numbers[at]) = (document[t], t, n + 1);
                    if (t + 1 < document.Length && mask?[t + 1] != false) targets[at] = document[t + 1];
                }
            }
        }
        return new PackedBatch(ids, positions, numbers, targets, rows.Count, length);
    }

    /// <summary>Checks what most often goes wrong: that each target is the document's next token, that padding has none, and that the end token is learned.</summary>
    /// <param name="endId">The end token; documents that end in it must learn it. <c>null</c> does not look.</param>
    /// <exception cref="InvalidOperationException">What is wrong, and where.</exception>
    public void Check(int? endId)
    {
        for (var row = 0; row < Rows; row++)
            for (var t = 0; t < Length; t++)
            {
                var at = row * Length + t;
                var follows = t + 1 < Length && Documents[at + 1] == Documents[at] && Documents[at] != 0;
                if (Targets[at] != NoTarget && !follows)
                    throw new InvalidOperationException($"Row {row}, place {t}: {(Documents[at] == 0 ? "padding" : "the last token of a document")} has the target {Targets[at]}; it must have none.");
                if (Targets[at] != NoTarget && Targets[at] != Ids[at + 1])
                    throw new InvalidOperationException($"Row {row}, place {t}: the target is {Targets[at]}, the next token {Ids[at + 1]}: labels do not line up.");
                var ends = follows && (t + 2 >= Length || Documents[at + 2] != Documents[at]);
                if (endId is { } end && ends && Ids[at + 1] == end && Targets[at] == NoTarget)
                    throw new InvalidOperationException($"Row {row}, place {t}: the end token {end} that follows has no loss, so that the model would not learn to stop. Mark it as learned; is the padding token the end token?");
            }
    }
}
