using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Splitting;

/// <summary>A piece of text, or the token an added token stands for.</summary>
internal readonly record struct Piece(NormalizedText Text, int AddedId = -1);

/// <summary>What becomes of what separates two pieces.</summary>
internal enum Delimiter { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous }

/// <summary>How a text is split into words: one step of a tokenizer.json's <c>pre_tokenizer</c>. Immutable.</summary>
internal abstract class PreTokenizer
{
    private static readonly string[] Known =
        ["BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation", "Sequence", "Split", "Whitespace", "WhitespaceSplit"];

    /// <summary>GPT-2's expression.</summary>
    internal const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Splits one piece; pieces without a character are left out by the caller.</summary>
    public abstract IEnumerable<NormalizedText> Split(NormalizedText text);

    public static PreTokenizer? Read(JsonField json) => json.IsNull ? null : json.Type() switch
    {
        "Sequence" => new Chain([.. json.Items("pretokenizers").Select(p => Read(p) ?? throw p.Wrong("a pre-tokenizer"))]),
        "BertPreTokenizer" => new Chain([new ByClass(UnicodeClass.IsWhiteSpace, Delimiter.Removed), new ByClass(UnicodeClass.IsPunctuation, Delimiter.Isolated)]),
        "ByteLevel" => new Bytes(json.Flag("add_prefix_space", true), json.Flag("use_regex", true) ? Pattern.OfRegex(Gpt2) : null),
        "CharDelimiterSplit" => json.Text("delimiter") is { Length: > 0 } c ? new ByClass(r => r == char.ConvertToUtf32(c, 0), Delimiter.Removed) : throw json["delimiter"].Wrong("one character"),
        "Digits" => new ByClass(UnicodeClass.IsNumeric, json.Flag("individual_digits", false) ? Delimiter.Isolated : Delimiter.Contiguous),
        "FixedLength" => new Fixed(json.Int("length", 5)),
        "Metaspace" => new Metaspace(Replacement(json), Scheme(json), json.Flag("split", true)),
        "Punctuation" => new ByClass(UnicodeClass.IsPunctuation, Behaviour(json, Delimiter.Isolated)),
        "Split" => new ByPattern(Pattern.Read(json["pattern"]), Behaviour(json, null), json.Flag("invert", false)),
        "Whitespace" => new Words(),
        "WhitespaceSplit" => new ByClass(UnicodeClass.IsWhiteSpace, Delimiter.Removed),
        _ => throw json.Unknown("pre-tokenizer", Known),
    };

    internal static string Replacement(JsonField json) => json.Text("replacement", "▁") is { Length: > 0 } r ? r : throw json["replacement"].Wrong("one character");

    internal static string Scheme(JsonField json) => json.Text("prepend_scheme", json.Flag("add_prefix_space", true) ? "always" : "never") switch
    {
        "always" => "always", "first" => "first", "never" => "never",
        _ => throw json["prepend_scheme"].Wrong("always, first or never"),
    };

    /// <summary>If this is GPT-2's way of splitting or a <c>Split</c> before a bare <c>ByteLevel</c>, its expression: then words can be found in the text as it is.</summary>
    internal Pattern? BytePattern => this switch
    {
        Bytes { AddsSpace: false, Pattern: { } p } => p,
        Chain { Steps: [ByPattern { Delimiter: Delimiter.Isolated } split, Bytes { AddsSpace: false, Pattern: null }] } => split.Pattern,
        _ => null,
    };

    private static Delimiter Behaviour(JsonField json, Delimiter? fallback) => json.OptionalText("behavior") switch
    {
        null => fallback ?? throw json["behavior"].Wrong("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"),
        var name => Enum.TryParse<Delimiter>(name, out var d) ? d : throw json["behavior"].Wrong("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"),
    };

    /// <summary>Cuts a text at matches; <paramref name="invert"/> takes what lies between them for the delimiters.</summary>
    private static IEnumerable<NormalizedText> Cut(NormalizedText text, IEnumerable<(int Start, int End)> matches, Delimiter delimiter, bool invert = false)
    {
        var parts = new List<(int Start, int End, bool Match)>();
        var last = 0;
        foreach (var (start, end) in matches)
        {
            if (start > last) parts.Add((last, start, invert));
            parts.Add((start, end, !invert));
            last = end;
        }
        if (last < text.Count) parts.Add((last, text.Count, invert));
        foreach (var (start, end) in Merge(parts, delimiter)) yield return start == 0 && end == text.Count ? text : text.Slice(start, end);
    }

    private static IEnumerable<(int, int)> Merge(List<(int Start, int End, bool Match)> parts, Delimiter delimiter)
    {
        switch (delimiter)
        {
            case Delimiter.Removed: return parts.Where(p => !p.Match).Select(p => (p.Start, p.End));
            case Delimiter.Isolated: return parts.Select(p => (p.Start, p.End));
        }
        var merged = new List<(int Start, int End)>();
        var previous = false;
        if (delimiter == Delimiter.MergedWithNext) parts.Reverse();
        foreach (var (start, end, match) in parts)
        {
            var joins = merged.Count > 0 && (delimiter == Delimiter.Contiguous ? match == previous : match && !previous);
            if (joins) merged[^1] = delimiter == Delimiter.MergedWithNext ? (start, merged[^1].End) : (merged[^1].Start, end);
            else merged.Add((start, end));
            previous = match;
        }
        if (delimiter == Delimiter.MergedWithNext) merged.Reverse();
        return merged;
    }

    private sealed class Chain(PreTokenizer[] steps) : PreTokenizer
    {
        public PreTokenizer[] Steps => steps;

        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            IEnumerable<NormalizedText> pieces = [text];
            foreach (var step in steps) pieces = [.. pieces.SelectMany(step.Split).Where(p => p.Count > 0)];
            return pieces;
        }
    }

    private sealed class ByClass(Func<int, bool> isDelimiter, Delimiter delimiter) : PreTokenizer
    {
        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            var matches = new List<(int, int)>();
            for (var i = 0; i < text.Count; i++)
                if (isDelimiter(text[i])) matches.Add((i, i + 1));
            return Cut(text, matches, delimiter);
        }
    }

    private sealed class ByPattern(Pattern pattern, Delimiter delimiter, bool invert) : PreTokenizer
    {
        public Pattern Pattern => invert ? null! : pattern;

        public Delimiter Delimiter => invert ? Delimiter.Removed : delimiter;

        public override IEnumerable<NormalizedText> Split(NormalizedText text) => Cut(text, pattern.Matches(text), delimiter, invert);
    }

    /// <summary>Runs of word characters, and runs of what is neither word nor white space.</summary>
    private sealed class Words : PreTokenizer
    {
        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            static int Kind(int c) => UnicodeClass.IsWord(c) ? 1 : UnicodeClass.IsWhiteSpace(c) ? 0 : 2;
            for (var start = 0; start < text.Count;)
            {
                var (kind, end) = (Kind(text[start]), start + 1);
                while (end < text.Count && Kind(text[end]) == kind) end++;
                if (kind != 0) yield return text.Slice(start, end);
                start = end;
            }
        }
    }

    private sealed class Fixed(int length) : PreTokenizer
    {
        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            if (length < 1) throw new InvalidDataException($"FixedLength has the length {length}; it must be at least 1.");
            for (var start = 0; start < text.Count; start += length) yield return text.Slice(start, Math.Min(start + length, text.Count));
        }
    }

    private sealed class Metaspace(string replacement, string scheme, bool split) : PreTokenizer
    {
        private readonly int _mark = char.ConvertToUtf32(replacement, 0);

        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            text.Map(c => c == ' ' ? _mark : c);
            if (text.Count > 0 && text[0] != _mark && (scheme == "always" || scheme == "first" && text.Begin == 0)) text.Prepend(replacement);
            if (!split) return [text];
            var marks = new List<(int, int)>();
            for (var i = 0; i < text.Count; i++)
                if (text[i] == _mark) marks.Add((i, i + 1));
            return Cut(text, marks, Delimiter.MergedWithNext);
        }
    }

    private sealed class Bytes(bool addsSpace, Pattern? pattern) : PreTokenizer
    {
        public bool AddsSpace => addsSpace;

        public Pattern? Pattern => pattern;

        public override IEnumerable<NormalizedText> Split(NormalizedText text)
        {
            if (addsSpace && text.Count > 0 && text[0] != ' ') text.Prepend(" ");
            foreach (var piece in pattern is null ? [text] : Cut(text, pattern.Matches(text), Delimiter.Isolated))
            {
                ByteAlphabet.Apply(piece);
                yield return piece;
            }
        }
    }
}
