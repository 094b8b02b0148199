using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.EncoderDecoders;

// BART (Lewis et al. 2020, https://arxiv.org/abs/1910.13461), mBART (Liu et al. 2020, https://arxiv.org/abs/2001.08210) and Marian
// (Junczys-Dowmunt et al. 2018, the OPUS-MT models).
//
//            positions                norms          norm on embeddings   norm at a stack's end   embeddings × √D
//   bart     learned, from row 2      after blocks   yes                  –                       scale_embedding
//   mbart    learned, from row 2      before blocks  yes                  yes                     scale_embedding
//   marian   sinusoids, computed      after blocks   –                    –                       scale_embedding
//
// The output matrix is the embedding table; final_logits_bias, saved and not trained, is added.
// B batch, S source tokens, T target tokens, H heads, D width, V vocabulary.

/// <summary>BART, mBART or Marian with the language-model head.</summary>
public sealed class Bart : EncoderDecoderModel
{
    private readonly Body model;
    private readonly Linear? lm_head;
    private readonly Tensor final_logits_bias;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Bart(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Bart), config, head, build)
    {
        Width = config.Int("d_model", 1024);
        build.Deviation = config.Real("init_std", 0.02);
        if (!config.Flag("share_encoder_decoder_embeddings", true)) throw config.Wrong("share_encoder_decoder_embeddings", "true");
        foreach (var side in new[] { "encoder", "decoder" })
            config.CheckHeads("d_model", Width, $"{side}_attention_heads", config.Int($"{side}_attention_heads", 16));
        var vocabulary = config.Int("vocab_size", 50265);
        model = new Body(config, Width, vocabulary, build);
        if (!config.Flag("tie_word_embeddings", true)) lm_head = new Linear(build, Width, vocabulary, hasBias: false);
        final_logits_bias = build.Buffer(1, vocabulary);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions => Config.Int("max_position_embeddings", 1024);

    /// <inheritdoc/>
    public override string BasePrefix => "model.";

    internal override IReadOnlyList<(string Here, string There)> Aliases =>
        [("model.shared.", "model.encoder.embed_tokens."), ("model.shared.", "model.decoder.embed_tokens."), .. lm_head is null ? new[] { ("model.shared.", "lm_head.") } : []];

    internal override bool MayBeAbsent(string name) => Config.ModelType == "marian" && name.Contains("embed_positions", StringComparison.Ordinal);

    /// <inheritdoc/>
    public override Tensor Encode(EncoderInputs inputs) => model.Encode(inputs);

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs target, Tensor memory, EncoderInputs source, KeyValueCache? cache = null) => model.Decode(target, memory, source, cache);

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden) => (lm_head?.forward(hidden) ?? F.linear(hidden, model.shared.weight)) + final_logits_bias;

    /// <summary>As the others, but mBART starts with the last token of the labels, which names the language.</summary>
    public override Tensor ShiftRight(Tensor labels)
    {
        if (Config.ModelType != "mbart") return base.ShiftRight(labels);
        using var scope = NewDisposeScope();
        var ids = labels.masked_fill(labels.eq(-100), PadId);
        var last = ids.gather(1, (ids.ne(PadId).sum(1) - 1).clamp_min(0).unsqueeze(1));                         // (B, 1)
        return cat([last, ids.narrow(1, 0, ids.size(1) - 1)], 1).MoveToOuterDisposeScope();
    }

    private sealed class Body : nn.Module
    {
        public readonly Embedding shared;
        private readonly Stack encoder, decoder;

        public Body(ConfigJson config, int width, int vocabulary, ModelBuilder build) : base(nameof(Body))
        {
            shared = new Embedding(build, vocabulary, width, untrainedId: config.Int("pad_token_id"));
            encoder = new Stack(config, width, "encoder", build);
            decoder = new Stack(config, width, "decoder", build);
            RegisterComponents();
        }

        public Tensor Encode(EncoderInputs inputs) => encoder.forward(shared.forward(inputs.Ids), 0, inputs.Bias, null, null, null);

        public Tensor Decode(DecoderInputs target, Tensor memory, EncoderInputs source, KeyValueCache? cache) =>
            decoder.forward(shared.forward(target.Ids), target.Past, target.Bias(), memory, source.Bias, cache);
    }

    private sealed class Stack : nn.Module
    {
        private readonly LayerStack _stack;
        private readonly Table embed_positions;
        private readonly LayerNorm? layernorm_embedding, layer_norm;
        private readonly ModuleList<Layer> layers;
        private readonly int _offset;
        private readonly double _scale, _p;
        private readonly DropoutMask _dropout;

        public Stack(ConfigJson config, int width, string side, ModelBuilder build) : base(nameof(Stack))
        {
            _stack = build.Layers;
            var marian = config.ModelType == "marian";
            (_offset, _dropout, _p) = (marian ? 0 : 2, build.Dropout, config.Real("dropout", 0.1));
            _scale = config.Flag("scale_embedding", false) ? Math.Sqrt(width) : 1;
            embed_positions = new Table(build, config.Int("max_position_embeddings", 1024) + _offset, width, isSinusoidal: marian);
            if (!marian) layernorm_embedding = new LayerNorm(build, width, 1e-5);
            layers = nn.ModuleList(Enumerable.Range(0, config.Int($"{side}_layers", 12)).Select(i => new Layer(config, width, side, i, build)).ToArray());
            if (config.ModelType == "mbart") layer_norm = new LayerNorm(build, width, 1e-5);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, long past, Tensor? bias, Tensor? memory, Tensor? memoryBias, KeyValueCache? cache)
        {
            if (past + x.size(1) > embed_positions.weight.size(0) - _offset)
                throw new ArgumentException($"The model takes at most {embed_positions.weight.size(0) - _offset} tokens on one side; got {past + x.size(1)}.");
            x = (_scale == 1 ? x : x * _scale) + embed_positions.weight.narrow(0, past + _offset, x.size(1));   // (B, T, D)
            if (layernorm_embedding is not null) x = layernorm_embedding.forward(x);
            if (training) x = _dropout.Apply(x, _p);
            foreach (var layer in layers) x = _stack.Next(x, h => layer.forward(h, bias, memory, memoryBias, cache));
            return layer_norm is null ? x : layer_norm.forward(x);
        }
    }

    /// <summary>A table of positions: learned, or Marian's, whose rows are sines in the first half and cosines in the second.</summary>
    private sealed class Table : nn.Module
    {
        public readonly Parameter weight;

        public Table(ModelBuilder build, int rows, int width, bool isSinusoidal) : base(nameof(Table))
        {
            weight = isSinusoidal && !build.OnMeta ? new Parameter(Sinusoids(rows, width).to(build.Type)) : build.Parameter(Fresh.Normal, rows, width);
            RegisterComponents();
            weight.requires_grad = !isSinusoidal;
        }

        private static Tensor Sinusoids(int rows, int width)
        {
            var table = new float[rows * width];
            for (var row = 0; row < rows; row++)
                for (var j = 0; j < width; j++)
                {
                    var half = j < (width + 1) / 2 ? j : j - (width + 1) / 2;
                    var angle = row / Math.Pow(10000, 2.0 * half / width);
                    table[row * width + j] = (float)(j < (width + 1) / 2 ? Math.Sin(angle) : Math.Cos(angle));
                }
            return tensor(table, [rows, width]);
        }
    }

    private sealed class Layer : nn.Module
    {
        private readonly AttentionBlock self_attn;
        private readonly AttentionBlock? encoder_attn;
        private readonly LayerNorm self_attn_layer_norm, final_layer_norm;
        private readonly LayerNorm? encoder_attn_layer_norm;
        private readonly Linear fc1, fc2;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly bool _normFirst;
        private readonly double _p, _inner;
        private readonly DropoutMask _dropout;

        public Layer(ConfigJson config, int width, string side, int index, ModelBuilder build) : base(nameof(Layer))
        {
            (_normFirst, _dropout) = (config.ModelType == "mbart", build.Dropout);
            (_p, _inner) = (config.Real("dropout", 0.1), config.Real("activation_dropout", 0));
            _activation = Activation.Of(config, "activation_function", "gelu");
            var heads = config.Int($"{side}_attention_heads", 16);
            var inner = config.Int($"{side}_ffn_dim", 4096);
            self_attn = new AttentionBlock(config, width, heads, index, build);
            self_attn_layer_norm = new LayerNorm(build, width, 1e-5);
            if (side == "decoder") (encoder_attn, encoder_attn_layer_norm) = (new AttentionBlock(config, width, heads, index, build), new LayerNorm(build, width, 1e-5));
            fc1 = new Linear(build, width, inner);
            fc2 = new Linear(build, inner, width);
            final_layer_norm = new LayerNorm(build, width, 1e-5);
            RegisterComponents();
        }

        public Tensor forward(Tensor x, Tensor? bias, Tensor? memory, Tensor? memoryBias, KeyValueCache? cache)
        {
            x = Around(x, self_attn_layer_norm, n => self_attn.Self(n, bias, cache));
            if (encoder_attn is not null) x = Around(x, encoder_attn_layer_norm!, n => encoder_attn.Cross(n, memory!, memoryBias, cache));
            return Around(x, final_layer_norm, n =>
            {
                n = _activation(fc1.forward(n));                                                                // (B, T, F)
                return fc2.forward(training ? _dropout.Apply(n, _inner) : n);
            });
        }

        private Tensor Around(Tensor x, LayerNorm norm, Func<Tensor, Tensor> block)
        {
            var sum = _dropout.AddResidual(x, block(_normFirst ? norm.forward(x) : x), training ? _p : 0);
            return _normFirst ? sum : norm.forward(sum);
        }
    }

    private sealed class AttentionBlock : nn.Module
    {
        private readonly Linear k_proj, v_proj, q_proj, out_proj;
        private readonly int _heads, _index;
        private readonly double _p;
        private readonly DropoutMask _dropout;

        public AttentionBlock(ConfigJson config, int width, int heads, int index, ModelBuilder build) : base(nameof(AttentionBlock))
        {
            (_heads, _index, _p, _dropout) = (heads, index, config.Real("attention_dropout", 0), build.Dropout);
            k_proj = new Linear(build, width, width);
            v_proj = new Linear(build, width, width);
            q_proj = new Linear(build, width, width);
            out_proj = new Linear(build, width, width);
            RegisterComponents();
        }

        public Tensor Self(Tensor x, Tensor? bias, KeyValueCache? cache)
        {
            var (keys, values) = Pair(x);
            if (cache is not null) (keys, values) = cache.Append(_index, keys, values);
            return Read(x, keys, values, bias);
        }

        public Tensor Cross(Tensor x, Tensor memory, Tensor? bias, KeyValueCache? cache)
        {
            var (keys, values) = cache?.Cross(_index, () => Pair(memory)) ?? Pair(memory);
            return Read(x, keys, values, bias);
        }

        private (Tensor, Tensor) Pair(Tensor x) => (Attention.Split(k_proj.forward(x), _heads), Attention.Split(v_proj.forward(x), _heads));

        private Tensor Read(Tensor x, Tensor keys, Tensor values, Tensor? bias)
        {
            var q = Attention.Split(q_proj.forward(x), _heads);                                                 // (B, H, T, d)
            return out_proj.forward(Attention.Attend(q, keys, values, bias, 1 / Math.Sqrt(q.size(3)), training ? w => _dropout.Apply(w, _p) : null));
        }
    }
}
