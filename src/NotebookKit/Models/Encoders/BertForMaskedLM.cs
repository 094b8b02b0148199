using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace NotebookKit.Models.Encoders;

/// <summary>BERT with the masked-language-model head; its output matrix is the embedding table.</summary>
public sealed class BertForMaskedLM : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly BertModel bert;
    private readonly BertMaskedLMHead cls;

    /// <summary>A fresh model.</summary>
    public BertForMaskedLM(BertConfig config, DropoutMask dropout) : base(nameof(BertForMaskedLM))
    {
        bert = new BertModel(config, dropout);
        cls = new BertMaskedLMHead(config);
        RegisterComponents();
    }

    /// <summary>The encoder.</summary>
    public BertModel Encoder => bert;

    /// <summary>Logits over the vocabulary at every place: (B, T, V).</summary>
    public override Tensor forward(Tensor ids, Tensor? bias) => Logits(bert.forward(ids, bias));

    /// <summary>Logits over the vocabulary for hidden states (…, D).</summary>
    public Tensor Logits(Tensor hidden) => cls.forward(hidden, bert.WordEmbeddings);

    /// <summary>Logits (N, V) in fp32 at chosen places only: <paramref name="places"/> is (N) int64, indices into the B·T rows.</summary>
    public Tensor At(Tensor ids, Tensor? bias, Tensor places)
    {
        var hidden = bert.forward(ids, bias);
        return Logits(hidden.view(-1, bert.Config.HiddenSize).index_select(0, places)).to(ScalarType.Float32);
    }

    /// <summary>Matrix weights to bf16; embeddings and norms stay in fp32.</summary>
    public void UseBFloat16() => Precision.LinearLayersTo(this, ScalarType.BFloat16);
}

internal sealed class BertMaskedLMHead : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Predictions predictions;

    public BertMaskedLMHead(BertConfig config) : base(nameof(BertMaskedLMHead))
    {
        predictions = new Predictions(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor table) => predictions.forward(hidden, table);

    private sealed class Predictions : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Transform transform;
        private readonly Parameter bias;

        public Predictions(BertConfig config) : base(nameof(Predictions))
        {
            transform = new Transform(config);
            bias = new Parameter(zeros(config.VocabularySize));
            RegisterComponents();
        }

        public override Tensor forward(Tensor hidden, Tensor table)
        {
            var x = transform.forward(hidden);
            return F.linear(x, table.to(x.dtype), bias.to(x.dtype));   // (…, V)
        }
    }

    private sealed class Transform : nn.Module<Tensor, Tensor>
    {
        private readonly Linear dense;
        private readonly LayerNorm LayerNorm;

        public Transform(BertConfig config) : base(nameof(Transform))
        {
            dense = Init.Linear(config.HiddenSize, config.HiddenSize, config.InitializerRange);
            LayerNorm = nn.LayerNorm(config.HiddenSize, config.LayerNormEpsilon);
            RegisterComponents();
        }

        public override Tensor forward(Tensor hidden) => LayerNorm.forward(F.gelu(dense.forward(hidden)));
    }
}
