using System.Text.Json;
using NotebookKit.Models.Encoders;
using NotebookKit.Pretraining.Corpora;

namespace NotebookKit.Pretraining;

/// <summary>Everything that decides how an encoder of this repository was made; kept as JSON beside it.</summary>
public sealed record PretrainingRecipe
{
    private static readonly JsonSerializerOptions Json = new() { ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow };

    /// <summary>Name of the model.</summary>
    public required string Name { get; init; }

    /// <summary>What the text is built from.</summary>
    public required IReadOnlyList<CorpusSource> Corpus { get; init; }

    /// <summary>Ids of the WordPiece vocabulary.</summary>
    public int VocabularySize { get; init; } = 8192;

    /// <summary>Shape of the encoder; its vocabulary size is the one above.</summary>
    public required BertConfig Model { get; init; }

    /// <summary>First stage: masked language modelling.</summary>
    public MaskedLMSettings MaskedLM { get; init; } = new();

    /// <summary>Hub id of the encoder whose sentence embeddings the second stage learns.</summary>
    public required string Teacher { get; init; }

    /// <summary>Second stage: distillation of sentence embeddings.</summary>
    public DistillationSettings Distillation { get; init; } = new();

    /// <summary>Third stage: both at once, so that one encoder fills masks and embeds sentences.</summary>
    public MaskedLMSettings Joint { get; init; } = new() { Steps = 4000, LearningRate = 7e-4, Seed = 3 };

    /// <summary>What the distance to the teacher (2 − 2·cosine) is multiplied by in the third stage, where the other loss is the cross-entropy. Default 10.</summary>
    public double JointSentenceWeight { get; init; } = 10;

    /// <summary>Reads a recipe file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is malformed or has an unknown setting.</exception>
    public static PretrainingRecipe Load(string path)
    {
        if (!File.Exists(path)) throw new FileNotFoundException($"No recipe at '{path}'.", path);
        try { return JsonSerializer.Deserialize<PretrainingRecipe>(File.ReadAllText(path), Json) ?? throw new InvalidDataException($"'{path}' is empty."); }
        catch (JsonException e) { throw new InvalidDataException($"'{path}' is not a usable recipe: {e.Message}", e); }
    }
}
