using NotebookKit.Models;

namespace NotebookKit.Cards;

/// <summary>The numbers of a network that its costs follow from.</summary>
/// <param name="Layers">Layers of all stacks.</param>
/// <param name="CrossLayers">Of these, layers that also attend to another sequence.</param>
/// <param name="Width">D.</param>
/// <param name="Heads">Query heads H.</param>
/// <param name="HeadWidth">d.</param>
/// <param name="Groups">Key/value heads.</param>
/// <param name="Inner">Width of the feed-forward layer.</param>
/// <param name="Gated">Whether the feed-forward layer has a gate.</param>
/// <param name="Vocabulary">V.</param>
/// <param name="VocabularyHead">Whether logits over the vocabulary come out at every place.</param>
internal sealed record NetworkShape(int Layers, int CrossLayers, int Width, int Heads, int HeadWidth, int Groups, int Inner, bool Gated, int Vocabulary, bool VocabularyHead)
{
    public static NetworkShape Of(LanguageModel model)
    {
        var c = model.Config;
        var heads = c.Int(["num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads"], 12);
        var layers = c.Int(["num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers"], 12);
        var decoder = model is EncoderDecoderModel ? c.Int(["num_decoder_layers", "decoder_layers"], layers) : 0;
        if (model is EncoderDecoderModel && c.Has("encoder_layers")) layers = c.Int("encoder_layers");
        return new NetworkShape(layers + decoder, decoder, model.Width, heads, c.Int(["head_dim", "d_kv"], model.Width / heads), c.Int("num_key_value_heads", heads),
            c.Int(["intermediate_size", "hidden_dim", "n_inner", "d_ff", "encoder_ffn_dim"], 4 * model.Width),
            c.ModelType is "llama" or "mistral" or "qwen2" or "qwen3" or "smollm3" or "phi3" or "gemma3_text" or "modernbert" || c.Text("feed_forward_proj", "").StartsWith("gated", StringComparison.Ordinal),
            c.Int("vocab_size"), model.Head.Head is ModelHead.CausalLM or ModelHead.MaskedLM or ModelHead.SequenceToSequenceLM);
    }

    public string Describe() => $"{Layers} layers × {Width}, {Heads} heads" + (Groups == Heads ? "" : $" ({Groups} for keys and values)");

    /// <summary>Two for every weight of a matrix product, and the scores of attention (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1).</summary>
    public double FlopsPerToken(LanguageModel model, int length)
    {
        var matrices = model.Parameters().Where(p => p.Parameter.dim() >= 2 && !IsTable(p.Name)).Sum(p => (double)p.Parameter.numel());
        if (model.Config.ModelType == "albert") matrices *= Layers;                       // shared weights are used once a layer
        if (VocabularyHead && !model.Parameters().Any(p => p.Name is "lm_head.weight")) matrices += (double)Vocabulary * Width;
        return 2 * matrices + (Layers + CrossLayers) * 4.0 * length * Heads * HeadWidth;
    }

    private static bool IsTable(string name) =>
        name.Contains("embed", StringComparison.OrdinalIgnoreCase) && !name.Contains("embeddings_project", StringComparison.Ordinal) && !name.Contains("embed_proj", StringComparison.Ordinal)
        || name.Contains("wte", StringComparison.Ordinal) || name.Contains("wpe", StringComparison.Ordinal) || name.Contains("shared.", StringComparison.Ordinal);
}

/// <summary>Estimated bytes of memory beyond what the process and libtorch take.</summary>
/// <param name="Load">To hold the weights.</param>
/// <param name="Infer">To answer one batch without gradients.</param>
/// <param name="Finetune">To train all weights with AdamW: weights, gradients, two moments, and what the backward pass needs.</param>
/// <param name="Lora">To train LoRA matrices on all linear layers: weights, the small matrices with gradients and moments, and what the backward pass needs.</param>
public sealed record MemoryEstimate(double Load, double Infer, double Finetune, double Lora)
{
    /// <summary>Numbers (4 bytes) at the peak for every token: for each layer D·<paramref name="Width"/> + F·<paramref name="Inner"/> + H·T·<paramref name="Scores"/>, then
    /// V·<paramref name="Vocabulary"/> and D·<paramref name="Rest"/> once.</summary>
    private readonly record struct PerToken(double Width, double Inner, double Scores, double Vocabulary, double Rest)
    {
        public double Of(NetworkShape s, int layers, int length) =>
            layers * (Width * s.Width + Inner * s.Inner + Scores * s.Heads * length) + (s.VocabularyHead ? Vocabulary * s.Vocabulary : 0) + Rest * s.Width;
    }

    /// <summary>Peaks of resident memory while training and while answering, with an allocator that gives back what is freed, measured on six shapes per family and fitted
    /// by least squares of relative errors (none above 6 %). With the default allocator peaks vary from run to run and were seen up to 70 % higher. MemoryTests measures other shapes.</summary>
    private static (PerToken Training, PerToken Answering) Family(string type) => type switch
    {
        "distilbert" => (new(7.0, 2.3, 3.2, 0, 2), new(13.5, 1.3, 0.9, 0, 0)),
        "modernbert" => (new(6.8, 4.3, 1.2, 0, 2), new(22, 2.8, 1.5, 0, 0)),
        "deberta-v2" => (new(17.6, 1.9, 4.9, 0, 2), new(16.1, 0.9, 7.7, 0, 0)),
        "gpt2" => (new(5.9, 3.5, 2.9, 6.1, 2), new(9.4, 4, 1.1, 1.5, 0)),
        "llama" or "mistral" or "qwen2" or "qwen3" or "smollm3" or "phi3" or "gemma3_text" or "gpt_neox" => (new(3.5, 3.4, 0.8, 6.4, 2), new(4.5, 0, 0.1, 3, 0)),
        "t5" => (new(13.2, 2.6, 4.5, 5.6, 4), new(14, 1.8, 1, 1.3, 0)),
        "bart" or "mbart" or "marian" => (new(9.9, 1.6, 1.4, 6.6, 4), new(6.7, 0.4, 0.1, 2.9, 0)),
        _ => (new(7.5, 2.3, 3.2, 6.2, 2), new(12.1, 1.5, 1, 2.5, 0)),
    };

    /// <summary>A last layer of which one position is read keeps its keys and values alone.</summary>
    private static double Training(LanguageModel model, NetworkShape s, PerToken numbers, int length) =>
        model is EncoderModel { HasShortLastLayer: true } ? numbers.Of(s, s.Layers - 1, length) + 2 * s.Width : numbers.Of(s, s.Layers, length);

    internal static MemoryEstimate Of(LanguageModel model, NetworkShape s, CostSettings costs)
    {
        const double Float = 4;
        var (training, answering) = Family(model.Config.ModelType);
        double weights = model.Parameters().Sum(p => (double)p.Parameter.numel()), tokens = (double)costs.Batch * costs.Length;
        var (kept, alive) = (tokens * Training(model, s, training, costs.Length) * Float, tokens * answering.Of(s, 1, costs.Length) * Float);
        double queries = s.HeadWidth * s.Heads, pairs = s.HeadWidth * s.Groups;
        var low = costs.LoraRank * (s.Layers * (2 * (s.Width + queries) + 2 * (s.Width + pairs) + (s.Gated ? 3 : 2) * (double)(s.Width + s.Inner)) + s.CrossLayers * 4 * (s.Width + queries));
        var held = weights * costs.BytesPerWeight;
        // The gradients of all weights are not there yet while the most is kept for the backward pass, so that what was fitted beside three times the weights is beside two.
        return new MemoryEstimate(held, held + alive, held + 3 * weights * Float + kept, held + 4 * low * Float + weights * Float + kept);
    }
}
