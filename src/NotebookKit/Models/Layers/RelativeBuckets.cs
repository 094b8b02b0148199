using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>T5's buckets of relative positions (Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 2.1): one per distance when near, logarithmic when far.</summary>
internal static class RelativeBuckets
{
    /// <summary>Bucket of every pair, (Tq, Tk) int64.</summary>
    /// <param name="queries">Number of queries Tq; they stand at the last places.</param>
    /// <param name="keys">Number of keys Tk.</param>
    /// <param name="bidirectional">Whether keys may lie ahead.</param>
    /// <param name="buckets">How many buckets.</param>
    /// <param name="maximumDistance">From here on all distances share a bucket.</param>
    public static Tensor Of(long queries, long keys, bool bidirectional, int buckets, int maximumDistance)
    {
        var table = new long[queries * keys];
        for (var i = 0L; i < queries; i++)
            for (var j = 0L; j < keys; j++) table[i * keys + j] = Bucket(j - (i + keys - queries), bidirectional, buckets, maximumDistance);
        return tensor(table, [queries, keys]);
    }

    private static long Bucket(long relative, bool bidirectional, int buckets, int maximumDistance)
    {
        var start = 0L;
        if (bidirectional)
        {
            buckets /= 2;
            if (relative > 0) start = buckets;
            relative = Math.Abs(relative);
        }
        else relative = Math.Max(-relative, 0);
        var exact = buckets / 2;
        if (relative < exact) return start + relative;
        // In fp32, as the reference computes it, so that a distance on an edge falls to the same side.
        var far = exact + (long)(MathF.Log((float)relative / exact) / MathF.Log((float)maximumDistance / exact) * (buckets - exact));
        return start + Math.Min(far, buckets - 1);
    }
}
