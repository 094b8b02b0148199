using System.Text.Json;
using System.Text.Json.Nodes;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;
using NotebookKit.Text.SentencePiece;
using NotebookKit.Text.Splitting;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Text;

/// <summary>What a tokenizer is made of.</summary>
internal sealed record TokenizerParts(TokenModel Model)
{
    public string? Json { get; init; }
    public IReadOnlyList<AddedToken> Added { get; init; } = [];
    public Normalizer? Normalizer { get; init; }
    public PreTokenizer? Splitter { get; init; }
    public PostProcessor? Post { get; init; }
    public TokenDecoder? Decoder { get; init; }
    public TruncationSettings? Truncation { get; init; }
    public PaddingSettings? Padding { get; init; }
    public IReadOnlyDictionary<string, string> Roles { get; init; } = new Dictionary<string, string>();
}

/// <summary>Which special token plays which part: what tokenizer_config.json says, else the token with a usual name, else what stands around a text.</summary>
internal sealed class SpecialRoles(IReadOnlyDictionary<string, string> named, IReadOnlySet<string> special, Func<string, int?> idOf, int[] frame)
{
    private static readonly Dictionary<string, string[]> Usual = new()
    {
        ["pad_token"] = ["[PAD]", "<pad>", "<|pad|>", "<|endoftext|>"], ["cls_token"] = ["[CLS]", "<s>"], ["sep_token"] = ["[SEP]", "</s>"], ["mask_token"] = ["[MASK]", "<mask>"],
        ["bos_token"] = ["<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>"], ["eos_token"] = ["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"],
    };

    public int? Find(string role) =>
        named.TryGetValue(role, out var token) && idOf(token) is { } id ? id
        : Usual[role].Where(special.Contains).Select(idOf).FirstOrDefault(i => i is not null)
        ?? (role == "cls_token" && frame.Length > 0 ? frame[0] : role == "sep_token" && frame.Length > 0 ? frame[^1] : Usual[role].Select(idOf).FirstOrDefault(i => i is not null));
}

/// <summary>Reads a tokenizer from the files models come with.</summary>
internal static class TokenizerFiles
{
    public static Tokenizer Load(string path)
    {
        if (!Directory.Exists(path))
        {
            if (!File.Exists(path)) throw new FileNotFoundException($"No tokenizer at '{path}'. A model folder needs a tokenizer.json (or vocab.txt; vocab.json and merges.txt; tokenizer.model).", path);
            return Path.GetFileName(path) switch
            {
                var name when name.EndsWith(".model", StringComparison.Ordinal) || name.EndsWith(".spm", StringComparison.Ordinal) => SentencePiece(path),
                "vocab.txt" => VocabTxt(path, Roles(Path.GetDirectoryName(Path.GetFullPath(path))!)),
                "vocab.json" or "merges.txt" => VocabAndMerges(Path.GetDirectoryName(Path.GetFullPath(path))!),
                var name when name.EndsWith(".gz", StringComparison.Ordinal) => Parse(Unpacked(path), path),
                _ => Parse(File.ReadAllText(path), path, Roles(Path.GetDirectoryName(Path.GetFullPath(path))!)),
            };
        }
        string At(string name) => Path.Combine(path, name);
        if (File.Exists(At("tokenizer.json"))) return Parse(File.ReadAllText(At("tokenizer.json")), At("tokenizer.json"), Roles(path));
        if (File.Exists(At("vocab.txt"))) return VocabTxt(At("vocab.txt"), Roles(path));
        if (File.Exists(At("vocab.json")) && File.Exists(At("merges.txt"))) return VocabAndMerges(path);
        foreach (var name in new[] { "tokenizer.model", "spiece.model", "sentencepiece.bpe.model" })
            if (File.Exists(At(name))) return SentencePiece(At(name));
        throw new FileNotFoundException($"No tokenizer at '{At("tokenizer.json")}', and no vocab.txt, no vocab.json with merges.txt, no tokenizer.model or spiece.model beside it.", At("tokenizer.json"));
    }

    /// <summary>Reads a tokenizer.json.</summary>
    public static Tokenizer Parse(string text, string source, IReadOnlyDictionary<string, string>? roles = null)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var json = JsonField.Root(document.RootElement, source);
            if (json["model"].IsNull) throw json["model"].Wrong($"one of {string.Join(", ", TokenModel.Known)}");
            return new Tokenizer(new TokenizerParts(TokenModel.Read(json["model"]))
            {
                Json = text, Added = json.Has("added_tokens") ? [.. json.Items("added_tokens").Select(AddedToken.Read)] : [],
                Normalizer = Normalizer.Read(json["normalizer"]), Splitter = PreTokenizer.Read(json["pre_tokenizer"]), Post = PostProcessor.Read(json["post_processor"]),
                Decoder = TokenDecoder.Read(json["decoder"]), Truncation = TruncationSettings.Read(json["truncation"]), Padding = PaddingSettings.Read(json["padding"]),
                Roles = roles ?? new Dictionary<string, string>(),
            });
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw new InvalidDataException($"'{source}' is not a usable tokenizer.json: {e.Message}", e);
        }
    }

    private static Tokenizer VocabTxt(string path, IReadOnlyDictionary<string, string> roles)
    {
        var lower = !roles.TryGetValue("do_lower_case", out var said) || said == "true";
        var tokens = File.ReadAllText(path).Split('\n').Select(l => l.TrimEnd('\r')).ToList();
        if (tokens[^1].Length == 0) tokens.RemoveAt(tokens.Count - 1);
        try { return Parse(TokenizerJson.Bert(tokens, lower), path, roles); }
        catch (InvalidDataException e) { throw new InvalidDataException($"'{path}': {e.Message}", e); }
    }

    private static Tokenizer VocabAndMerges(string folder)
    {
        var (vocab, merges) = (Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt"));
        if (!File.Exists(merges)) throw new FileNotFoundException($"'{vocab}' needs a merges.txt beside it.", merges);
        var ids = Ids(vocab);
        var pairs = File.ReadAllText(merges).Split('\n').Select(l => l.TrimEnd('\r')).Where((l, i) => l.Length > 0 && !(i == 0 && l.StartsWith("#version", StringComparison.Ordinal)))
            .Select((l, i) => l.Split(' ') is [var left, var right] ? (left, right) : throw new InvalidDataException($"'{merges}', merge {i + 1}: two tokens and a space are wanted; found '{l}'."));
        var roles = Roles(folder);
        var roberta = ids.ContainsKey("<s>") && ids.ContainsKey("</s>") && !ids.ContainsKey("<|endoftext|>");
        var specials = roles.Values.Concat(["<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>"]).Distinct();
        return Parse(TokenizerJson.Gpt2(ids, pairs, specials, roles.GetValueOrDefault("add_prefix_space") == "true", roberta ? ("<s>", "</s>") : null), vocab, roles);
    }

    /// <summary>A vocab.json: an object of tokens and ids.</summary>
    internal static Dictionary<string, int> Ids(string path)
    {
        try
        {
            using var json = JsonDocument.Parse($$"""{"vocab":{{File.ReadAllText(path)}}}""");
            return TokenModel.Ids(JsonField.Root(json.RootElement, path));
        }
        catch (JsonException e) { throw new InvalidDataException($"'{path}' is not a vocabulary: {e.Message}", e); }
    }

    /// <summary>A SentencePiece model alone: its own pieces, no special token is looked for in a text and none is put around it.</summary>
    public static Tokenizer SentencePiece(string path)
    {
        var file = SentencePieceFile.Load(path);
        var where = $"'{path}'";
        return new Tokenizer(new TokenizerParts(new SentencePieceModel(file, where)) { Normalizer = new SentencePieceNormalizer(file, where), Decoder = new SentencePieceDecoder(file) });
    }

    /// <summary>Strings and switches of tokenizer_config.json and special_tokens_map.json.</summary>
    internal static Dictionary<string, string> Roles(string folder)
    {
        var roles = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in new[] { "special_tokens_map.json", "tokenizer_config.json" })
        {
            var path = Path.Combine(folder, name);
            if (!File.Exists(path)) continue;
            try
            {
                if (JsonNode.Parse(File.ReadAllText(path)) is not JsonObject json) throw new InvalidDataException($"'{path}' holds no JSON object.");
                foreach (var (key, value) in json)
                {
                    if (value is JsonValue v) roles[key] = v.GetValueKind() switch { JsonValueKind.True => "true", JsonValueKind.False => "false", _ => v.ToString() };
                    else if (value is JsonObject o && o["content"] is JsonValue content) roles[key] = content.ToString();
                }
            }
            catch (JsonException e) { throw new InvalidDataException($"'{path}' is not usable: {e.Message}", e); }
        }
        return roles;
    }

    private static string Unpacked(string path)
    {
        using var stream = new System.IO.Compression.GZipStream(File.OpenRead(path), System.IO.Compression.CompressionMode.Decompress);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
