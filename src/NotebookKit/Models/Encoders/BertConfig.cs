using System.Globalization;
using System.Text.Json.Nodes;

namespace NotebookKit.Models.Encoders;

/// <summary>The shape of an encoder of the BERT family, as <c>config.json</c> gives it; absent fields mean the architecture's own defaults (BERT-base).</summary>
public sealed record BertConfig
{
    /// <summary>Which of the family: bert, roberta, xlm-roberta, camembert or electra. Default bert.</summary>
    public string ModelType { get; init; } = "bert";

    /// <summary>Number of token ids. Default 30,522.</summary>
    public int VocabularySize { get; init; } = 30522;

    /// <summary>Width D of the hidden states. Default 768.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Width of the embeddings where it is not D (ELECTRA); 0 is D. Default 0.</summary>
    public int EmbeddingSize { get; init; }

    /// <summary>Number of layers. Default 12.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>Attention heads H; divides <see cref="HiddenSize"/>. Default 12.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Width of the feed-forward layer. Default 3,072.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Rows of the position table; RoBERTa uses two fewer. Default 512.</summary>
    public int MaximumPositions { get; init; } = 512;

    /// <summary>Number of segment ids. Default 2.</summary>
    public int TokenTypes { get; init; } = 2;

    /// <summary>Id of padding, from which RoBERTa counts positions. Default 0.</summary>
    public int PadId { get; init; }

    /// <summary>Activation of the feed-forward layer, by the reference's name. Default gelu.</summary>
    public string Activation { get; init; } = "gelu";

    /// <summary>ε of the layer norms. Default 1e-12.</summary>
    public double LayerNormEpsilon { get; init; } = 1e-12;

    /// <summary>Dropout after embeddings, attention output and feed-forward, in [0, 1). Default 0.1.</summary>
    public double HiddenDropout { get; init; } = 0.1;

    /// <summary>Dropout of attention probabilities, in [0, 1). Default 0.1.</summary>
    public double AttentionDropout { get; init; } = 0.1;

    /// <summary>Standard deviation of fresh weights. Default 0.02.</summary>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>What a classification head reads. Default <see cref="Pooling.Pooler"/>, as the reference's BERT.</summary>
    public Pooling ClassifierPooling { get; init; } = Pooling.Pooler;

    /// <summary>Reads <c>config.json</c> of a model folder.</summary>
    /// <exception cref="FileNotFoundException">The folder has no config.json.</exception>
    /// <exception cref="InvalidDataException">It is malformed, or its numbers do not fit together.</exception>
    public static BertConfig Load(string folder) => Read(ConfigJson.Load(folder));

    /// <summary>Reads the fields of a configuration.</summary>
    public static BertConfig Read(ConfigJson json)
    {
        var d = new BertConfig();
        var type = json.Text("model_type", d.ModelType);
        if (type is not ("bert" or "roberta" or "xlm-roberta" or "camembert" or "electra")) throw json.Wrong("model_type", "bert, roberta, xlm-roberta, camembert or electra");
        _ = NotebookKit.Models.Layers.Activation.Of(json, "hidden_act", d.Activation);
        if (json.Text("position_embedding_type", "absolute") != "absolute") throw json.Wrong("position_embedding_type", "absolute");
        var config = new BertConfig
        {
            ModelType = type, VocabularySize = json.Int("vocab_size", d.VocabularySize), HiddenSize = json.Int("hidden_size", type == "electra" ? 256 : d.HiddenSize),
            EmbeddingSize = json.Int("embedding_size", type == "electra" ? 128 : 0), Layers = json.Int("num_hidden_layers", d.Layers),
            Heads = json.Int("num_attention_heads", type == "electra" ? 4 : d.Heads), IntermediateSize = json.Int("intermediate_size", type == "electra" ? 1024 : d.IntermediateSize),
            MaximumPositions = json.Int("max_position_embeddings", d.MaximumPositions), TokenTypes = json.Int("type_vocab_size", d.TokenTypes),
            PadId = json.Int("pad_token_id", type is "bert" or "electra" ? 0 : 1), Activation = json.Text("hidden_act", d.Activation),
            LayerNormEpsilon = json.Real("layer_norm_eps", d.LayerNormEpsilon), HiddenDropout = json.Real("hidden_dropout_prob", d.HiddenDropout),
            AttentionDropout = json.Real("attention_probs_dropout_prob", d.AttentionDropout), InitializerRange = json.Real("initializer_range", d.InitializerRange),
            ClassifierPooling = json.Text("classifier_pooling", "") == "mean" ? Pooling.Mean : Pooling.Pooler,
        };
        json.CheckHeads("hidden_size", config.HiddenSize, "num_attention_heads", config.Heads);
        return config;
    }

    /// <summary>The configuration as the reference writes it.</summary>
    /// <param name="architecture">Class name in the reference implementation, such as <c>BertForMaskedLM</c>.</param>
    /// <param name="labels">Class names of a classification head, in id order.</param>
    public JsonObject ToJson(string architecture, IReadOnlyList<string>? labels = null)
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(architecture), ["model_type"] = ModelType, ["hidden_act"] = Activation,
            ["vocab_size"] = VocabularySize, ["hidden_size"] = HiddenSize, ["num_hidden_layers"] = Layers, ["num_attention_heads"] = Heads,
            ["intermediate_size"] = IntermediateSize, ["max_position_embeddings"] = MaximumPositions, ["type_vocab_size"] = TokenTypes,
            ["layer_norm_eps"] = LayerNormEpsilon, ["hidden_dropout_prob"] = HiddenDropout, ["attention_probs_dropout_prob"] = AttentionDropout,
            ["initializer_range"] = InitializerRange, ["pad_token_id"] = PadId, ["position_embedding_type"] = "absolute",
        };
        if (EmbeddingSize > 0) json["embedding_size"] = EmbeddingSize;
        if (ClassifierPooling == Pooling.Mean) json["classifier_pooling"] = "mean";
        if (labels is not null)
        {
            json["id2label"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(i.ToString(CultureInfo.InvariantCulture), (JsonNode?)l)));
            json["label2id"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(l, (JsonNode?)i)));
        }
        return json;
    }
}
