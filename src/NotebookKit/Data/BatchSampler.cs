namespace NotebookKit.Data;

/// <summary>Cuts examples into batches of like length, so that little is padded.</summary>
public static class BatchSampler
{
    /// <summary>
    /// Batches for one epoch of training: examples are shuffled, sorted by length within pools of <paramref name="poolBatches"/> batches,
    /// cut, and the batches shuffled. Every example stands in exactly one batch.
    /// </summary>
    /// <param name="lengths">Tokens of each example.</param>
    /// <param name="batchSize">Examples per batch; the last of a pool may be smaller.</param>
    /// <param name="random">Order of the epoch.</param>
    /// <param name="poolBatches">Larger pads less and mixes less. Default 50.</param>
    public static int[][] Shuffled(IReadOnlyList<int> lengths, int batchSize, Random random, int poolBatches = 50)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var order = Enumerable.Range(0, lengths.Count).ToArray();
        random.Shuffle(order);
        var batches = order.Chunk(batchSize * poolBatches).SelectMany(pool => pool.OrderBy(i => lengths[i]).Chunk(batchSize)).ToArray();
        random.Shuffle(batches);
        return batches;
    }

    /// <summary>Batches for reading everything once, longest first, of about <paramref name="tokens"/> padded tokens each.</summary>
    public static IEnumerable<int[]> ByTokens(IReadOnlyList<int> lengths, int tokens)
    {
        var batch = new List<int>();
        var longest = 0;
        foreach (var i in Enumerable.Range(0, lengths.Count).OrderByDescending(i => lengths[i]))
        {
            if (batch.Count > 0 && (batch.Count + 1) * Math.Max(longest, lengths[i]) > tokens)
            {
                yield return [.. batch];
                batch.Clear();
                longest = 0;
            }
            batch.Add(i);
            longest = Math.Max(longest, lengths[i]);
        }
        if (batch.Count > 0) yield return [.. batch];
    }
}
