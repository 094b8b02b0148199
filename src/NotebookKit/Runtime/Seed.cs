using TorchSharp;

namespace NotebookKit.Runtime;

/// <summary>One call that makes a run repeat bit for bit on one machine with one number of threads.</summary>
public static class Seed
{
    /// <summary>Seeds torch's generators and returns a generator for everything that is drawn outside torch.</summary>
    /// <param name="seed">Any number; the same number gives the same run.</param>
    public static Random Everything(int seed)
    {
        TorchRuntime.EnsureLoaded();
        torch.random.manual_seed(seed);
        return new Random(seed);
    }
}
