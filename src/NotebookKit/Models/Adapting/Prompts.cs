using NotebookKit.Models.Layers;
using static TorchSharp.torch;

namespace NotebookKit.Models.Adapting;

/// <summary>Places of an adapter's prompt in a sequence: they have the ids -1, -2, … that no token has.</summary>
internal static class Prompts
{
    /// <summary>(rows, n) int64.</summary>
    public static Tensor Ids(long rows, long n) => (-1 - arange(n, dtype: ScalarType.Int64)).unsqueeze(0).expand(rows, -1);
}
