using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Benchmarks;

/// <summary>The baseline: a BERT classifier as people write it with TorchSharp, from its own modules, trained by its own AdamW. Its step takes as long as PyTorch's eager one.</summary>
internal sealed class EagerEncoder : nn.Module<Tensor, Tensor>
{
    private readonly Embedding words, positions;
    private readonly TorchSharp.Modules.LayerNorm norm;
    private readonly Dropout dropout;
    private readonly ModuleList<Layer> layers;
    private readonly TorchSharp.Modules.Linear pooler, classifier;

    public EagerEncoder(StepShape shape) : base(nameof(EagerEncoder))
    {
        (words, positions) = (nn.Embedding(shape.Vocabulary, shape.Width), nn.Embedding(512, shape.Width));
        (norm, dropout) = (nn.LayerNorm(shape.Width), nn.Dropout(0.1));
        layers = nn.ModuleList([.. Enumerable.Range(0, shape.Layers).Select(_ => new Layer(shape))]);
        (pooler, classifier) = (nn.Linear(shape.Width, shape.Width), nn.Linear(shape.Width, shape.Classes));
        RegisterComponents();
    }

    public override Tensor forward(Tensor ids)
    {
        var x = dropout.forward(norm.forward(words.forward(ids) + positions.forward(arange(ids.size(1)))));
        foreach (var layer in layers) x = layer.forward(x);
        return classifier.forward(dropout.forward(pooler.forward(x.select(1, 0)).tanh()));
    }

    private sealed class Layer : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Linear query, key, value, output, up, down;
        private readonly TorchSharp.Modules.LayerNorm first, second;
        private readonly Dropout dropout;
        private readonly StepShape _shape;

        public Layer(StepShape shape) : base(nameof(Layer))
        {
            _shape = shape;
            (query, key, value, output) = (nn.Linear(shape.Width, shape.Width), nn.Linear(shape.Width, shape.Width), nn.Linear(shape.Width, shape.Width), nn.Linear(shape.Width, shape.Width));
            (up, down) = (nn.Linear(shape.Width, 4 * shape.Width), nn.Linear(4 * shape.Width, shape.Width));
            (first, second, dropout) = (nn.LayerNorm(shape.Width), nn.LayerNorm(shape.Width), nn.Dropout(0.1));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            Tensor Split(Tensor t) => t.view(t.size(0), t.size(1), _shape.Heads, -1).transpose(1, 2);
            var read = F.scaled_dot_product_attention(Split(query.forward(x)), Split(key.forward(x)), Split(value.forward(x))).transpose(1, 2).reshape(x.shape);
            x = first.forward(x + dropout.forward(output.forward(read)));
            return second.forward(x + dropout.forward(down.forward(F.gelu(up.forward(x)))));
        }
    }
}
