using static TorchSharp.torch;

namespace NotebookKit.Models.Layers;

/// <summary>Runs the layers of a network one after the other. One instance per model; not thread-safe.</summary>
internal sealed class LayerStack(DropoutMask dropout)
{
    /// <summary>Whether a layer keeps its input alone and is computed again for the backward pass.</summary>
    public bool Recomputes { get; set; }

    /// <summary>What went wrong in a backward pass; an exception there would end the process, since libtorch calls it.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The next hidden states. Intermediate tensors are freed as soon as the layer is done: without gradients they are gone, with gradients autograd keeps those it needs.</summary>
    public Tensor Next(Tensor x, Func<Tensor, Tensor> layer)
    {
        Tensor next;
        if (Recomputes && x.requires_grad && is_grad_enabled()) next = Recomputed.apply(x, layer, dropout, this);
        else
            using (NewDisposeScope()) next = layer(x).MoveToOuterDisposeScope();
        if (!ReferenceEquals(next, x)) x.Dispose();
        return next;
    }

    /// <summary>Activation checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174): forward without a graph; backward computes the layer once more, under the same dropout masks, and goes back through it.</summary>
    private sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
    {
        public override string Name => nameof(Recomputed);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var (x, layer, dropout) = ((Tensor)vars[0], (Func<Tensor, Tensor>)vars[1], (DropoutMask)vars[2]);
            ctx.save_for_backward([x]);
            ctx.save_data("layer", layer);
            ctx.save_data("dropout", dropout);
            ctx.save_data("stack", vars[3]);
            ctx.save_data("masks", dropout.State);
            using var noGradient = no_grad();
            using var scope = NewDisposeScope();
            return layer(x).MoveToOuterDisposeScope();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            var (layer, dropout) = ((Func<Tensor, Tensor>)ctx.get_data("layer"), (DropoutMask)ctx.get_data("dropout"));
            var (after, saved) = (dropout.State, ctx.get_saved_variables()[0]);
            dropout.State = (IReadOnlyList<ulong>)ctx.get_data("masks");
            try { return [Again(saved, layer, grad_output), null!, null!, null!]; }
            catch (Exception e)
            {
                ((LayerStack)ctx.get_data("stack")).Failure = e;
                return [zeros_like(saved), null!, null!, null!];
            }
            finally { dropout.State = after; }
        }

        private static Tensor Again(Tensor saved, Func<Tensor, Tensor> layer, Tensor grad_output)
        {
            using var gradient = enable_grad();
            using var scope = NewDisposeScope();
            var x = saved.detach().requires_grad_(true);
            autograd.backward(layer(x), grad_output, retain_graph: true);      // layers may share a part, such as a position bias, whose graph the others need yet
            return x.grad!.MoveToOuterDisposeScope();
        }
    }
}
