using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Embedding = NotebookKit.Models.Layers.Embedding;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Decoders;

// GPT-2 (Radford et al. 2019): learned positions, norms before the blocks, linear layers whose weights lie (in, out).
//
//   x = x + c_proj Attention(ln_1(x));   x = x + c_proj gelu(c_fc ln_2(x))
//
// B batch, T tokens, H heads, D width, V vocabulary.

/// <summary>GPT-2, with the language-model head or a classifier on the last token.</summary>
public sealed class Gpt2 : DecoderModel
{
    private readonly Body transformer;
    private readonly Linear? score;
    private Linear? lm_head;

    /// <summary>The network as a configuration describes it; a <see cref="ModelBuilder.Initialise"/> or a checkpoint fills it.</summary>
    public Gpt2(ConfigJson config, HeadSettings head, ModelBuilder build) : base(nameof(Gpt2), config, head, build)
    {
        Width = config.Int(["n_embd", "hidden_size"], 768);
        MaximumPositions = config.Int(["n_positions", "max_position_embeddings"], 1024);
        build.Deviation = config.Real("initializer_range", 0.02);
        config.CheckHeads("n_embd", Width, "n_head", config.Int(["n_head", "num_attention_heads"], 12));
        transformer = new Body(config, Width, MaximumPositions, build);
        if (head.Head == ModelHead.CausalLM && !config.Flag("tie_word_embeddings", true)) lm_head = new Linear(build, Width, config.Int("vocab_size", 50257), hasBias: false);
        if (head.Classifies) score = new Linear(build, Width, head.Labels, hasBias: false);
        RegisterComponents();
    }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int MaximumPositions { get; }

    /// <inheritdoc/>
    public override string BasePrefix => "transformer.";

    internal override IReadOnlyList<(string Here, string There)> Aliases => Head.Head == ModelHead.CausalLM && lm_head is null ? [("transformer.wte.", "lm_head.")] : [];

    /// <inheritdoc/>
    public override Tensor Decode(DecoderInputs inputs, KeyValueCache? cache = null) => transformer.forward(inputs, cache);

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden) => (score ?? lm_head)?.forward(hidden) ?? F.linear(hidden, transformer.wte.weight);

    internal override void Untie() => lm_head ??= Untied("lm_head", transformer.wte.weight);

    internal override DecoderPlan? Plan()
    {
        if (Head.Head != ModelHead.CausalLM) return null;
        var head = lm_head is null ? new MatrixPlan(transformer.wte.weight, null) : lm_head.Plan;
        var heads = Config.Int(["n_head", "num_attention_heads"], 12);
        return head is null ? null : transformer.Plan(head, heads, Width / heads, Config.Int("n_inner", 4 * Width), Config.Text("activation_function", "gelu_new"));
    }

    private sealed class Body : nn.Module
    {
        private readonly LayerStack _stack;
        public readonly Embedding wte;
        private readonly Embedding wpe;
        private readonly ModuleList<Block> h;
        private readonly LayerNorm ln_f;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public Body(ConfigJson config, int width, int positions, ModelBuilder build) : base(nameof(Body))
        {
            _stack = build.Layers;
            (_dropout, _p) = (build.Dropout, config.Real("embd_pdrop", 0.1));
            wte = new Embedding(build, config.Int("vocab_size", 50257), width);
            wpe = new Embedding(build, positions, width);
            h = nn.ModuleList(Enumerable.Range(0, config.Int(["n_layer", "num_hidden_layers"], 12)).Select(i => new Block(config, width, i, build)).ToArray());
            ln_f = new LayerNorm(build, width, config.Real("layer_norm_epsilon", 1e-5));
            RegisterComponents();
        }

        public DecoderPlan? Plan(MatrixPlan head, int heads, int headWidth, int inner, string activation)
        {
            var layers = h.Select(b => b.Plan()).ToArray();
            return layers.Contains(null) ? null : new DecoderPlan(wte.weight, wpe.weight, null, layers!, ln_f.Plan, head, heads, heads, headWidth, inner, false, activation);
        }

        public Tensor forward(DecoderInputs inputs, KeyValueCache? cache)
        {
            var x = wte.forward(inputs.Ids) + wpe.forward(inputs.Positions);                                    // (B, T, D)
            if (training) x = _dropout.Apply(x, _p);
            var bias = inputs.Bias();
            foreach (var block in h) x = _stack.Next(x, y => block.forward(y, bias, cache));
            return ln_f.forward(x);
        }
    }

    private sealed class Block : nn.Module
    {
        private readonly LayerNorm ln_1, ln_2;
        private readonly SelfAttention attn;
        private readonly FeedForward mlp;

        public Block(ConfigJson config, int width, int index, ModelBuilder build) : base(nameof(Block))
        {
            var epsilon = config.Real("layer_norm_epsilon", 1e-5);
            ln_1 = new LayerNorm(build, width, epsilon);
            attn = new SelfAttention(config, width, index, build);
            ln_2 = new LayerNorm(build, width, epsilon);
            mlp = new FeedForward(config, width, build);
            RegisterComponents();
        }

        public LayerPlan? Plan() => attn.Plan is (var into, var back, var scale) && mlp.Plan is (var up, var down) ? new LayerPlan(ln_1.Plan, [into], null, null, back, ln_2.Plan, [up], down, 0, false, scale) : null;

        public Tensor forward(Tensor x, Tensor? bias, KeyValueCache? cache)
        {
            x = x + attn.forward(ln_1.forward(x), bias, cache);
            return x + mlp.forward(ln_2.forward(x));
        }
    }

    private sealed class SelfAttention : nn.Module
    {
        private readonly Conv1D c_attn, c_proj;
        private readonly int _heads, _index;
        private readonly double _scale, _attention, _residual;
        private readonly DropoutMask _dropout;

        public SelfAttention(ConfigJson config, int width, int index, ModelBuilder build) : base(nameof(SelfAttention))
        {
            (_heads, _index, _dropout) = (config.Int(["n_head", "num_attention_heads"], 12), index, build.Dropout);
            (_attention, _residual) = (config.Real("attn_pdrop", 0.1), config.Real("resid_pdrop", 0.1));
            _scale = (config.Flag("scale_attn_weights", true) ? 1 / Math.Sqrt((double)width / _heads) : 1)
                / (config.Flag("scale_attn_by_inverse_layer_idx", false) ? index + 1 : 1);
            c_attn = new Conv1D(build, width, 3 * width);
            c_proj = new Conv1D(build, width, width);
            RegisterComponents();
        }

        public (MatrixPlan In, MatrixPlan Out, double Scale)? Plan => c_attn.Plan is { } into && c_proj.Plan is { } back ? (into, back, _scale) : null;

        public Tensor forward(Tensor x, Tensor? bias, KeyValueCache? cache)
        {
            var parts = c_attn.forward(x).chunk(3, -1);
            var q = Attention.Split(parts[0], _heads);                                                          // (B, H, T, d)
            var (k, v) = (Attention.Split(parts[1], _heads), Attention.Split(parts[2], _heads));
            if (cache is not null) (k, v) = cache.Append(_index, k, v);
            var read = c_proj.forward(Attention.Attend(q, k, v, bias, _scale, training ? w => _dropout.Apply(w, _attention) : null));
            return training ? _dropout.Apply(read, _residual) : read;
        }
    }

    private sealed class FeedForward : nn.Module
    {
        private readonly Conv1D c_fc, c_proj;
        private readonly Func<Tensor, Tensor> _activation;
        private readonly DropoutMask _dropout;
        private readonly double _p;

        public FeedForward(ConfigJson config, int width, ModelBuilder build) : base(nameof(FeedForward))
        {
            (_activation, _dropout, _p) = (Activation.Of(config, "activation_function", "gelu_new"), build.Dropout, config.Real("resid_pdrop", 0.1));
            var inner = config.Int("n_inner", 4 * width);
            c_fc = new Conv1D(build, width, inner);
            c_proj = new Conv1D(build, inner, width);
            RegisterComponents();
        }

        public (MatrixPlan Up, MatrixPlan Down)? Plan => c_fc.Plan is { } up && c_proj.Plan is { } down ? (up, down) : null;

        public Tensor forward(Tensor x)
        {
            x = c_proj.forward(_activation(c_fc.forward(x)));
            return training ? _dropout.Apply(x, _p) : x;
        }
    }
}
