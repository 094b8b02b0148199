using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Splitting;

/// <summary>A token that is found in a text before anything else is done, such as <c>[MASK]</c>.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="Special">Whether decoding may leave it out.</param>
/// <param name="SingleWord">Whether it counts only between what is no word character.</param>
/// <param name="StripsLeft">Whether it takes the white space before it.</param>
/// <param name="StripsRight">Whether it takes the white space after it.</param>
/// <param name="Normalized">Whether it is looked for in the normalised text.</param>
internal sealed record AddedToken(int Id, string Content, bool Special, bool SingleWord = false, bool StripsLeft = false, bool StripsRight = false, bool Normalized = false)
{
    public static AddedToken Read(JsonField json) => new(json.Int("id"), json.Text("content"), json.Flag("special", false), json.Flag("single_word", false), json.Flag("lstrip", false),
        json.Flag("rstrip", false), json.Flag("normalized", !json.Flag("special", false)));
}

/// <summary>Finds added tokens, the longest at each place from the left: first those of the raw text, then, between them, those of the normalised text.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<int, AddedToken> _byId = [];
    private readonly Search _raw, _normalized;

    public AddedTokens(IReadOnlyList<AddedToken> tokens, Normalizer? normalizer)
    {
        foreach (var token in tokens) _byId[token.Id] = token;
        // Special tokens come first, as in the library; of equal texts the first one counts.
        var ordered = tokens.Where(t => t.Content.Length > 0).OrderBy(t => !t.Special).ToArray();
        _raw = new Search(ordered.Where(t => !t.Normalized).Select(t => (t, NormalizedText.Of(t.Content))));
        _normalized = new Search(ordered.Where(t => t.Normalized).Select(t =>
        {
            var text = NormalizedText.Of(t.Content);
            normalizer?.Apply(text);
            return (t, text);
        }));
    }

    public IEnumerable<AddedToken> All => _byId.Values;

    public AddedToken? Find(int id) => _byId.GetValueOrDefault(id);

    /// <summary>Pieces between the added tokens, normalised, and the added tokens themselves.</summary>
    public IEnumerable<Piece> Split(NormalizedText text, Normalizer? normalizer)
    {
        foreach (var piece in _raw.Split(text))
        {
            if (piece.AddedId >= 0)
            {
                yield return piece;
                continue;
            }
            normalizer?.Apply(piece.Text);
            foreach (var part in _normalized.Split(piece.Text))
                if (part.Text.Count > 0) yield return part;
        }
    }

    private sealed class Search
    {
        private readonly Dictionary<int, List<(int[] Runes, AddedToken Token)>> _byFirst = [];

        public Search(IEnumerable<(AddedToken Token, NormalizedText Text)> tokens)
        {
            foreach (var (token, text) in tokens)
            {
                if (text.Count == 0) continue;
                if (!_byFirst.TryGetValue(text[0], out var list)) _byFirst[text[0]] = list = [];
                if (!list.Exists(l => l.Runes.AsSpan().SequenceEqual(text.Runes))) list.Add((text.Runes.ToArray(), token));
            }
            foreach (var list in _byFirst.Values) list.Sort((a, b) => b.Runes.Length.CompareTo(a.Runes.Length));
        }

        public IEnumerable<Piece> Split(NormalizedText text)
        {
            if (_byFirst.Count == 0)
            {
                yield return new Piece(text);
                yield break;
            }
            var last = 0;
            for (var at = 0; at < text.Count;)
            {
                if (!_byFirst.TryGetValue(text[at], out var candidates) || Match(text, at, candidates) is not { } token)
                {
                    at++;
                    continue;
                }
                var (start, end) = (at, at + token.Runes.Length);
                at = end;
                if (token.Token.SingleWord && (start > 0 && UnicodeClass.IsWord(text[start - 1]) || end < text.Count && UnicodeClass.IsWord(text[end]))) continue;
                if (token.Token.StripsLeft)
                {
                    while (start > 0 && UnicodeClass.IsWhiteSpace(text[start - 1])) start--;
                    start = Math.Max(start, last);
                }
                if (token.Token.StripsRight)
                    while (end < text.Count && UnicodeClass.IsWhiteSpace(text[end])) end++;
                if (last < start) yield return new Piece(text.Slice(last, start));
                yield return new Piece(text.Slice(start, end), token.Token.Id);
                last = end;
            }
            if (last == 0) yield return new Piece(text);
            else if (last < text.Count) yield return new Piece(text.Slice(last, text.Count));
        }

        private static (int[] Runes, AddedToken Token)? Match(NormalizedText text, int at, List<(int[] Runes, AddedToken Token)> candidates)
        {
            var rest = text.Runes[at..];
            foreach (var candidate in candidates)
                if (rest.StartsWith(candidate.Runes)) return candidate;
            return null;
        }
    }
}
