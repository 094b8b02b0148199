using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.EncoderDecoders;

// T5 v1.0 and v1.1 (Raffel et al. 2020, https://arxiv.org/abs/1910.10683): RMS norms before the blocks, no biases, unscaled scores plus a bias
// per head and bucket of distance, which the first layer of each stack holds for all. v1.0 has relu and a tied output matrix that reads
// hidden states scaled by D^-½; v1.1 has a gated gelu and an output matrix of its own.
//
//   stack layer: x = x + SelfAttention(norm(x)) [; x = x + EncDecAttention(norm(x), memory)]; x = x + DenseReluDense(norm(x))
//
// B batch, S source tokens, T target tokens, H heads, d head width, D width, V vocabulary.

/// <summary>T5 with the language-model head.</summary>
public sealed class T5 : EncoderDecoderModel
{
    private readonly Embedding shared;
    private readonly Stack encoder, decoder;
    private readonly Linear? lm_head;
    private readonly double _scale;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public T5(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(T5), config, head, build)
    {
        Width = config.Int("d_model", 512);
        build.Deviation = 0.05 * config.Real("initializer_factor", 1);
        shared = new Embedding(build, config.Int("vocab_size", 32128), Width);
        var layers = config.Int("num_layers", 6);
        encoder = new Stack(config, Width, layers, isDecoder: false, build);
        decoder = new Stack(config, Width, config.Int("num_decoder_layers", layers), isDecoder: true, build);
        var tied = config.Flag("tie_word_embeddings", true);
        if (!tied) lm_head = new Linear(build, Width, config.Int("vocab_size", 32128), hasBias: false);
        _scale = config.Flag("scale_decoder_outputs", tied) ? Math.Pow(Width, -0.5) : 1;
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions => int.MaxValue;

    /// <inheritdoc/>
    public override string BasePrefix => "";

    internal override IReadOnlyList<(string Here, string There)> Aliases => [("shared.", "encoder.embed_tokens."), ("shared.", "decoder.embed_tokens."), .. lm_head is null ? new[] { ("shared.", "lm_head.") } : []];

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs)
    {
        var x = shared.forward(inputs.Ids);
        return encoder.forward(Drop(x, Config.Real("dropout_rate", 0.1)), inputs.Bias, 0, null, null, null);
    }

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs target, Tensor memory, EncoderInputs source, KeyValueCache? cache = null)
    {
        var x = shared.forward(target.Ids);
        return decoder.forward(Drop(x, Config.Real("dropout_rate", 0.1)), target.Bias(), target.Past, memory, source.Bias, cache);
    }

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden)
    {
        if (_scale != 1) hidden = hidden * _scale;
        return lm_head?.forward(hidden) ?? F.linear(hidden, shared.weight);
    }

    private sealed class Stack : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly ModuleList<Block> block;
        private readonly RmsNorm final_layer_norm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Stack(ConfigJson config, int width, int layers, bool isDecoder, ModelBuilder build) : base(nameof(Stack))
        {
            _stack = build.Layers;
            (_dropout, _p) = (build.Dropout, config.Real("dropout_rate", 0.1));
            block = nn.ModuleList(Enumerable.Range(0, layers).Select(i => new Block(config, width, i, isDecoder, build)).ToArray());
            final_layer_norm = new RmsNorm(build, width, config.Real("layer_norm_epsilon", 1e-6));
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, long past, Tensor? memory, Tensor? memoryBias, KeyValueCache? cache)
        {
            var positions = block[0].PositionBias(x.size(1), past + x.size(1));                                 // (1, H, T, past + T)
            bias = bias is null ? positions : positions + bias;
            foreach (var b in block) x = _stack.Next(x, h => b.forward(h, bias, memory, memoryBias, cache));
            x = final_layer_norm.forward(x);
            return training ? _dropout.Apply(x, _p) : x;
        }
    }

    private sealed class Block : nn.Module
    {
        private readonly ModuleList<nn.Module> layer;
        private readonly SelfAttentionLayer _self;
        private readonly CrossAttentionLayer? _cross;
        private readonly FeedForwardLayer _feed;

        public Block(ConfigJson config, int width, int index, bool isDecoder, ModelBuilder build) : base(nameof(Block))
        {
            _self = new SelfAttentionLayer(config, width, index, isDecoder, build);
            _cross = isDecoder ? new CrossAttentionLayer(config, width, index, build) : null;
            _feed = new FeedForwardLayer(config, width, build);
            layer = _cross is null ? nn.ModuleList<nn.Module>(_self, _feed) : nn.ModuleList<nn.Module>(_self, _cross, _feed);
            register_module(nameof(layer), layer);
        }

        public Tensor PositionBias(long queries, long keys) => _self.SelfAttention.PositionBias(queries, keys);

        public Tensor forward(Tensor x, Tensor bias, Tensor? memory, Tensor? memoryBias, KeyValueCache? cache)
        {
            x = _self.forward(x, bias, cache);
            if (_cross is not null) x = _cross.forward(x, memory!, memoryBias, cache);
            return _feed.forward(x);
        }
    }

    private sealed class SelfAttentionLayer : nn.Module
    {
        public readonly AttentionBlock SelfAttention;
        private readonly RmsNorm layer_norm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public SelfAttentionLayer(ConfigJson config, int width, int index, bool isDecoder, ModelBuilder build) : base(nameof(SelfAttentionLayer))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout_rate", 0.1));
            SelfAttention = new AttentionBlock(config, width, index, isDecoder, hasPositions: index == 0, build);
            layer_norm = new RmsNorm(build, width, config.Real("layer_norm_epsilon", 1e-6));
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor bias, KeyValueCache? cache) =>
            _dropout.AddResidual(x, SelfAttention.Self(layer_norm.forward(x), bias, cache), training ? _p : 0);
    }

    private sealed class CrossAttentionLayer : nn.Module
    {
        private readonly AttentionBlock EncDecAttention;
        private readonly RmsNorm layer_norm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public CrossAttentionLayer(ConfigJson config, int width, int index, ModelBuilder build) : base(nameof(CrossAttentionLayer))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout_rate", 0.1));
            EncDecAttention = new AttentionBlock(config, width, index, isDecoder: true, hasPositions: false, build);
            layer_norm = new RmsNorm(build, width, config.Real("layer_norm_epsilon", 1e-6));
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor memory, Tensor? bias, KeyValueCache? cache) =>
            _dropout.AddResidual(x, EncDecAttention.Cross(layer_norm.forward(x), memory, bias, cache), training ? _p : 0);
    }

    private sealed class AttentionBlock : nn.Module
    {
        private readonly Linear q, k, v, o;
        private readonly Embedding? relative_attention_bias;
        private readonly int _heads, _index, _buckets, _maximumDistance;
        private readonly bool _isDecoder;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public AttentionBlock(ConfigJson config, int width, int index, bool isDecoder, bool hasPositions, ModelBuilder build) : base(nameof(AttentionBlock))
        {
            (_heads, _index, _isDecoder, _dropout, _p) = (config.Int("num_heads", 8), index, isDecoder, build.Dropout, config.Real("dropout_rate", 0.1));
            (_buckets, _maximumDistance) = (config.Int("relative_attention_num_buckets", 32), config.Int("relative_attention_max_distance", 128));
            var inner = _heads * config.Int("d_kv", 64);
            q = new Linear(build, width, inner, hasBias: false);
            k = new Linear(build, width, inner, hasBias: false);
            v = new Linear(build, width, inner, hasBias: false);
            o = new Linear(build, inner, width, hasBias: false);
            relative_attention_bias = hasPositions ? new Embedding(build, _buckets, _heads) : null;
            RegisterComponents();
        }

        public Tensor PositionBias(long queries, long keys) =>
            relative_attention_bias!.forward(RelativeBuckets.Of(queries, keys, !_isDecoder, _buckets, _maximumDistance)).permute(2, 0, 1).unsqueeze(0);   // (1, H, Tq, Tk)

        public Tensor Self(Tensor x, Tensor bias, KeyValueCache? cache)
        {
            var (keys, values) = (Attention.Split(k.forward(x), _heads), Attention.Split(v.forward(x), _heads));
            if (cache is not null) (keys, values) = cache.Append(_index, keys, values);
            return Read(x, keys, values, bias);
        }

        public Tensor Cross(Tensor x, Tensor memory, Tensor? bias, KeyValueCache? cache)
        {
            (Tensor, Tensor) Pair() => (Attention.Split(k.forward(memory), _heads), Attention.Split(v.forward(memory), _heads));
            var (keys, values) = cache?.Cross(_index, Pair) ?? Pair();
            return Read(x, keys, values, bias);
        }

        private Tensor Read(Tensor x, Tensor keys, Tensor values, Tensor? bias) =>
            o.forward(Attention.Attend(Attention.Split(q.forward(x), _heads), keys, values, bias, 1, training ? w => _dropout.Apply(w, _p) : null));
    }

    private sealed class FeedForwardLayer : nn.Module
    {
        private readonly Dense DenseReluDense;
        private readonly RmsNorm layer_norm;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public FeedForwardLayer(ConfigJson config, int width, ModelBuilder build) : base(nameof(FeedForwardLayer))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout_rate", 0.1));
            DenseReluDense = new Dense(config, width, build);
            layer_norm = new RmsNorm(build, width, config.Real("layer_norm_epsilon", 1e-6));
            RegisterComponents();
        }

        public Tensor forward(Tensor x) => _dropout.AddResidual(x, DenseReluDense.forward(layer_norm.forward(x)), training ? _p : 0);
    }

    private sealed class Dense : nn.Module
    {
        private readonly Linear? wi, wi_0, wi_1;
        private readonly Linear wo;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Dense(ConfigJson config, int width, ModelBuilder build) : base(nameof(Dense))
        {
            (_dropout, _p) = (build.Dropout, config.Real("dropout_rate", 0.1));
            var kind = config.Text("feed_forward_proj", "relu");
            var gated = kind.StartsWith("gated-", StringComparison.Ordinal);
            var inner = config.Int("d_ff", 2048);
            // "gated-gelu" has always meant the tanh approximation.
            _activation = kind == "gated-gelu" ? Activation.Named("gelu_new") : Activation.Of(config, "dense_act_fn", gated ? kind[6..] : kind);
            if (gated) (wi_0, wi_1) = (new Linear(build, width, inner, hasBias: false), new Linear(build, width, inner, hasBias: false));
            else wi = new Linear(build, width, inner, hasBias: false);
            wo = new Linear(build, inner, width, hasBias: false);
            RegisterComponents();
        }

        public Tensor forward(Tensor x)
        {
            x = wi is not null ? _activation(wi.forward(x)) : _activation(wi_0!.forward(x)) * wi_1!.forward(x);   // (B, T, F)
            return wo.forward(training ? _dropout.Apply(x, _p) : x);
        }
    }
}
