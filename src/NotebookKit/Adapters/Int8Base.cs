using NotebookKit.Models.Adapting;
using NotebookKit.Models;
using NotebookKit.Models.Layers;

namespace NotebookKit.Adapters;

/// <summary>
/// Holds a frozen base in int8 while an adapter is trained beside it: the idea of QLoRA (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314), with eight bits and a factor per output, on a CPU. Matrices take a quarter of
/// the memory of fp32; embeddings, norms, biases and the head stay as they are.
/// </summary>
public static class Int8Base
{
    /// <summary>Rounds the network's matrices for good. The model can be used and an adapter trained on it; the model itself can no longer be trained, merged into or saved.</summary>
    /// <param name="model">The model. Put the adapter beside it afterwards.</param>
    /// <returns>Bytes that are free now.</returns>
    /// <exception cref="InvalidOperationException">An adapter takes part already, or the matrices are in int8.</exception>
    public static long Hold(LanguageModel model)
    {
        if (model.Adapter is not null) throw new InvalidOperationException("An adapter takes part already: hold the base in int8 first, then put the adapter beside it.");
        if (model.IsInInt8) throw new InvalidOperationException("The base is held in int8 already.");
        var prefix = model.BasePrefix;
        var layers = model.named_modules().Where(m => m.module is IAdaptable { Kind: not LayerKind.Table } && m.name.StartsWith(prefix, StringComparison.Ordinal)).Select(m => (IAdaptable)m.module).Distinct().ToArray();
        var before = layers.Sum(l => l.Weight.numel() * l.Weight.element_size());
        foreach (var layer in layers) layer.HoldInInt8();
        return before - layers.Sum(l => l.Int8!.Bytes);
    }
}
