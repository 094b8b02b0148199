using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookKit.Models.Encoders;

/// <summary>The shape of a BERT encoder, as <c>config.json</c> gives it; absent fields mean the architecture's own defaults (BERT-base).</summary>
public sealed record BertConfig
{
    /// <summary>Number of token ids. Default 30,522.</summary>
    public int VocabularySize { get; init; } = 30522;

    /// <summary>Width D of the hidden states. Default 768.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Number of layers. Default 12.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>Attention heads H; divides <see cref="HiddenSize"/>. Default 12.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Width of the feed-forward layer. Default 3,072.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Longest sequence in tokens. Default 512.</summary>
    public int MaximumPositions { get; init; } = 512;

    /// <summary>Number of segment ids. Default 2.</summary>
    public int TokenTypes { get; init; } = 2;

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
    /// <exception cref="InvalidDataException">It is malformed, of another architecture, or its numbers do not fit together.</exception>
    public static BertConfig Load(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path)) throw new FileNotFoundException($"No config.json in '{folder}'. A model folder holds config.json, tokenizer.json and model.safetensors.", path);
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllText(path));
            var root = json.RootElement;
            var type = root.TryGetProperty("model_type", out var t) ? t.GetString() : null;
            if (type != "bert") throw new InvalidDataException($"'{path}' has model_type '{type}'; this version of the kit reads 'bert'.");
            if (root.TryGetProperty("hidden_act", out var activation) && activation.GetString() != "gelu")
                throw new InvalidDataException($"'{path}' has hidden_act '{activation.GetString()}'; this version of the kit reads 'gelu'.");
            var d = new BertConfig();
            int Int(string name, int fallback) => root.TryGetProperty(name, out var v) ? v.GetInt32() : fallback;
            double Real(string name, double fallback) => root.TryGetProperty(name, out var v) ? v.GetDouble() : fallback;
            var config = new BertConfig
            {
                VocabularySize = Int("vocab_size", d.VocabularySize), HiddenSize = Int("hidden_size", d.HiddenSize), Layers = Int("num_hidden_layers", d.Layers),
                Heads = Int("num_attention_heads", d.Heads), IntermediateSize = Int("intermediate_size", d.IntermediateSize),
                MaximumPositions = Int("max_position_embeddings", d.MaximumPositions), TokenTypes = Int("type_vocab_size", d.TokenTypes),
                LayerNormEpsilon = Real("layer_norm_eps", d.LayerNormEpsilon), HiddenDropout = Real("hidden_dropout_prob", d.HiddenDropout),
                AttentionDropout = Real("attention_probs_dropout_prob", d.AttentionDropout), InitializerRange = Real("initializer_range", d.InitializerRange),
                ClassifierPooling = root.TryGetProperty("classifier_pooling", out var pooling) && pooling.GetString() == "mean" ? Pooling.Mean : Pooling.Pooler,
            };
            if (config.Heads < 1 || config.HiddenSize % config.Heads != 0)
                throw new InvalidDataException($"'{path}': hidden_size {config.HiddenSize} is not a multiple of num_attention_heads {config.Heads}.");
            return config;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"'{path}' is not a usable config.json: {e.Message}", e);
        }
    }

    /// <summary>The configuration as the reference writes it.</summary>
    /// <param name="architecture">Class name in the reference implementation, such as <c>BertForMaskedLM</c>.</param>
    /// <param name="labels">Class names of a classification head, in id order.</param>
    public JsonObject ToJson(string architecture, IReadOnlyList<string>? labels = null)
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(architecture), ["model_type"] = "bert", ["hidden_act"] = "gelu",
            ["vocab_size"] = VocabularySize, ["hidden_size"] = HiddenSize, ["num_hidden_layers"] = Layers, ["num_attention_heads"] = Heads,
            ["intermediate_size"] = IntermediateSize, ["max_position_embeddings"] = MaximumPositions, ["type_vocab_size"] = TokenTypes,
            ["layer_norm_eps"] = LayerNormEpsilon, ["hidden_dropout_prob"] = HiddenDropout, ["attention_probs_dropout_prob"] = AttentionDropout,
            ["initializer_range"] = InitializerRange, ["pad_token_id"] = 0, ["position_embedding_type"] = "absolute",
        };
        if (ClassifierPooling == Pooling.Mean) json["classifier_pooling"] = "mean";
        if (labels is not null)
        {
            json["id2label"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(i.ToString(System.Globalization.CultureInfo.InvariantCulture), (JsonNode?)l)));
            json["label2id"] = new JsonObject(labels.Select((l, i) => KeyValuePair.Create(l, (JsonNode?)i)));
        }
        return json;
    }
}

/// <summary>How a sequence of hidden states becomes one vector.</summary>
public enum Pooling
{
    /// <summary>The first token through BERT's pooler (a linear layer and tanh).</summary>
    Pooler,
    /// <summary>The mean over the tokens that are not padding, as sentence encoders do.</summary>
    Mean,
}
