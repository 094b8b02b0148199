using System.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Text.SentencePiece;

/// <summary>SentencePiece's own search, in its own single precision: Viterbi for Unigram models, merging by score for BPE models.</summary>
internal sealed class SentencePieceModel : TokenModel
{
    private const float UnknownPenalty = 10;
    private readonly SentencePieceFile _file;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal), _spelling = new(StringComparer.Ordinal);
    private readonly PrefixIndex _index, _kept;
    private readonly int[] _bytes = [.. Enumerable.Repeat(-1, 256)];
    private readonly float _unknownScore, _best;

    public SentencePieceModel(SentencePieceFile file, string where)
    {
        _file = file;
        UnknownId = -1;
        for (var id = 0; id < file.Pieces.Count; id++)
        {
            var (text, _, kind) = file.Pieces[id];
            _ids.TryAdd(text, id);
            if (kind == PieceKind.Unknown) UnknownId = id;
            if (kind is PieceKind.Normal or PieceKind.UserDefined or PieceKind.Unused) _spelling.TryAdd(text, id);
            if (kind == PieceKind.Byte && text.Length == 6 && byte.TryParse(text.AsSpan(3, 2), System.Globalization.NumberStyles.AllowHexSpecifier, null, out var b)) _bytes[b] = id;
        }
        if (UnknownId < 0) throw new InvalidDataException($"{where}: the model has no piece for what it cannot spell.");
        var normal = file.Pieces.Where(p => p.Kind == PieceKind.Normal).Select(p => p.Score).DefaultIfEmpty(0).ToArray();
        (_unknownScore, _best) = (normal.Min() - UnknownPenalty, normal.Max());
        _index = new PrefixIndex(_spelling);
        _kept = new PrefixIndex(_spelling.Where(s => file.Pieces[s.Value].Kind == PieceKind.UserDefined));
    }

    public override IReadOnlyDictionary<string, int> Vocabulary => _ids;

    public override int UnknownId { get; }

    public override void Tokenize(NormalizedText piece, List<PieceToken> tokens)
    {
        var text = piece.ToString();
        var place = 0;
        var afterUnknown = false;
        foreach (var (start, end, id) in _file.IsBytePair ? Merge(text) : Search(text))
        {
            var surface = text[start..end];
            var length = surface.EnumerateRunes().Count();
            if (id == UnknownId && _file.ByteFallback)
            {
                var bytes = Encoding.UTF8.GetBytes(surface);
                // The last byte carries the character, the others stand before it.
                for (var i = 0; i < bytes.Length; i++) tokens.Add(new PieceToken(_bytes[bytes[i]] is >= 0 and var b ? b : id, place, i == bytes.Length - 1 ? place + length : place));
            }
            else if (id == UnknownId && afterUnknown) tokens[^1] = tokens[^1] with { End = place + length, Surface = tokens[^1].Surface + surface };
            else tokens.Add(new PieceToken(id, place, place + length, id == UnknownId ? surface : null));
            afterUnknown = id == UnknownId;
            place += length;
        }
    }

    private List<(int Start, int End, int Id)> Search(string text)
    {
        var (best, from, chosen) = (new float[text.Length + 1], new int[text.Length + 1], new int[text.Length + 1]);
        Array.Fill(from, -1);
        void Offer(int end, float score, int start, int id)
        {
            if (from[end] >= 0 && score <= best[end]) return;
            (best[end], from[end], chosen[end]) = (score, start, id);
        }
        var found = new List<(int Length, int Id)>();
        for (var at = 0; at < text.Length;)
        {
            var width = char.IsHighSurrogate(text[at]) ? 2 : 1;
            var single = false;
            _index.Find(text.AsSpan(at), found);
            foreach (var (length, id) in found)
            {
                var (_, score, kind) = _file.Pieces[id];
                if (kind == PieceKind.Unused) continue;
                // A piece of the user's own is always taken; its length counts in bytes.
                if (kind == PieceKind.UserDefined) score = (float)(Encoding.UTF8.GetByteCount(text.AsSpan(at, length)) * _best - 0.1);
                Offer(at + length, score + best[at], at, id);
                single |= length == width;
            }
            if (!single) Offer(at + width, _unknownScore + best[at], at, UnknownId);
            at += width;
        }
        var path = new List<(int, int, int)>();
        for (var end = text.Length; end > 0; end = from[end]) path.Add((from[end], end, chosen[end]));
        path.Reverse();
        return path;
    }

    private List<(int Start, int End, int Id)> Merge(string text)
    {
        var symbols = new List<(int Start, int End, int Previous, int Next, bool Kept)>();
        var found = new List<(int Length, int Id)>();
        for (var at = 0; at < text.Length;)
        {
            _kept.Find(text.AsSpan(at), found);
            var length = found.Count > 0 ? found[^1].Length : char.IsHighSurrogate(text[at]) ? 2 : 1;
            symbols.Add((at, at + length, symbols.Count - 1, symbols.Count + 1, found.Count > 0));
            at += length;
        }
        if (symbols.Count > 0) symbols[^1] = symbols[^1] with { Next = -1 };
        var waiting = new PriorityQueue<(int Left, int Right, int Length), (float Score, int Left)>(Comparer<(float Score, int Left)>.Create((a, b) => a.Score != b.Score ? b.Score.CompareTo(a.Score) : a.Left.CompareTo(b.Left)));
        var parts = new Dictionary<string, (string Left, string Right)>(StringComparer.Ordinal);
        void Offer(int left, int right)
        {
            if (left < 0 || right < 0 || symbols[left].Kept || symbols[right].Kept) return;
            var piece = text[symbols[left].Start..symbols[right].End];
            if (!_spelling.TryGetValue(piece, out var id)) return;
            waiting.Enqueue((left, right, piece.Length), (_file.Pieces[id].Score, left));
            if (_file.Pieces[id].Kind == PieceKind.Unused) parts[piece] = (text[symbols[left].Start..symbols[left].End], text[symbols[right].Start..symbols[right].End]);
        }
        for (var i = 1; i < symbols.Count; i++) Offer(i - 1, i);
        while (waiting.TryDequeue(out var best, out _))
        {
            var (left, right) = (symbols[best.Left], symbols[best.Right]);
            if (left.Start == left.End || right.Start == right.End || left.End - left.Start + right.End - right.Start != best.Length) continue;
            symbols[best.Left] = left with { End = right.End, Next = right.Next };
            if (right.Next >= 0) symbols[right.Next] = symbols[right.Next] with { Previous = best.Left };
            symbols[best.Right] = right with { Start = right.End };
            Offer(symbols[best.Left].Previous, best.Left);
            Offer(best.Left, symbols[best.Left].Next);
        }
        var path = new List<(int, int, int)>();
        void Add(int start, int end)
        {
            var piece = text[start..end];
            var id = _spelling.GetValueOrDefault(piece, UnknownId);
            if (id != UnknownId && _file.Pieces[id].Kind == PieceKind.Unused && parts.TryGetValue(piece, out var halves))
            {
                Add(start, start + halves.Left.Length);
                Add(start + halves.Left.Length, end);
            }
            else path.Add((start, end, id));
        }
        for (var i = symbols.Count > 0 ? 0 : -1; i >= 0; i = symbols[i].Next) Add(symbols[i].Start, symbols[i].End);
        return path;
    }
}

/// <summary>SentencePiece's own way back: the mark becomes a space, the first one goes where it was put there, bytes become characters.</summary>
internal sealed class SentencePieceDecoder(SentencePieceFile file) : TokenDecoder
{
    private readonly Dictionary<string, PieceKind> _kinds = file.Pieces.GroupBy(p => p.Text, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.First().Kind, StringComparer.Ordinal);

    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
    {
        var text = new StringBuilder();
        var bytes = new List<byte>();
        void Flush()
        {
            for (var rest = bytes.ToArray().AsSpan(); rest.Length > 0;)
            {
                var good = Rune.DecodeFromUtf8(rest, out var rune, out var used) == System.Buffers.OperationStatus.Done;
                text.Append(good ? rune.ToString() : "\uFFFD");
                rest = rest[(good ? used : 1)..];
            }
            bytes.Clear();
        }
        var (first, spaceSeen) = (true, false);
        foreach (var token in tokens)
        {
            if (!_kinds.TryGetValue(token, out var kind))
            {
                Flush();
                text.Append(token);                                          // another model's piece stays as it is
                continue;
            }
            if (kind == PieceKind.Byte)
            {
                bytes.Add(Convert.ToByte(token[3..5], 16));
                continue;
            }
            Flush();
            if (spaceSeen || text.Length > 0) first = false;
            spaceSeen = false;
            if (kind == PieceKind.Control) continue;
            if (kind == PieceKind.Unknown)
            {
                text.Append(file.UnknownSurface);
                continue;
            }
            var piece = token;
            if (first && (file.AddDummyPrefix || file.RemoveExtraSpaces) && piece.StartsWith('▁'))
            {
                piece = piece[1..];
                spaceSeen = !file.RemoveExtraSpaces;
            }
            text.Append(piece.Replace('▁', ' '));
        }
        Flush();
        return [text.ToString()];
    }
}
