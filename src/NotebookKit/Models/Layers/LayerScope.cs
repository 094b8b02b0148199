using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Frees a layer's intermediate tensors as soon as it is done: without gradients they are gone, with gradients autograd keeps those it needs.</summary>
internal static class LayerScope
{
    /// <summary>The next hidden states; those before are freed, too.</summary>
    public static Tensor Next(Tensor x, Func<Tensor, Tensor> layer)
    {
        Tensor next;
        using (NewDisposeScope()) next = layer(x).MoveToOuterDisposeScope();
        if (!ReferenceEquals(next, x)) x.Dispose();
        return next;
    }
}
