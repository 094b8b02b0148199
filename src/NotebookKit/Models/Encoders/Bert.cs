using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Models.Encoders;

// BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), read top to bottom. Field names are the reference's checkpoint keys.
//
//   ids ── embeddings ── layer 0 ── … ── layer L-1 ── hidden (B, T, D)
//                          │
//                          ├─ x = LayerNorm(x + dropout(Attention(x)))
//                          └─ x = LayerNorm(x + dropout(W₂ gelu(W₁ x)))
//
// B batch, T tokens, H heads, D width, d = D / H.

/// <summary>The encoder without a head: token ids to hidden states.</summary>
public sealed class BertModel : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly BertEmbeddings embeddings;
    private readonly BertEncoder encoder;
    private readonly BertPooler? pooler;

    /// <summary>A fresh encoder: weights normal with the configured deviation, biases 0, norms 1.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="dropout">Source of dropout masks; shared by all parts of a model.</param>
    /// <param name="withPooler">Whether the pooler (tanh over the first token) is part of it.</param>
    public BertModel(BertConfig config, DropoutMask dropout, bool withPooler = false) : base(nameof(BertModel))
    {
        Config = config;
        embeddings = new BertEmbeddings(config, dropout);
        encoder = new BertEncoder(config, dropout);
        pooler = withPooler ? new BertPooler(config) : null;
        RegisterComponents();
    }

    /// <summary>The shape.</summary>
    public BertConfig Config { get; }

    /// <summary>The token embedding table (V, D), which a masked-LM head shares.</summary>
    public Parameter WordEmbeddings => embeddings.WordEmbeddings;

    /// <summary>Type of the matrix weights, and so of the attention bias.</summary>
    public ScalarType DataType => encoder.DataType;

    /// <summary>Hidden states of the last layer.</summary>
    /// <param name="ids">(B, T) int64.</param>
    /// <param name="bias">(B, 1, 1, T) added to the attention scores, 0 or a large negative number at padding; <c>null</c> where nothing is padded.</param>
    public override Tensor forward(Tensor ids, Tensor? bias) => Encode(ids, bias, null);

    /// <summary>The same for pairs of texts: <paramref name="segments"/> is (B, T) int64 with the segment of every token; <c>null</c> is segment 0 throughout.</summary>
    public Tensor Encode(Tensor ids, Tensor? bias, Tensor? segments) => encoder.forward(embeddings.forward(ids, segments), bias);

    /// <summary>One vector per sequence. <paramref name="mask"/> is (B, T, 1), 1 at tokens and 0 at padding, in the states' type.</summary>
    public Tensor Pool(Tensor hidden, Tensor mask, Pooling pooling) => pooling switch
    {
        Pooling.Mean => (hidden * mask).sum(1) / mask.sum(1),   // (B, D)
        Pooling.Pooler when pooler is not null => pooler.forward(hidden),
        _ => throw new InvalidOperationException("This encoder was built without a pooler."),
    };

    /// <summary>Matrix weights to bf16; embeddings and norms stay in fp32, where small gradients add up.</summary>
    public void UseBFloat16() => Precision.LinearLayersTo(this, ScalarType.BFloat16);
}

internal sealed class BertEmbeddings : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly Embedding word_embeddings, position_embeddings, token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly BertConfig _config;
    private readonly DropoutMask _dropout;

    public BertEmbeddings(BertConfig config, DropoutMask dropout) : base(nameof(BertEmbeddings))
    {
        (_config, _dropout) = (config, dropout);
        word_embeddings = nn.Embedding(config.VocabularySize, config.HiddenSize);
        position_embeddings = nn.Embedding(config.MaximumPositions, config.HiddenSize);
        token_type_embeddings = nn.Embedding(config.TokenTypes, config.HiddenSize);
        LayerNorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
        foreach (var table in new[] { word_embeddings, position_embeddings, token_type_embeddings }) nn.init.normal_(table.weight, 0, config.InitializerRange);
    }

    public Parameter WordEmbeddings => word_embeddings.weight!;

    public override Tensor forward(Tensor ids, Tensor? segments)
    {
        var length = ids.size(1);
        if (length > _config.MaximumPositions)
            throw new ArgumentException($"The model takes at most {_config.MaximumPositions} tokens; got {length}. Encode with a maximumLength.");
        using var scope = NewDisposeScope();
        var x = word_embeddings.forward(ids)                                       // (B, T, D)
            + position_embeddings.weight!.narrow(0, 0, length)                     // (T, D)
            + (segments is null ? token_type_embeddings.weight![0] : token_type_embeddings.forward(segments));
        x = LayerNorm.forward(x);
        return (training ? _dropout.Apply(x, _config.HiddenDropout) : x).MoveToOuterDisposeScope();
    }
}

internal sealed class BertEncoder : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<BertLayer> layer;

    public BertEncoder(BertConfig config, DropoutMask dropout) : base(nameof(BertEncoder))
    {
        layer = nn.ModuleList(Enumerable.Range(0, config.Layers).Select(_ => new BertLayer(config, dropout)).ToArray());
        RegisterComponents();
    }

    public ScalarType DataType => layer[0].DataType;

    public override Tensor forward(Tensor x, Tensor? bias)
    {
        x = x.to(DataType);
        foreach (var l in layer) x = l.forward(x, bias);
        return x;
    }
}

internal sealed class BertLayer : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly BertAttention attention;
    private readonly BertIntermediate intermediate;
    private readonly BertOutput output;

    public BertLayer(BertConfig config, DropoutMask dropout) : base(nameof(BertLayer))
    {
        attention = new BertAttention(config, dropout);
        intermediate = new BertIntermediate(config);
        output = new BertOutput(config.IntermediateSize, config, dropout);
        RegisterComponents();
    }

    public ScalarType DataType => intermediate.DataType;

    public override Tensor forward(Tensor x, Tensor? bias)
    {
        x = attention.forward(x, bias);
        return output.forward(intermediate.forward(x), x);
    }
}

internal sealed class BertAttention : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly BertSelfAttention self;
    private readonly BertOutput output;

    public BertAttention(BertConfig config, DropoutMask dropout) : base(nameof(BertAttention))
    {
        self = new BertSelfAttention(config, dropout);
        output = new BertOutput(config.HiddenSize, config, dropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor? bias) => output.forward(self.forward(x, bias), x);
}

internal sealed class BertSelfAttention : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly Linear query, key, value;
    private readonly BertConfig _config;
    private readonly DropoutMask _dropout;

    public BertSelfAttention(BertConfig config, DropoutMask dropout) : base(nameof(BertSelfAttention))
    {
        (_config, _dropout) = (config, dropout);
        query = Init.Linear(config.HiddenSize, config.HiddenSize, config.InitializerRange);
        key = Init.Linear(config.HiddenSize, config.HiddenSize, config.InitializerRange);
        value = Init.Linear(config.HiddenSize, config.HiddenSize, config.InitializerRange);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor? bias)
    {
        var (B, T, D, H) = (x.size(0), x.size(1), _config.HiddenSize, _config.Heads);
        Tensor Heads(Linear projection) => projection.forward(x).view(B, T, H, D / H).transpose(1, 2);   // (B, H, T, d)
        using var q = Heads(query) * (1 / Math.Sqrt((double)D / H));
        using var k = Heads(key);
        using var v = Heads(value);
        var scores = q.matmul(k.transpose(-2, -1));                                                      // (B, H, T, T)
        if (bias is not null) scores = scores + bias;
        var weights = scores.softmax(-1);
        if (training) weights = _dropout.Apply(weights, _config.AttentionDropout);
        return weights.matmul(v).transpose(1, 2).reshape(B, T, D);                                       // (B, T, D)
    }
}

internal sealed class BertIntermediate : nn.Module<Tensor, Tensor>
{
    private readonly Linear dense;

    public BertIntermediate(BertConfig config) : base(nameof(BertIntermediate))
    {
        dense = Init.Linear(config.HiddenSize, config.IntermediateSize, config.InitializerRange);
        RegisterComponents();
    }

    public ScalarType DataType => dense.weight!.dtype;

    public override Tensor forward(Tensor x) => F.gelu(dense.forward(x));   // (B, T, 4D)
}

internal sealed class BertOutput : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly BertConfig _config;
    private readonly DropoutMask _dropout;

    public BertOutput(int width, BertConfig config, DropoutMask dropout) : base(nameof(BertOutput))
    {
        (_config, _dropout) = (config, dropout);
        dense = Init.Linear(width, config.HiddenSize, config.InitializerRange);
        LayerNorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor residual) =>
        LayerNorm.forward(_dropout.AddResidual(residual, dense.forward(x), training ? _config.HiddenDropout : 0));
}

internal sealed class BertPooler : nn.Module<Tensor, Tensor>
{
    private readonly Linear dense;

    public BertPooler(BertConfig config) : base(nameof(BertPooler))
    {
        dense = Init.Linear(config.HiddenSize, config.HiddenSize, config.InitializerRange);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dense.forward(hidden.select(1, 0)).tanh();   // (B, D)
}
