using NotebookKit.Models.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using LayerNorm = NotebookKit.Models.Layers.LayerNorm;
using Linear = NotebookKit.Models.Layers.Linear;

namespace NotebookKit.Models.Encoders;

// The heads of the BERT family; DeBERTa, MPNet and others share those that are the same to the key. A tied output matrix is the embedding table.

/// <summary><c>cls</c>: transform, then logits by the embedding table or, untied, by an own matrix.</summary>
internal sealed class BertMaskedLMHead : nn.Module
{
    private readonly Predictions predictions;

    public BertMaskedLMHead(BertConfig config, bool tied, ModelBuilder build) : base(nameof(BertMaskedLMHead))
    {
        predictions = new Predictions(config, tied, build);
        RegisterComponents();
    }

    public Tensor forward(Tensor hidden, Tensor table) => predictions.forward(hidden, table);

    private sealed class Predictions : nn.Module
    {
        private readonly Transform transform;
        private readonly Parameter bias;
        private readonly Linear? decoder;

        public Predictions(BertConfig config, bool tied, ModelBuilder build) : base(nameof(Predictions))
        {
            transform = new Transform(config, build);
            bias = build.Parameter(Fresh.Zeros, config.VocabularySize);
            decoder = tied ? null : new Linear(build, config.HiddenSize, config.VocabularySize);
            RegisterComponents();
        }

        public Tensor forward(Tensor hidden, Tensor table)
        {
            var x = transform.forward(hidden);
            return decoder is not null ? decoder.forward(x) : F.linear(x, table.to(x.dtype), bias.to(x.dtype));   // (…, V)
        }
    }

    private sealed class Transform : nn.Module
    {
        private readonly Linear dense;
        private readonly LayerNorm LayerNorm;
        private readonly Func<Tensor, Tensor> _activation;

        public Transform(BertConfig config, ModelBuilder build) : base(nameof(Transform))
        {
            _activation = Activation.Named(config.Activation);
            dense = new Linear(build, config.HiddenSize, config.EmbeddingSize > 0 ? config.EmbeddingSize : config.HiddenSize);
            LayerNorm = new LayerNorm(build, config.EmbeddingSize > 0 ? config.EmbeddingSize : config.HiddenSize, config.LayerNormEpsilon);
            RegisterComponents();
        }

        public Tensor forward(Tensor hidden) => LayerNorm.forward(_activation(dense.forward(hidden)));
    }
}

/// <summary><c>lm_head</c> of RoBERTa and MPNet.</summary>
internal sealed class RobertaMaskedLMHead : nn.Module
{
    private readonly Linear dense;
    private readonly LayerNorm layer_norm;
    private readonly Parameter bias;
    private readonly Linear? decoder;

    public RobertaMaskedLMHead(BertConfig config, bool tied, ModelBuilder build) : base(nameof(RobertaMaskedLMHead))
    {
        dense = new Linear(build, config.HiddenSize, config.HiddenSize);
        layer_norm = new LayerNorm(build, config.HiddenSize, config.LayerNormEpsilon);
        bias = build.Parameter(Fresh.Zeros, config.VocabularySize);
        decoder = tied ? null : new Linear(build, config.HiddenSize, config.VocabularySize);
        RegisterComponents();
    }

    public Tensor forward(Tensor hidden, Tensor table)
    {
        var x = layer_norm.forward(F.gelu(dense.forward(hidden)));
        return decoder is not null ? decoder.forward(x) : F.linear(x, table.to(x.dtype), bias.to(x.dtype));                                // (…, V)
    }
}

/// <summary>ELECTRA's generator: back to the width of the embeddings.</summary>
internal sealed class ElectraGenerator : nn.Module
{
    private readonly LayerNorm LayerNorm;
    private readonly Linear dense;

    public ElectraGenerator(BertConfig config, ModelBuilder build) : base(nameof(ElectraGenerator))
    {
        var narrow = config.EmbeddingSize > 0 ? config.EmbeddingSize : config.HiddenSize;
        LayerNorm = new LayerNorm(build, narrow, config.LayerNormEpsilon);
        dense = new Linear(build, config.HiddenSize, narrow);
        RegisterComponents();
    }

    public Tensor forward(Tensor hidden) => LayerNorm.forward(F.gelu(dense.forward(hidden)));
}

/// <summary>Logits by the embedding table, with a bias of its own.</summary>
internal sealed class OutputBias : nn.Module
{
    private readonly Parameter bias;

    public OutputBias(ModelBuilder build, long size) : base(nameof(OutputBias))
    {
        bias = build.Parameter(Fresh.Zeros, size);
        RegisterComponents();
    }

    public Tensor forward(Tensor x, Tensor table) => F.linear(x, table.to(x.dtype), bias.to(x.dtype));   // (…, V)
}

/// <summary><c>classifier</c> of RoBERTa, ELECTRA and MPNet: the first token through a linear layer and an activation, then class logits.</summary>
internal sealed class RobertaClassificationHead : nn.Module
{
    private readonly Linear dense;
    public readonly Linear out_proj;
    private readonly Func<Tensor, Tensor> _activation;

    public RobertaClassificationHead(BertConfig config, int labels, ModelBuilder build, Func<Tensor, Tensor> activation) : base(nameof(RobertaClassificationHead))
    {
        _activation = activation;
        dense = new Linear(build, config.HiddenSize, config.HiddenSize);
        out_proj = new Linear(build, config.HiddenSize, labels);
        RegisterComponents();
    }

    public Tensor Features(Tensor first) => _activation(dense.forward(first));                  // (B, D)
}
