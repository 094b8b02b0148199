using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// DistilBERT (Sanh et al. 2019, https://arxiv.org/abs/1910.01108): BERT's layers without segments and pooler, under names of its own.
// B batch, T tokens, H heads, D width, V vocabulary.

/// <summary>DistilBERT with any encoder head.</summary>
public sealed class DistilBert : EncoderModel
{
    private readonly Body distilbert;
    private readonly Linear? pre_classifier, classifier, vocab_transform;
    private readonly LayerNorm? vocab_layer_norm;
    private readonly OutputBias? vocab_projector;
    private readonly Func<Tensor, Tensor> _activation;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public DistilBert(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(DistilBert), config, head, build)
    {
        Width = config.Int("dim", 768);
        MaximumPositions = config.Int("max_position_embeddings", 512);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("dim", Width, "n_heads", config.Int("n_heads", 12));
        _activation = Activation.Of(config, "activation", "gelu");
        distilbert = new Body(config, Width, build);
        if (head is { Head: ModelHead.SequenceClassification, Pooling: Pooling.Pooler }) pre_classifier = new Linear(build, Width, Width);
        if (head.Classifies) classifier = new Linear(build, Width, head.Labels);
        if (head.Head == ModelHead.MaskedLM)
        {
            vocab_transform = new Linear(build, Width, Width);
            vocab_layer_norm = new LayerNorm(build, Width, 1e-12);
            vocab_projector = new OutputBias(build, config.Int("vocab_size", 30522));
        }
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "distilbert.";

    internal override IReadOnlyList<(string Here, string There)> Aliases => Head.Head == ModelHead.MaskedLM ? [("distilbert.embeddings.word_embeddings.", "vocab_projector.")] : [];

    private protected override double ClassifierDropout => Head.Head == ModelHead.TokenClassification ? Config.Real("dropout", 0.1) : Config.Real("seq_classif_dropout", 0.2);

    private protected override Linear? Output => classifier;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return distilbert.forward(inputs.Ids, inputs.Bias);
    }

    private protected override bool CanShorten => true;

    private protected override Tensor EncodeFirst(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return distilbert.forward(inputs.Ids, inputs.Bias, firstOnly: true);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) => F.relu(pre_classifier!.forward(hidden.select(1, 0)));   // (B, D)

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden)
    {
        var x = vocab_layer_norm!.forward(_activation(vocab_transform!.forward(hidden)));
        return vocab_projector!.forward(x, distilbert.WordEmbeddings);                                                                                 // (…, V)
    }

    private sealed class Body : nn.Module
    {
        private readonly Embeddings embeddings;
        private readonly Transformer transformer;

        public Body(ConfigJson config, int width, ModelBuilder build) : base(nameof(Body))
        {
            embeddings = new Embeddings(config, width, build);
            transformer = new Transformer(config, width, build);
            RegisterComponents();
        }

        public Parameter WordEmbeddings => embeddings.word_embeddings.weight;

        public Tensor forward(Tensor ids, Tensor? bias, bool firstOnly = false) => transformer.forward(embeddings.forward(ids), bias, firstOnly);
    }

    private sealed class Embeddings : nn.Module
    {
        public readonly Embedding word_embeddings;
        private readonly Embedding position_embeddings;
        private readonly LayerNorm LayerNorm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Embeddings(ConfigJson config, int width, ModelBuilder build) : base(nameof(Embeddings))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout", 0.1));
            word_embeddings = new Embedding(build, config.Int("vocab_size", 30522), width);
            position_embeddings = new Embedding(build, config.Int("max_position_embeddings", 512), width);
            LayerNorm = new LayerNorm(build, width, 1e-12);
            RegisterComponents();
        }

        public Tensor forward(Tensor ids)
        {
            var x = LayerNorm.forward(word_embeddings.forward(ids) + position_embeddings.weight.narrow(0, 0, ids.size(1)));                            // (B, T, D)
            return training ? _dropout.Apply(x, _p) : x;
        }
    }

    private sealed class Transformer : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly ModuleList<Layer> layer;

        public Transformer(ConfigJson config, int width, ModelBuilder build) : base(nameof(Transformer))
        {
            _stack = build.Layers;
            layer = nn.ModuleList(Enumerable.Range(0, config.Int("n_layers", 6)).Select(_ => new Layer(config, width, build)).ToArray());
            RegisterComponents();
        }

        /// <summary>(B, T, D) to (B, T, D), or to (B, 1, D): the last layer at the first token alone.</summary>
        public Tensor forward(Tensor x, Tensor? bias, bool firstOnly)
        {
            foreach (var l in layer) x = _stack.Next(x, h => l.forward(h, bias, firstOnly && ReferenceEquals(l, layer[^1])));
            return x;
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly SelfAttention attention;
        private readonly LayerNorm sa_layer_norm, output_layer_norm;
        private readonly FeedForward ffn;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Layer(ConfigJson config, int width, ModelBuilder build) : base(nameof(Layer))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout", 0.1));
            attention = new SelfAttention(config, width, build);
            sa_layer_norm = new LayerNorm(build, width, 1e-12);
            ffn = new FeedForward(config, width, build);
            output_layer_norm = new LayerNorm(build, width, 1e-12);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, bool firstOnly)
        {
            var asking = firstOnly ? x.narrow(1, 0, 1) : x;
            x = sa_layer_norm.forward(attention.forward(x, asking, bias) + asking);
            return output_layer_norm.forward(_dropout.AddResidual(x, ffn.forward(x), training ? _p : 0));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Linear q_lin, k_lin, v_lin, out_lin;
        private readonly int _heads;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public SelfAttention(ConfigJson config, int width, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_heads, _dropout, _p) = (config.Int("n_heads", 12), build.Dropout, config.Real("attention_dropout", 0.1));
            q_lin = new Linear(build, width, width);
            k_lin = new Linear(build, width, width);
            v_lin = new Linear(build, width, width);
            out_lin = new Linear(build, width, width);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor asking, Tensor? bias)
        {
            var q = Attention.Split(q_lin.forward(asking), _heads);                                                                                         // (B, H, T, d)
            var (k, v) = (Attention.Split(k_lin.forward(x), _heads), Attention.Split(v_lin.forward(x), _heads));
            return out_lin.forward(Attention.Attend(q, k, v, bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _p) : null));
        }
    }

    private sealed class FeedForward : nn.Module
    {
        private readonly Linear lin1, lin2;
        private readonly Func<Tensor, Tensor> _activation;

        public FeedForward(ConfigJson config, int width, ModelBuilder build) : base(nameof(FeedForward))
        {
            _activation = Activation.Of(config, "activation", "gelu");
            lin1 = new Linear(build, width, config.Int("hidden_dim", 3072));
            lin2 = new Linear(build, config.Int("hidden_dim", 3072), width);
            RegisterComponents();
        }

        public Tensor forward(Tensor x) => lin2.forward(_activation(lin1.forward(x)));
    }
}
