using System.Text.Json;
using NotebookKit.Text;
using NotebookKit.Text.SentencePiece;

namespace NotebookKit.Tool.Conformance.Cases;

/// <summary>Tokenizers against golden ids, offsets and texts: golden.jsonl, its variants, and batch.jsonl, a case a line.</summary>
internal static class TokenizerCases
{
    public static bool AreIn(string folder) => new[] { "batch.jsonl", "golden.jsonl" }.Any(f => File.Exists(Path.Combine(folder, f))) || Directory.EnumerateFiles(folder, "golden-*.jsonl").Any();

    public static IEnumerable<Outcome> Run(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(folder, "*.jsonl").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileNameWithoutExtension(file);
            if (name is not ("batch" or "golden") && !name.StartsWith("golden-", StringComparison.Ordinal)) continue;
            if (name == "golden" && MarianTokenizer.IsIn(folder))
            {
                var marian = MarianTokenizer.Load(folder);
                foreach (var (line, json) in Lines(file)) yield return Check.Run($"{name} {line}", () => Marian(marian, json), "ids, pieces and texts equal");
                continue;
            }
            if (FileFor(folder, name) is not { } source)
            {
                yield return new Outcome(name, Verdict.Skipped, "no tokenizer file that belongs to it");
                continue;
            }
            var tokenizer = Tokenizer.Load(source);
            foreach (var (line, json) in Lines(file))
                yield return name == "batch" ? Check.Run($"{name} {line}", () => Batch(tokenizer, json), "all encodings equal") : Check.Run($"{name} {line}", () => One(tokenizer, json), "ids, offsets and texts equal");
        }
    }

    private static string? FileFor(string folder, string name)
    {
        string[] candidates = name switch
        {
            "golden" or "batch" => ["tokenizer.json", "tokenizer.json.gz", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model"],
            "golden-sentencepiece" => ["tokenizer.model", "spiece.model", .. Directory.EnumerateFiles(folder, "*.model").Select(f => Path.GetFileName(f)!)],
            _ => [$"tokenizer{name["golden".Length..]}.json", $"tokenizer{name["golden".Length..]}.json.gz"],
        };
        return candidates.Select(c => Path.Combine(folder, c)).FirstOrDefault(File.Exists);
    }

    /// <summary>Only a line feed ends a line: texts hold other separators.</summary>
    private static IEnumerable<(int Line, JsonElement Json)> Lines(string file)
    {
        var line = 0;
        foreach (var text in File.ReadAllText(file).Split('\n'))
        {
            line++;
            if (text.Length == 0) continue;
            using var json = JsonDocument.Parse(text);
            yield return (line, json.RootElement.Clone());
        }
    }

    private static string? One(Tokenizer tokenizer, JsonElement json)
    {
        var (text, pair, special) = (json.GetProperty("text").GetString()!, json.GetProperty("pair").GetString(), json.GetProperty("add_special_tokens").GetBoolean());
        var got = tokenizer.EncodeWithOffsets(text, pair, special);
        if (Difference(json, got) is { } difference) return $"{difference} in {Short(text)}";
        // What training calls must give the same ids as the call that keeps offsets.
        if (pair is null && special && !tokenizer.Encode(text, int.MaxValue).SequenceEqual(got.Ids)) return $"Encode and EncodeWithOffsets differ in {Short(text)}";
        return Texts(json, (name, skip) => name is "decoded" or "decoded_skip" ? tokenizer.Decode(got.Ids, skip) : null) is { } wrong ? $"{wrong} of {Short(text)}" : null;
    }

    private static string? Marian(MarianTokenizer tokenizer, JsonElement json)
    {
        var (text, target, special) = (json.GetProperty("text").GetString()!, json.GetProperty("target").GetBoolean(), json.GetProperty("add_special_tokens").GetBoolean());
        var ids = tokenizer.Encode(text, target, special);
        return Same(json, "ids", ids) ?? Same(json, "tokens", tokenizer.Tokenize(text, target, special))
            ?? Texts(json, (name, skip) => tokenizer.Decode(ids, skip, name.StartsWith("decoded_target", StringComparison.Ordinal)));
    }

    private static string? Batch(Tokenizer tokenizer, JsonElement json)
    {
        string[] texts = Strings(json, "texts")!;
        var truncation = json.GetProperty("truncation") is { ValueKind: JsonValueKind.Object } t ? new TruncationSettings
        {
            MaximumLength = t.GetProperty("max_length").GetInt32(), Stride = t.GetProperty("stride").GetInt32(), Side = Side(t),
            Strategy = t.GetProperty("strategy").GetString() switch { "only_first" => TruncationStrategy.OnlyFirst, "only_second" => TruncationStrategy.OnlySecond, _ => TruncationStrategy.LongestFirst },
        } : null;
        var padding = json.GetProperty("padding") is { ValueKind: JsonValueKind.Object } p ? new PaddingSettings
        {
            Side = Side(p), Length = Optional(p, "length"), MultipleOf = Optional(p, "pad_to_multiple_of"), Id = p.GetProperty("pad_id").GetInt32(), TypeId = p.GetProperty("pad_type_id").GetInt32(),
            Token = p.GetProperty("pad_token").GetString()!,
        } : null;
        if (json.GetProperty("truncation").ValueKind == JsonValueKind.String) truncation = tokenizer.Truncation;   // as the file says
        if (json.GetProperty("padding").ValueKind == JsonValueKind.String) padding = tokenizer.Padding;
        var error = json.GetProperty("error").GetString();
        IReadOnlyList<TokenEncoding> got;
        try { got = tokenizer.EncodeBatch(texts, Strings(json, "pairs"), truncation, padding, json.GetProperty("add_special_tokens").GetBoolean()); }
        catch (ArgumentException e) when (error is not null) { return e.Message == error ? null : $"the message '{e.Message}', the reference says '{error}'"; }
        if (error is not null) return $"no error, the reference says '{error}'";
        var (i, mapping) = (0, new List<int>());
        foreach (var expected in json.GetProperty("encodings").EnumerateArray())
        {
            if (Difference(expected, got[i]) is { } difference) return $"text {i}: {difference}";
            var windows = expected.GetProperty("overflowing").EnumerateArray().ToArray();
            if (windows.Length != got[i].Overflowing.Count) return $"text {i}: {got[i].Overflowing.Count} further windows, the reference has {windows.Length}";
            for (var w = 0; w < windows.Length; w++)
                if (Difference(windows[w], got[i].Overflowing[w]) is { } inWindow) return $"text {i}, window {w}: {inWindow}";
            mapping.AddRange(Enumerable.Repeat(i, 1 + windows.Length));
            i++;
        }
        return Same(json, "overflow_to_sample_mapping", mapping);
    }

    private static string? Difference(JsonElement json, TokenEncoding got) =>
        Same(json, "ids", got.Ids) ?? Same(json, "tokens", got.Tokens) ?? Same(json, "offsets", got.Offsets.Select(o => $"[{o.Start},{o.End}]")) ?? Same(json, "type_ids", got.TypeIds)
        ?? Same(json, "attention_mask", got.AttentionMask) ?? Same(json, "special_tokens_mask", got.SpecialTokensMask) ?? Same(json, "word_ids", got.WordIds.Select(w => w?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "null"));

    private static string? Same<T>(JsonElement json, string field, IEnumerable<T> got)
    {
        if (!json.TryGetProperty(field, out var list) || list.ValueKind != JsonValueKind.Array) return null;
        var expected = list.EnumerateArray().Select(e => e.ValueKind == JsonValueKind.String ? e.GetString()! : e.GetRawText().Replace(" ", "", StringComparison.Ordinal)).ToArray();
        var ours = got.Select(g => Convert.ToString(g, System.Globalization.CultureInfo.InvariantCulture)!).ToArray();
        for (var i = 0; i < Math.Max(expected.Length, ours.Length); i++)
            if (i >= expected.Length || i >= ours.Length || expected[i] != ours[i])
                return $"{field}[{i}] is {(i < ours.Length ? $"'{ours[i]}'" : "absent")}, the reference has {(i < expected.Length ? $"'{expected[i]}'" : "none")}";
        return null;
    }

    private static string? Texts(JsonElement json, Func<string, bool, string?> decode)
    {
        foreach (var name in new[] { "decoded", "decoded_skip", "decoded_target", "decoded_target_skip" })
            if (json.TryGetProperty(name, out var expected) && expected.GetString() is { } wanted && decode(name, name.EndsWith("skip", StringComparison.Ordinal)) is { } got && got != wanted)
                return $"{name} is {Short(got)}, the reference has {Short(wanted)}";
        return null;
    }

    private static TextSide Side(JsonElement json) => json.GetProperty("direction").GetString() == "left" ? TextSide.Left : TextSide.Right;

    private static int? Optional(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

    private static string[]? Strings(JsonElement json, string name) => json.GetProperty(name) is { ValueKind: JsonValueKind.Array } list ? [.. list.EnumerateArray().Select(t => t.GetString()!)] : null;

    private static string Short(string text) => JsonSerializer.Serialize(text.Length <= 60 ? text : text[..60] + "…");
}
