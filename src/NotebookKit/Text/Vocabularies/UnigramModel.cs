using System.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Vocabularies;

/// <summary>The most probable way to spell a word from scored pieces (Kudo 2018), found by Viterbi's algorithm.</summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly double[] _scores;
    private readonly int _unknown;
    private readonly int[]? _bytes;
    private readonly double _unknownScore;
    private readonly PrefixIndex _index;
    private readonly string _where;

    public UnigramModel(IReadOnlyList<(string Token, double Score)> pieces, int unknownId, bool byteFallback, string where)
    {
        (_unknown, _where) = (unknownId, where);
        _scores = [.. pieces.Select(p => p.Score)];
        for (var i = 0; i < pieces.Count; i++) _ids[pieces[i].Token] = i;
        if (unknownId >= pieces.Count) throw new InvalidDataException($"{where}: unk_id {unknownId} is outside the vocabulary of {pieces.Count}.");
        _unknownScore = (_scores.Length == 0 ? 0 : _scores.Min()) - UnknownPenalty;
        _index = new PrefixIndex(_ids);
        if (byteFallback) _bytes = [.. Enumerable.Range(0, 256).Select(b => _ids.GetValueOrDefault($"<0x{b:X2}>", -1))];
    }

    public static UnigramModel Parse(JsonField json)
    {
        var pieces = new List<(string, double)>();
        foreach (var entry in json.Items("vocab"))
            pieces.Add(entry.Element.ValueKind == System.Text.Json.JsonValueKind.Array && entry.Element.GetArrayLength() == 2 && entry.Element[1].ValueKind == System.Text.Json.JsonValueKind.Number
                ? (entry.Element[0].GetString() ?? "", entry.Element[1].GetDouble()) : throw entry.Wrong("a piece and its score"));
        return new UnigramModel(pieces, json.Has("unk_id") ? json.Int("unk_id") : -1, json.Flag("byte_fallback", false), json.Where);
    }

    public override IReadOnlyDictionary<string, int> Vocabulary => _ids;

    public override int UnknownId => _unknown;

    public override void Tokenize(NormalizedText piece, List<PieceToken> tokens)
    {
        var text = piece.ToString();
        var (best, from, chosen) = (new double[text.Length + 1], new int[text.Length + 1], new int[text.Length + 1]);
        Array.Fill(from, -1);
        var found = new List<(int Length, int Id)>();
        for (var at = 0; at < text.Length;)
        {
            var width = char.IsHighSurrogate(text[at]) ? 2 : 1;
            var single = false;
            _index.Find(text.AsSpan(at), found);
            foreach (var (length, id) in found)
            {
                Offer(at + length, _scores[id] + best[at], at, id);
                single |= length == width;
            }
            if (!single) Offer(at + width, _unknownScore + best[at], at, _unknown >= 0 ? _unknown : throw new InvalidDataException($"{_where}: '{text}' cannot be spelled, and the model has no unk_id."));
            at += width;
        }
        void Offer(int end, double score, int start, int id)
        {
            if (from[end] >= 0 && score <= best[end]) return;
            (best[end], from[end], chosen[end]) = (score, start, id);
        }

        var spans = new List<(int Start, int End)>();
        for (int end = text.Length, fused = -1; end > 0; end = from[end])
        {
            var unknown = chosen[end] == _unknown;
            if (unknown && fused >= 0) spans[^1] = (from[end], spans[^1].End);  // neighbours that cannot be spelled are one
            else spans.Add((from[end], end));
            fused = unknown ? end : -1;
        }
        spans.Reverse();
        var place = 0;
        foreach (var (start, end) in spans)
        {
            var surface = text[start..end];
            var length = surface.EnumerateRunes().Count();
            if (_ids.TryGetValue(surface, out var id)) tokens.Add(new PieceToken(id, place, place + length));
            else if (_bytes is not null && Encoding.UTF8.GetBytes(surface) is var bytes && Array.TrueForAll(bytes, b => _bytes[b] >= 0))
                foreach (var b in bytes) tokens.Add(new PieceToken(_bytes[b], place, place + length));
            else tokens.Add(new PieceToken(_unknown, place, place + length, surface));
            place += length;
        }
    }
}

/// <summary>All tokens a text begins with, found in the sorted list of tokens.</summary>
internal sealed class PrefixIndex
{
    private readonly string[] _tokens;
    private readonly int[] _ids;
    private readonly Dictionary<char, (int Low, int High)> _first = [];

    public PrefixIndex(IEnumerable<KeyValuePair<string, int>> tokens)
    {
        var sorted = tokens.Where(t => t.Key.Length > 0).OrderBy(t => t.Key, StringComparer.Ordinal).ToArray();
        (_tokens, _ids) = (Array.ConvertAll(sorted, t => t.Key), Array.ConvertAll(sorted, t => t.Value));
        for (var i = 0; i < _tokens.Length; i++) _first[_tokens[i][0]] = (_first.TryGetValue(_tokens[i][0], out var range) ? range.Low : i, i + 1);
    }

    /// <summary>Shortest first.</summary>
    public void Find(ReadOnlySpan<char> text, List<(int Length, int Id)> found)
    {
        found.Clear();
        if (text.Length == 0 || !_first.TryGetValue(text[0], out var range)) return;
        var (low, high) = range;
        for (var length = 1; ; length++)
        {
            if (_tokens[low].Length == length)
            {
                found.Add((length, _ids[low]));
                low++;
            }
            if (length >= text.Length || low >= high) return;
            (low, high) = (Bound(low, high, length, text[length]), Bound(low, high, length, (char)(text[length] + 1)));
            if (text[length] == char.MaxValue || low >= high) return;
        }
    }

    /// <summary>First token in [low, high) whose character at a place is not below another; all share what stands before.</summary>
    private int Bound(int low, int high, int place, char c)
    {
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_tokens[middle][place] < c) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
