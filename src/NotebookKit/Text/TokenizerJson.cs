using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NotebookKit.Text;

/// <summary>Writes tokenizer.json texts: of vocabularies that come without one, and of those that the trainers learn.</summary>
internal static class TokenizerJson
{
    /// <summary>A WordPiece tokenizer with BERT's rules.</summary>
    public static string Bert(IReadOnlyList<string> tokens, bool lowercase, IReadOnlyList<string>? specials = null)
    {
        var ids = tokens.Select((t, i) => (t, i)).GroupBy(t => t.t, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.First().i, StringComparer.Ordinal);
        var named = (specials ?? WordPieceTrainer.SpecialTokens).Where(ids.ContainsKey).ToArray();
        foreach (var needed in new[] { "[UNK]", "[CLS]", "[SEP]" })
            if (!ids.ContainsKey(needed)) throw new InvalidDataException($"The vocabulary lacks {needed}, which BERT's rules need.");
        return Text(Whole([.. named.Select(t => Added(ids[t], t))],
            new JsonObject { ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = true, ["strip_accents"] = null, ["lowercase"] = lowercase },
            new JsonObject { ["type"] = "BertPreTokenizer" },
            Template([Token("[CLS]", 0), Sequence("A", 0), Token("[SEP]", 0)], [Token("[CLS]", 0), Sequence("A", 0), Token("[SEP]", 0), Sequence("B", 1), Token("[SEP]", 1)], ids, "[CLS]", "[SEP]"),
            new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            new JsonObject
            {
                ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100,
                ["vocab"] = new JsonObject(tokens.Select((t, i) => KeyValuePair.Create(t, (JsonNode?)i)).DistinctBy(p => p.Key)),
            }));
    }

    /// <summary>A byte-level BPE tokenizer with GPT-2's rules.</summary>
    /// <param name="ids">The vocabulary.</param>
    /// <param name="merges">Merges by rank.</param>
    /// <param name="specials">Special tokens.</param>
    /// <param name="addPrefixSpace">Whether a space is put before the text.</param>
    /// <param name="frame">Tokens that open and close a text as RoBERTa's do; <c>null</c> for none.</param>
    public static string Gpt2(IReadOnlyDictionary<string, int> ids, IEnumerable<(string Left, string Right)> merges, IEnumerable<string> specials, bool addPrefixSpace = false, (string Start, string End)? frame = null)
    {
        JsonObject Bytes(bool prefix, bool trim) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = prefix, ["trim_offsets"] = trim, ["use_regex"] = true };
        return Text(Whole([.. specials.Where(ids.ContainsKey).Select(t => Added(ids[t], t))], null, Bytes(addPrefixSpace, true),
            frame is { } f ? new JsonObject { ["type"] = "RobertaProcessing", ["sep"] = new JsonArray(f.End, ids[f.End]), ["cls"] = new JsonArray(f.Start, ids[f.Start]), ["trim_offsets"] = true, ["add_prefix_space"] = addPrefixSpace } : Bytes(true, false),
            Bytes(true, true),
            new JsonObject
            {
                ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = "", ["end_of_word_suffix"] = "", ["fuse_unk"] = false, ["byte_fallback"] = false, ["ignore_merges"] = false,
                ["vocab"] = new JsonObject(ids.OrderBy(i => i.Value).Select(i => KeyValuePair.Create(i.Key, (JsonNode?)i.Value))),
                ["merges"] = new JsonArray([.. merges.Select(m => (JsonNode)new JsonArray(m.Left, m.Right))]),
            }));
    }

    /// <summary>A Unigram tokenizer with T5's rules: words begin with ▁, a text ends with <c>&lt;/s&gt;</c>.</summary>
    public static string Unigram(IReadOnlyList<(string Token, double Score)> pieces, IReadOnlyList<string> specials, int unknownId)
    {
        var ids = pieces.Select((p, i) => (p.Token, i)).ToDictionary(p => p.Token, p => p.i, StringComparer.Ordinal);
        JsonObject Metaspace() => new() { ["type"] = "Metaspace", ["replacement"] = "▁", ["prepend_scheme"] = "always", ["split"] = true };
        return Text(Whole([.. specials.Select(t => Added(ids[t], t))], new JsonObject { ["type"] = "Sequence", ["normalizers"] = new JsonArray(new JsonObject { ["type"] = "Nmt" }, new JsonObject { ["type"] = "NFKC" }) },
            new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(new JsonObject { ["type"] = "WhitespaceSplit" }, Metaspace()) },
            Template([Sequence("A", 0), Token("</s>", 0)], [Sequence("A", 0), Token("</s>", 0), Sequence("B", 0), Token("</s>", 0)], ids, "</s>"),
            Metaspace(),
            new JsonObject { ["type"] = "Unigram", ["unk_id"] = unknownId, ["vocab"] = new JsonArray([.. pieces.Select(p => (JsonNode)new JsonArray(p.Token, p.Score))]), ["byte_fallback"] = false }));
    }

    private static JsonObject Whole(JsonArray added, JsonNode? normalizer, JsonNode splitter, JsonNode post, JsonNode decoder, JsonNode model) => new()
    {
        ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = added, ["normalizer"] = normalizer, ["pre_tokenizer"] = splitter,
        ["post_processor"] = post, ["decoder"] = decoder, ["model"] = model,
    };

    private static JsonNode Added(int id, string token) => new JsonObject
    {
        ["id"] = id, ["content"] = token, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true,
    };

    private static JsonNode Token(string t, int type) => new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = t, ["type_id"] = type } };

    private static JsonNode Sequence(string s, int type) => new JsonObject { ["Sequence"] = new JsonObject { ["id"] = s, ["type_id"] = type } };

    private static JsonObject Template(JsonArray single, JsonArray pair, IReadOnlyDictionary<string, int> ids, params string[] tokens) => new()
    {
        ["type"] = "TemplateProcessing", ["single"] = single, ["pair"] = pair,
        ["special_tokens"] = new JsonObject(tokens.Select(t => KeyValuePair.Create(t, (JsonNode?)new JsonObject { ["id"] = t, ["ids"] = new JsonArray(ids[t]), ["tokens"] = new JsonArray(t) }))),
    };

    private static string Text(JsonObject json) =>
        json.ToJsonString(new JsonSerializerOptions { WriteIndented = true, IndentSize = 1, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n";
}
