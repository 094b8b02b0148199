using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Vocabularies;

/// <summary>A token of a piece: its id, the code points [start, end) of the piece it covers, and its text where that is not the vocabulary's.</summary>
internal readonly record struct PieceToken(int Id, int Start, int End, string? Surface = null);

/// <summary>How a word becomes tokens: a tokenizer.json's <c>model</c>. Immutable but for caches; thread-safe.</summary>
internal abstract class TokenModel
{
    public static readonly string[] Known = ["BPE", "Unigram", "WordLevel", "WordPiece"];

    /// <summary>Ids by token.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Id of what the vocabulary cannot spell, or −1.</summary>
    public abstract int UnknownId { get; }

    /// <summary>Spells one piece.</summary>
    public abstract void Tokenize(NormalizedText piece, List<PieceToken> tokens);

    public static TokenModel Read(JsonField json)
    {
        // Files from before the field was written: Unigram has a list of pieces, BPE has merges, WordPiece has a prefix.
        var type = json.Type(json["vocab"].Element.ValueKind == System.Text.Json.JsonValueKind.Array ? "Unigram"
            : json.Has("merges") ? "BPE" : json.Has("continuing_subword_prefix") ? "WordPiece" : "WordLevel");
        return type switch
        {
            "BPE" => BytePairModel.Parse(json),
            "WordPiece" => new WordPieceModel(Ids(json), json.Text("unk_token", "[UNK]"), json.Text("continuing_subword_prefix", "##"), json.Int("max_input_chars_per_word", 100), json.Where),
            "WordLevel" => new WordLevelModel(Ids(json), json.Text("unk_token", "<unk>"), json.Where),
            "Unigram" => UnigramModel.Parse(json),
            _ => throw json.Unknown("model", Known),
        };
    }

    internal static Dictionary<string, int> Ids(JsonField json)
    {
        var vocabulary = json["vocab"];
        if (vocabulary.Element.ValueKind != System.Text.Json.JsonValueKind.Object) throw vocabulary.Wrong("an object of tokens and ids");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in vocabulary.Element.EnumerateObject())
        {
            if (entry.Value.ValueKind != System.Text.Json.JsonValueKind.Number || !entry.Value.TryGetInt32(out var id) || id < 0)
                throw new InvalidDataException($"{vocabulary.Where}: the id of '{entry.Name}' should be a whole number from 0; found {entry.Value.GetRawText()}.");
            ids[entry.Name] = id;
        }
        return ids;
    }
}

/// <summary>Greedy longest match from the left (Schuster &amp; Nakajima 2012; Devlin et al. 2019); a word with a part that is in no vocabulary is unknown as a whole.</summary>
internal sealed class WordPieceModel(Dictionary<string, int> ids, string unknown, string prefix, int longest, string where) : TokenModel
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
    private readonly int _longestToken = ids.Count == 0 ? 0 : ids.Keys.Max(k => k.Length);

    public override IReadOnlyDictionary<string, int> Vocabulary => ids;

    public override int UnknownId => ids.GetValueOrDefault(unknown, -1);

    public override void Tokenize(NormalizedText piece, List<PieceToken> tokens)
    {
        var first = tokens.Count;
        if (piece.Count <= longest)
        {
            var text = prefix + piece;
            var offset = prefix.Length;
            var wide = text.Length - offset != piece.Count;                  // characters beyond the basic plane
            int[]? at = null;
            if (wide)
            {
                at = new int[piece.Count + 1];
                for (var i = 0; i < piece.Count; i++) at[i + 1] = at[i] + (piece[i] > 0xFFFF ? 2 : 1);
            }
            int At(int i) => offset + (at is null ? i : at[i]);
            for (var start = 0; start < piece.Count;)
            {
                var (end, id) = (piece.Count, -1);
                for (; end > start; end--)
                {
                    var length = At(end) - At(start) + (start > 0 ? offset : 0);
                    if (length > _longestToken) continue;
                    if (start == 0 ? _lookup.TryGetValue(text.AsSpan(offset, length), out id) : Continued(text, At(start), At(end), out id)) break;
                    id = -1;
                }
                if (id < 0) break;
                tokens.Add(new PieceToken(id, start, end));
                start = end;
            }
            if (tokens.Count > first && tokens[^1].End == piece.Count) return;
        }
        tokens.RemoveRange(first, tokens.Count - first);
        if (UnknownId < 0) throw new InvalidDataException($"{where}: '{piece}' cannot be spelled, and the vocabulary lacks {unknown}.");
        tokens.Add(new PieceToken(UnknownId, 0, piece.Count));
    }

    private bool Continued(string text, int start, int end, out int id)
    {
        Span<char> key = stackalloc char[prefix.Length + end - start];
        prefix.CopyTo(key);
        text.AsSpan(start, end - start).CopyTo(key[prefix.Length..]);
        return _lookup.TryGetValue(key, out id);
    }
}

/// <summary>One token a word.</summary>
internal sealed class WordLevelModel(Dictionary<string, int> ids, string unknown, string where) : TokenModel
{
    public override IReadOnlyDictionary<string, int> Vocabulary => ids;

    public override int UnknownId => ids.GetValueOrDefault(unknown, -1);

    public override void Tokenize(NormalizedText piece, List<PieceToken> tokens)
    {
        if (!ids.TryGetValue(piece.ToString(), out var id)) id = UnknownId;
        if (id < 0) throw new InvalidDataException($"{where}: '{piece}' is not in the vocabulary, and it lacks {unknown}.");
        tokens.Add(new PieceToken(id, 0, piece.Count));
    }
}
