using System.Text;
using System.Globalization;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;
using NotebookKit.Text.Splitting;

namespace NotebookKit.Text.Vocabularies;

/// <summary>How tokens become text again: a tokenizer.json's <c>decoder</c>. Immutable.</summary>
internal abstract class TokenDecoder
{
    private static readonly string[] Known = ["BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece"];

    /// <summary>One step: tokens to texts, which are joined in the end.</summary>
    public abstract IReadOnlyList<string> Decode(IReadOnlyList<string> tokens);

    public static TokenDecoder? Read(JsonField json) => json.IsNull ? null : json.Type() switch
    {
        "Sequence" => new Chain([.. json.Items("decoders").Select(d => Read(d) ?? throw d.Wrong("a decoder"))]),
        "BPEDecoder" => new Suffix(json.Text("suffix", "</w>")),
        "ByteFallback" => new ByteTokens(),
        "ByteLevel" => new Bytes(),
        "CTC" => new Ctc(json.Text("pad_token", "<pad>"), json.Text("word_delimiter_token", "|"), json.Flag("cleanup", true)),
        "Fuse" => new Each(_ => null),
        "Metaspace" => new Metaspace(PreTokenizer.Replacement(json)[0], PreTokenizer.Scheme(json) == "never"),
        "Replace" => Pattern.Read(json["pattern"]) is var pattern && json.Text("content") is var content ? new Each(t => pattern.Replace(t, content)) : null,
        "Strip" => Strip(json),
        "WordPiece" => new Pieces(json.Text("prefix", "##"), json.Flag("cleanup", true)),
        _ => throw json.Unknown("decoder", Known),
    };

    private static Each Strip(JsonField json)
    {
        var (content, start, stop) = (json.Text("content", " ")[0], json.Int("start", 0), json.Int("stop", 0));
        return new Each(token =>
        {
            var (from, to) = (0, token.Length);
            while (from < start && from < token.Length && token[from] == content) from++;
            while (token.Length - to < stop && to > from && token[to - 1] == content) to--;
            return token[from..to];
        });
    }

    /// <summary>What English writes without a space before it.</summary>
    private static string CleanUp(string text) => text.Replace(" .", ".", StringComparison.Ordinal).Replace(" ?", "?", StringComparison.Ordinal).Replace(" !", "!", StringComparison.Ordinal)
        .Replace(" ,", ",", StringComparison.Ordinal).Replace(" ' ", "'", StringComparison.Ordinal).Replace(" n't", "n't", StringComparison.Ordinal).Replace(" 'm", "'m", StringComparison.Ordinal)
        .Replace(" do not", " don't", StringComparison.Ordinal).Replace(" 's", "'s", StringComparison.Ordinal).Replace(" 've", "'ve", StringComparison.Ordinal).Replace(" 're", "'re", StringComparison.Ordinal);

    private sealed class Chain(TokenDecoder[] steps) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => steps.Aggregate(tokens, (t, step) => step.Decode(t));
    }

    /// <summary>The same for every token; <c>null</c> joins them all.</summary>
    private sealed class Each(Func<string, string?> change) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) =>
            tokens.Count > 0 && change(tokens[0]) is null ? [string.Concat(tokens)] : [.. tokens.Select(t => change(t)!)];
    }

    private sealed class Suffix(string suffix) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select((t, i) => t.Replace(suffix, i == tokens.Count - 1 ? "" : " ", StringComparison.Ordinal))];
    }

    private sealed class Bytes : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
        {
            var bytes = new List<byte>();
            foreach (var token in tokens)
            {
                var mark = bytes.Count;
                foreach (var rune in token.EnumerateRunes())
                {
                    if (ByteAlphabet.ByteOf(rune.Value) is >= 0 and var b)
                    {
                        bytes.Add((byte)b);
                        continue;
                    }
                    bytes.RemoveRange(mark, bytes.Count - mark);              // not of this alphabet: as it stands
                    bytes.AddRange(Encoding.UTF8.GetBytes(token));
                    break;
                }
            }
            return [Encoding.UTF8.GetString([.. bytes])];
        }
    }

    private sealed class ByteTokens : TokenDecoder
    {
        private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
        {
            var texts = new List<string>(tokens.Count);
            var bytes = new List<byte>();
            void Flush()
            {
                if (bytes.Count == 0) return;
                try { texts.Add(Strict.GetString([.. bytes])); }
                catch (ArgumentException) { texts.AddRange(bytes.Select(_ => "\uFFFD")); }
                bytes.Clear();
            }
            foreach (var token in tokens)
            {
                if (token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>' && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var b))
                {
                    bytes.Add(b);
                    continue;
                }
                Flush();
                texts.Add(token);
            }
            Flush();
            return texts;
        }
    }

    private sealed class Ctc(string padding, string delimiter, bool cleanUp) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
        {
            var texts = new List<string>();
            for (var i = 0; i < tokens.Count; i++)
            {
                if (i > 0 && tokens[i] == tokens[i - 1]) continue;
                var text = tokens[i].Replace(padding, "", StringComparison.Ordinal);
                if (cleanUp) text = CleanUp(text).Replace(delimiter, " ", StringComparison.Ordinal);
                if (text.Length > 0) texts.Add(text);
            }
            return texts;
        }
    }

    private sealed class Metaspace(char replacement, bool never) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select((t, i) =>
            i == 0 && !never ? t.Replace(replacement.ToString(), "", StringComparison.Ordinal) : t.Replace(replacement, ' '))];
    }

    private sealed class Pieces(string prefix, bool cleanUp) : TokenDecoder
    {
        public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select((t, i) =>
        {
            var text = i == 0 ? t : prefix.Length > 0 && t.StartsWith(prefix, StringComparison.Ordinal) ? t[prefix.Length..] : " " + t;
            return cleanUp ? CleanUp(text) : text;
        })];
    }
}
