using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// DeBERTa v2 and v3 (He et al. 2021, https://arxiv.org/abs/2006.03654 and https://arxiv.org/abs/2111.09543): attention scores are the sum of
// content to content, content to position (c2p) and position to content (p2c), where position is a bucket of the distance.
//
//   score(i, j) = (q_i · k_j  +  q_i · P_k[δ(i, j)]  +  k_j · P_q[δ(j, i)]) / √(3 d)
//
// B batch, T tokens, H heads, D width, S buckets on one side, d = D / H, V vocabulary.

/// <summary>DeBERTa v2 or v3 with any encoder head.</summary>
public sealed class DebertaV2 : EncoderModel
{
    private readonly Body deberta;
    private readonly Pooler? pooler;
    private readonly Linear? classifier;
    private readonly BertMaskedLMHead? cls;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public DebertaV2(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(DebertaV2), config, head, build)
    {
        var shape = new BertConfig
        {
            VocabularySize = config.Int("vocab_size", 128100), HiddenSize = config.Int("hidden_size", 1536), EmbeddingSize = config.Int("embedding_size", 0),
            Layers = config.Int("num_hidden_layers", 24), Heads = config.Int("num_attention_heads", 24), IntermediateSize = config.Int("intermediate_size", 6144),
            MaximumPositions = config.Int("max_position_embeddings", 512), TokenTypes = config.Int("type_vocab_size", 0), LayerNormEpsilon = config.Real("layer_norm_eps", 1e-7),
            Activation = config.Text("hidden_act", "gelu"), HiddenDropout = config.Real("hidden_dropout_prob", 0.1), AttentionDropout = config.Real("attention_probs_dropout_prob", 0.1),
        };
        (Width, MaximumPositions) = (shape.HiddenSize, config.Flag("position_biased_input", true) || !config.Flag("relative_attention", false) ? shape.MaximumPositions : int.MaxValue);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("hidden_size", Width, "num_attention_heads", shape.Heads);
        deberta = new Body(config, shape, build);
        if (head is { Head: ModelHead.SequenceClassification, Pooling: Pooling.Pooler }) pooler = new Pooler(config, Width, build);
        if (head.Classifies) classifier = new Linear(build, Width, head.Labels);
        if (head.Head == ModelHead.MaskedLM) cls = new BertMaskedLMHead(shape, config.Flag("tie_word_embeddings", true), build);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "deberta.";

    internal override IReadOnlyList<(string Here, string There)> Aliases =>
        [("cls.predictions.transform.", "lm_predictions.lm_head."), ("cls.predictions.", "lm_predictions.lm_head.")];

    private protected override double ClassifierDropout => Head.Head == ModelHead.TokenClassification ? Config.Real("hidden_dropout_prob", 0.1)
        : Config.Real("cls_dropout", Config.Real("hidden_dropout_prob", 0.1));

    private protected override Linear? Output => classifier;

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        CheckLength(inputs.Ids);
        return deberta.forward(inputs);
    }

    private protected override Tensor PoolForClassifier(Tensor hidden, EncoderInputs inputs) => pooler!.forward(Drop(hidden.select(1, 0), Config.Real("pooler_dropout", 0)));

    /// <inheritdoc/>
    public override Tensor VocabularyLogits(Tensor hidden) => cls!.forward(hidden, deberta.embeddings.word_embeddings.weight);

    private sealed class Pooler : nn.Module
    {
        private readonly Linear dense;
        private readonly Func<Tensor, Tensor> _activation;

        public Pooler(ConfigJson config, int width, ModelBuilder build) : base(nameof(Pooler))
        {
            _activation = Activation.Of(config, "pooler_hidden_act", "gelu");
            dense = new Linear(build, width, width);
            RegisterComponents();
        }

        public Tensor forward(Tensor first) => _activation(dense.forward(first));                               // (B, D)
    }

    private sealed class Body : nn.Module
    {
        public readonly Embeddings embeddings;
        private readonly Layers encoder;

        public Body(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Body))
        {
            embeddings = new Embeddings(config, shape, build);
            encoder = new Layers(config, shape, build);
            RegisterComponents();
        }

        public Tensor forward(EncoderInputs inputs) => encoder.forward(embeddings.forward(inputs), inputs);
    }

    internal sealed class Embeddings : nn.Module
    {
        public readonly Embedding word_embeddings;
        private readonly Embedding? position_embeddings, token_type_embeddings;
        private readonly Linear? embed_proj;
        private readonly LayerNorm LayerNorm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Embeddings(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Embeddings))
        {
            (_dropout, _p) = (build.Dropout, shape.HiddenDropout);
            var narrow = shape.EmbeddingSize > 0 ? shape.EmbeddingSize : shape.HiddenSize;
            word_embeddings = new Embedding(build, shape.VocabularySize, narrow);
            position_embeddings = config.Flag("position_biased_input", true) ? new Embedding(build, shape.MaximumPositions, narrow) : null;
            token_type_embeddings = shape.TokenTypes > 0 ? new Embedding(build, shape.TokenTypes, narrow) : null;
            embed_proj = narrow != shape.HiddenSize ? new Linear(build, narrow, shape.HiddenSize, hasBias: false) : null;
            LayerNorm = new LayerNorm(build, shape.HiddenSize, shape.LayerNormEpsilon);
            RegisterComponents();
        }

        public Tensor forward(EncoderInputs inputs)
        {
            var x = word_embeddings.forward(inputs.Ids);
            if (position_embeddings is not null) x = x + position_embeddings.weight.narrow(0, 0, inputs.Ids.size(1));
            if (token_type_embeddings is not null) x = x + (inputs.Segments is null ? token_type_embeddings.weight[0] : token_type_embeddings.forward(inputs.Segments));
            if (embed_proj is not null) x = embed_proj.forward(x);
            x = LayerNorm.forward(x) * inputs.Mask.to(x.dtype);                                                 // (B, T, D)
            return training ? _dropout.Apply(x, _p) : x;
        }
    }

    private sealed class Layers : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly ModuleList<Layer> layer;
        private readonly Embedding? rel_embeddings;
        private readonly LayerNorm? LayerNorm;
        private readonly Convolution? conv;
        private readonly int _side, _buckets, _maximum;

        public Layers(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Layers))
        {
            _stack = build.Layers;
            layer = nn.ModuleList(Enumerable.Range(0, shape.Layers).Select(_ => new Layer(config, shape, build)).ToArray());
            if (config.Flag("relative_attention", false))
            {
                _maximum = config.Int("max_relative_positions", -1) is > 0 and var given ? given : shape.MaximumPositions;
                _buckets = config.Int("position_buckets", -1);
                _side = _buckets > 0 ? _buckets : _maximum;
                rel_embeddings = new Embedding(build, 2 * _side, shape.HiddenSize);
            }
            if (config.Text("norm_rel_ebd", "none").Contains("layer_norm", StringComparison.OrdinalIgnoreCase)) LayerNorm = new LayerNorm(build, shape.HiddenSize, shape.LayerNormEpsilon);
            if (config.Int("conv_kernel_size", 0) > 0) conv = new Convolution(config, shape, build);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, EncoderInputs inputs)
        {
            Tensor? places = null, relative = null;
            if (rel_embeddings is not null)
            {
                places = LayerNorm is null ? rel_embeddings.weight : LayerNorm.forward(rel_embeddings.weight);  // (2S, D)
                relative = Distances(x.size(1));                                                                // (T, T)
            }
            var bias = inputs.Bias;
            for (var i = 0; i < layer.Count; i++)
            {
                var at = i;                                                     // a layer that is computed once more still knows its place
                x = _stack.Next(x, h =>
                {
                    var next = layer[at].forward(h, bias, places, relative, _side);
                    return at == 0 && conv is not null ? conv.forward(h, next, inputs.Mask) : next;
                });
            }
            return x;
        }

        /// <summary>i − j for every pair, far ones in logarithmic buckets; in fp32 as the reference computes it.</summary>
        private Tensor Distances(long length)
        {
            var table = new long[length * length];
            for (var i = 0L; i < length; i++)
                for (var j = 0L; j < length; j++) table[i * length + j] = Bucket(i - j);
            return tensor(table, [length, length]);
        }

        private long Bucket(long distance)
        {
            if (_buckets <= 0) return distance;
            var middle = _buckets / 2;
            if (Math.Abs(distance) <= middle) return distance;
            var far = MathF.Ceiling(MathF.Log((float)Math.Abs(distance) / middle) / MathF.Log((_maximum - 1f) / middle) * (middle - 1)) + middle;
            return (long)far * Math.Sign(distance);
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly AttentionBlock attention;
        private readonly BertIntermediate intermediate;
        private readonly BertOutput output;

        public Layer(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Layer))
        {
            attention = new AttentionBlock(config, shape, build);
            intermediate = new BertIntermediate(shape, build);
            output = new BertOutput(shape.IntermediateSize, shape, build);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, Tensor? places, Tensor? relative, int side)
        {
            x = attention.forward(x, bias, places, relative, side);
            return output.forward(intermediate.forward(x), x);
        }
    }

    private sealed class AttentionBlock : nn.Module
    {
        private readonly Disentangled self;
        private readonly BertOutput output;

        public AttentionBlock(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(AttentionBlock))
        {
            self = new Disentangled(config, shape, build);
            output = new BertOutput(shape.HiddenSize, shape, build);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, Tensor? places, Tensor? relative, int side) => output.forward(self.forward(x, bias, places, relative, side), x);
    }

    private sealed class Disentangled : nn.Module
    {
        private readonly Linear query_proj, key_proj, value_proj;
        private readonly Linear? pos_key_proj, pos_query_proj;
        private readonly bool _c2p, _p2c, _shared;
        private readonly int _heads;
        private readonly BertConfig _shape;
        private readonly DropoutMask _dropout;

        public Disentangled(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Disentangled))
        {
            (_heads, _shape, _dropout) = (shape.Heads, shape, build.Dropout);
            var kinds = config.Json["pos_att_type"] is System.Text.Json.Nodes.JsonValue ? config.Text("pos_att_type", "").Split('|') : config.Texts("pos_att_type") ?? [];
            (_c2p, _p2c, _shared) = (kinds.Contains("c2p"), kinds.Contains("p2c"), config.Flag("share_att_key", false));
            query_proj = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            key_proj = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            value_proj = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            if (!_shared && config.Flag("relative_attention", false))
            {
                if (_c2p) pos_key_proj = new Linear(build, shape.HiddenSize, shape.HiddenSize);
                if (_p2c) pos_query_proj = new Linear(build, shape.HiddenSize, shape.HiddenSize);
            }
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, Tensor? places, Tensor? relative, int side)
        {
            var q = Attention.Split(query_proj.forward(x), _heads);                                             // (B, H, T, d)
            var (k, v) = (Attention.Split(key_proj.forward(x), _heads), Attention.Split(value_proj.forward(x), _heads));
            var scale = 1 / Math.Sqrt(q.size(3) * (1 + (_c2p ? 1 : 0) + (_p2c ? 1 : 0)));
            var (B, H, T) = (q.size(0), q.size(1), q.size(2));
            Tensor? position = null;
            if (places is not null && relative is not null)
            {
                if (training) places = _dropout.Apply(places, _shape.HiddenDropout);
                Tensor Heads(Linear projection) => Attention.Split(projection.forward(places.unsqueeze(0)), _heads);   // (1, H, 2S, d)
                Tensor Pick(Tensor scores, Tensor distance) =>                                                         // (B, H, T, 2S) → (B, H, T, T)
                    scores.gather(3, (distance + side).clamp(0, 2 * side - 1).unsqueeze(0).unsqueeze(0).expand(B, H, T, T));
                if (_c2p) position = Pick(q.matmul(Heads(_shared ? key_proj : pos_key_proj!).transpose(-2, -1)), relative) * scale;
                if (_p2c)
                {
                    var p2c = Pick(k.matmul(Heads(_shared ? query_proj : pos_query_proj!).transpose(-2, -1)), -relative).transpose(-2, -1) * scale;
                    position = position is null ? p2c : position + p2c;
                }
            }
            if (bias is not null) position = position is null ? bias : position + bias;
            return Attention.Attend(q, k, v, position, scale, training ? w => _dropout.Apply(w, _shape.AttentionDropout) : null);
        }
    }

    /// <summary>The convolution beside layer 0 that the larger v2 models have.</summary>
    private sealed class Convolution : nn.Module
    {
        private readonly Kernel conv;
        private readonly LayerNorm LayerNorm;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Convolution(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Convolution))
        {
            (_activation, _dropout, _p) = (Activation.Of(config, "conv_act", "tanh"), build.Dropout, shape.HiddenDropout);
            conv = new Kernel(config, shape, build);
            LayerNorm = new LayerNorm(build, shape.HiddenSize, shape.LayerNormEpsilon);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor residual, Tensor mask)
        {
            mask = mask.to(x.dtype);
            var y = conv.forward(x.transpose(1, 2)).transpose(1, 2) * mask;                                     // (B, T, D)
            y = _activation(training ? _dropout.Apply(y, _p) : y);
            return LayerNorm.forward(residual + y) * mask;
        }
    }

    private sealed class Kernel : nn.Module
    {
        private readonly Parameter weight, bias;
        private readonly int _size, _groups;

        public Kernel(ConfigJson config, BertConfig shape, ModelBuilder build) : base(nameof(Kernel))
        {
            (_size, _groups) = (config.Int("conv_kernel_size"), config.Int("conv_groups", 1));
            weight = build.Parameter(Fresh.Normal, shape.HiddenSize, shape.HiddenSize / _groups, _size);
            bias = build.Parameter(Fresh.Zeros, shape.HiddenSize);
            RegisterComponents();
        }

        public Tensor forward(Tensor x) => F.conv1d(x, weight, bias, padding: (_size - 1) / 2, groups: _groups);
    }
}
