using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace NotebookKit.Text;

/// <summary>
/// Turns text into the ids of a pretrained model, as its <c>tokenizer.json</c> says (Hugging Face tokenizers' format, WordPiece models).
/// Words are split by BERT's own rules and spelled by Microsoft.ML.Tokenizers (whose own BERT rules differ from the reference at line breaks and
/// ASCII symbols). Immutable and thread-safe.
/// </summary>
public sealed class Tokenizer
{
    private readonly WordPieceTokenizer _pieces;
    private readonly BertPreTokenizer _words;
    private readonly Regex _specials;
    private readonly Dictionary<string, int> _specialIds;
    private readonly string _json;
    private readonly string[] _tokens;

    private Tokenizer(string json, string[] tokens, WordPieceTokenizer pieces, BertPreTokenizer words)
    {
        (_json, _tokens, _pieces, _words) = (json, tokens, pieces, words);
        _specialIds = WordPieceTrainer.SpecialTokens.ToDictionary(t => t, t => Array.IndexOf(tokens, t));
        _specials = new Regex($"({string.Join('|', WordPieceTrainer.SpecialTokens.Select(Regex.Escape))})");
    }

    /// <summary>Number of ids, special tokens included.</summary>
    public int VocabularySize => _tokens.Length;

    /// <summary>Id that fills a row up to the length of its batch.</summary>
    public int PadId => _specialIds["[PAD]"];

    /// <summary>Id that opens a sequence (<c>[CLS]</c>).</summary>
    public int StartId => _specialIds["[CLS]"];

    /// <summary>Id that closes a sequence (<c>[SEP]</c>).</summary>
    public int EndId => _specialIds["[SEP]"];

    /// <summary>Id that hides a token in masked language modelling.</summary>
    public int MaskId => _specialIds["[MASK]"];

    /// <summary>Id of what the vocabulary cannot spell.</summary>
    public int UnknownId => _specialIds["[UNK]"];

    /// <summary>Reads <c>tokenizer.json</c> from a model folder, or the file itself.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is malformed, or asks for something other than WordPiece; the message names it.</exception>
    public static Tokenizer Load(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, "tokenizer.json") : path;
        if (!File.Exists(file)) throw new FileNotFoundException($"No tokenizer at '{file}'. A model folder needs a tokenizer.json.", file);
        return Parse(File.ReadAllText(file), file);
    }

    /// <summary>Makes a lower-casing WordPiece tokenizer from a vocabulary in id order, such as <see cref="WordPieceTrainer"/> learns.</summary>
    public static Tokenizer FromVocabulary(IReadOnlyList<string> tokens)
    {
        var vocabulary = new JsonObject(tokens.Select((t, i) => KeyValuePair.Create(t, (JsonNode?)i)));
        var added = new JsonArray([.. WordPieceTrainer.SpecialTokens.Select(t => (JsonNode)new JsonObject
        {
            ["id"] = tokens.ToList().IndexOf(t), ["content"] = t, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true,
        })]);
        static JsonObject Special(string t, int type) => new() { ["SpecialToken"] = new JsonObject { ["id"] = t, ["type_id"] = type } };
        static JsonObject Sequence(string s, int type) => new() { ["Sequence"] = new JsonObject { ["id"] = s, ["type_id"] = type } };
        JsonObject Known(string t) => new() { ["id"] = t, ["ids"] = new JsonArray(tokens.ToList().IndexOf(t)), ["tokens"] = new JsonArray(t) };
        var json = new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null, ["added_tokens"] = added,
            ["normalizer"] = new JsonObject { ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = true, ["strip_accents"] = null, ["lowercase"] = true },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(Special("[CLS]", 0), Sequence("A", 0), Special("[SEP]", 0)),
                ["pair"] = new JsonArray(Special("[CLS]", 0), Sequence("A", 0), Special("[SEP]", 0), Sequence("B", 1), Special("[SEP]", 1)),
                ["special_tokens"] = new JsonObject { ["[CLS]"] = Known("[CLS]"), ["[SEP]"] = Known("[SEP]") },
            },
            ["decoder"] = new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100, ["vocab"] = vocabulary,
            },
        };
        var text = json.ToJsonString(new JsonSerializerOptions { WriteIndented = true, IndentSize = 1, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        return Parse(text + "\n", "the new vocabulary");
    }

    /// <summary>The ids of a text between the start and end ids, cut to <paramref name="maximumLength"/> ids in all.</summary>
    /// <param name="text">Any text; lone surrogates and control characters are dropped as the model's normaliser does.</param>
    /// <param name="maximumLength">At least 2.</param>
    public int[] Encode(string text, int maximumLength = 512)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maximumLength, 2);
        var ids = new List<int> { StartId };
        foreach (var part in text.Contains('[', StringComparison.Ordinal) ? _specials.Split(text) : [text])
        {
            if (ids.Count >= maximumLength - 1) break;
            if (_specialIds.TryGetValue(part, out var special)) ids.Add(special);
            else ids.AddRange(_pieces.EncodeToIds(string.Join(' ', _words.Words(part))));
        }
        if (ids.Count > maximumLength - 1) ids.RemoveRange(maximumLength - 1, ids.Count - maximumLength + 1);
        ids.Add(EndId);
        return [.. ids];
    }

    /// <summary>The token that an id stands for; continuations keep their <c>##</c>.</summary>
    public string TokenOf(int id) => id >= 0 && id < _tokens.Length
        ? _tokens[id] : throw new ArgumentOutOfRangeException(nameof(id), id, $"Token ids are in [0, {_tokens.Length}).");

    /// <summary>Writes the tokenizer.json that this tokenizer was read from.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        var target = Path.Combine(folder, "tokenizer.json");
        var temporary = $"{target}.{Environment.ProcessId}.tmp";
        File.WriteAllText(temporary, _json);
        File.Move(temporary, target, overwrite: true);
    }

    private static Tokenizer Parse(string json, string source)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var model = document.RootElement.GetProperty("model");
            var kind = model.TryGetProperty("type", out var type) ? type.GetString() : "WordPiece";
            if (kind != "WordPiece") throw new InvalidDataException($"'{source}' is a {kind} tokenizer; this version of the kit reads WordPiece.");
            Expect(document.RootElement, "normalizer", "BertNormalizer", source);
            Expect(document.RootElement, "pre_tokenizer", "BertPreTokenizer", source);

            var entries = model.GetProperty("vocab").EnumerateObject().Select(e => (Token: e.Name, Id: e.Value.GetInt32())).OrderBy(e => e.Id).ToArray();
            for (var i = 0; i < entries.Length; i++)
                if (entries[i].Id != i) throw new InvalidDataException($"'{source}': the vocabulary has no token with id {i}, or two ('{entries[i].Token}' has {entries[i].Id}).");
            var tokens = Array.ConvertAll(entries, e => e.Token);
            foreach (var special in WordPieceTrainer.SpecialTokens)
                if (!tokens.Contains(special)) throw new InvalidDataException($"'{source}': the vocabulary lacks {special}.");

            var normalizer = document.RootElement.GetProperty("normalizer");
            var lowercase = !normalizer.TryGetProperty("lowercase", out var lower) || lower.GetBoolean();
            var stripAccents = normalizer.TryGetProperty("strip_accents", out var strip) && strip.ValueKind is JsonValueKind.True or JsonValueKind.False
                ? strip.GetBoolean() : lowercase;
            var words = new BertPreTokenizer(lowercase, stripAccents,
                SplitChinese: !normalizer.TryGetProperty("handle_chinese_chars", out var cjk) || cjk.GetBoolean(),
                Clean: !normalizer.TryGetProperty("clean_text", out var clean) || clean.GetBoolean());
            var options = new WordPieceOptions
            {
                PreTokenizer = PreTokenizer.CreateWhiteSpace(),
                MaxInputCharsPerWord = model.TryGetProperty("max_input_chars_per_word", out var longest) ? longest.GetInt32() : 100,
                ContinuingSubwordPrefix = model.TryGetProperty("continuing_subword_prefix", out var prefix) ? prefix.GetString()! : "##",
            };
            using var vocabulary = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', tokens)));
            return new Tokenizer(json, tokens, WordPieceTokenizer.Create(vocabulary, options), words);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"'{source}' is not a usable tokenizer.json: {e.Message}", e);
        }
    }

    private static void Expect(JsonElement root, string part, string wanted, string source)
    {
        var got = root.TryGetProperty(part, out var element) && element.ValueKind == JsonValueKind.Object ? element.GetProperty("type").GetString() : "none";
        if (got != wanted) throw new InvalidDataException($"'{source}' has the {part} '{got}'; this version of the kit reads {wanted}.");
    }
}
