using System.Collections.Concurrent;
using System.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;

namespace NotebookKit.Text.Vocabularies;

/// <summary>
/// Byte-pair encoding (Sennrich et al. 2016) as the tokenizers library does it: of all neighbours, the pair with the lowest rank is merged first, the
/// leftmost of equals. Words already spelled are remembered.
/// </summary>
internal sealed class BytePairModel : TokenModel
{
    private const int MostRemembered = 100_000, LongestRemembered = 64, Short = 48;
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<ulong, (int Rank, int Id)> _merges;
    private readonly Dictionary<int, int> _single = [];                      // ids of single characters, where nothing is put before or after them
    private readonly string _prefix, _suffix;
    private readonly int _unknown;
    private readonly bool _fuseUnknown, _ignoreMerges;
    private readonly int[]? _bytes;
    private readonly ConcurrentDictionary<string, PieceToken[]> _remembered = new(StringComparer.Ordinal);

    public BytePairModel(Dictionary<string, int> ids, IEnumerable<(string Left, string Right)> merges, string where, string? unknown = null, string prefix = "", string suffix = "",
        bool fuseUnknown = false, bool byteFallback = false, bool ignoreMerges = false)
    {
        (_ids, _prefix, _suffix, _fuseUnknown, _ignoreMerges) = (ids, prefix, suffix, fuseUnknown, ignoreMerges);
        _unknown = unknown is null ? -1 : ids.TryGetValue(unknown, out var id) ? id : throw new InvalidDataException($"{where}: unk_token '{unknown}' is not in the vocabulary.");
        _merges = [];
        var rank = 0;
        foreach (var (left, right) in merges)
        {
            int IdOf(string token) => ids.TryGetValue(token, out var found) ? found
                : throw new InvalidDataException($"{where}: merges[{rank}] ('{left}' '{right}') needs the token '{token}', which the vocabulary lacks.");
            _merges[Pair(IdOf(left), IdOf(right))] = (rank, IdOf(left + (right.StartsWith(prefix, StringComparison.Ordinal) ? right[prefix.Length..] : right)));
            rank++;
        }
        if (prefix.Length == 0 && suffix.Length == 0)
            foreach (var (token, tokenId) in ids)
                if (token.Length == 1 || token.Length == 2 && char.IsHighSurrogate(token[0])) _single[char.ConvertToUtf32(token, 0)] = tokenId;
        if (!byteFallback) return;
        _bytes = new int[256];
        for (var b = 0; b < 256; b++) _bytes[b] = ids.GetValueOrDefault($"<0x{b:X2}>", -1);
    }

    public static BytePairModel Parse(JsonField json)
    {
        if (json.Has("dropout") && json["dropout"].Element.ValueKind == System.Text.Json.JsonValueKind.Number && json["dropout"].Element.GetDouble() > 0)
            throw json["dropout"].Wrong("null or 0 (the kit tokenizes without dropout)");
        return new BytePairModel(Ids(json), Merges(json), json.Where, json.OptionalText("unk_token"), json.Text("continuing_subword_prefix", ""), json.Text("end_of_word_suffix", ""),
            json.Flag("fuse_unk", false), json.Flag("byte_fallback", false), json.Flag("ignore_merges", false));
    }

    public override IReadOnlyDictionary<string, int> Vocabulary => _ids;

    public override int UnknownId => _unknown;

    public override void Tokenize(NormalizedText piece, List<PieceToken> tokens)
    {
        if (piece.Count == 0) return;
        tokens.AddRange(Tokenize(piece.ToString()));
    }

    /// <summary>Spells one word; the answer is shared and must not be changed.</summary>
    public PieceToken[] Tokenize(string word)
    {
        if (_remembered.TryGetValue(word, out var known)) return known;
        var spelled = Spell(word);
        if (word.Length <= LongestRemembered && _remembered.Count < MostRemembered) _remembered.TryAdd(word, spelled);
        return spelled;
    }

    /// <summary>Spells the bytes of a word in GPT-2's alphabet, remembering nothing.</summary>
    internal PieceToken[] Spell(ReadOnlySpan<byte> bytes)
    {
        Span<char> letters = bytes.Length <= 256 ? stackalloc char[bytes.Length] : new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++) letters[i] = ByteAlphabet.Characters[bytes[i]];
        if (_ignoreMerges || _single.Count == 0) return Spell(letters.ToString());
        var symbols = new List<PieceToken>(bytes.Length);
        foreach (var letter in letters)
        {
            if (!_single.TryGetValue(letter, out var id)) return Spell(letters.ToString());   // a byte without a token
            symbols.Add(new PieceToken(id, symbols.Count, symbols.Count + 1));
        }
        return Merge(symbols);
    }

    private PieceToken[] Spell(string word)
    {
        var count = word.EnumerateRunes().Count();
        if (_ignoreMerges && _ids.TryGetValue(word, out var whole)) return [new PieceToken(whole, 0, count)];
        var symbols = new List<PieceToken>(count);
        var (unknownStart, unknownEnd, at) = (-1, -1, 0);
        void FlushUnknown()
        {
            if (unknownStart >= 0) symbols.Add(new PieceToken(_unknown, unknownStart, unknownEnd));
            unknownStart = -1;
        }
        Span<byte> bytes = stackalloc byte[4];
        foreach (var rune in word.EnumerateRunes())
        {
            string? text = null;
            string Affixed() => text ??= (at > 0 ? _prefix : "") + rune + (at == count - 1 ? _suffix : "");
            if (_single.TryGetValue(rune.Value, out var id) || _single.Count == 0 && _ids.TryGetValue(Affixed(), out id))
            {
                FlushUnknown();
                symbols.Add(new PieceToken(id, at, at + 1));
            }
            else if (_bytes is not null && SpellBytes(Affixed(), at, symbols)) { }
            else if (_unknown >= 0)
            {
                if (unknownStart >= 0 && _fuseUnknown) unknownEnd = at + 1;
                else
                {
                    FlushUnknown();
                    (unknownStart, unknownEnd) = (at, at + 1);
                }
            }
            at++;
        }
        FlushUnknown();
        return Merge(symbols);
    }

    private bool SpellBytes(string text, int at, List<PieceToken> symbols)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (Array.Exists(bytes, b => _bytes![b] < 0)) return false;
        foreach (var b in bytes) symbols.Add(new PieceToken(_bytes![b], at, at + 1));
        return true;
    }

    private PieceToken[] Merge(List<PieceToken> symbols)
    {
        var n = symbols.Count;
        if (n < 2) return [.. symbols];
        if (n <= Short) return MergeShort(symbols);
        int[] id = new int[n], next = new int[n], previous = new int[n], start = new int[n], end = new int[n];
        for (var i = 0; i < n; i++) (id[i], next[i], previous[i], start[i], end[i]) = (symbols[i].Id, i + 1 < n ? i + 1 : -1, i - 1, symbols[i].Start, symbols[i].End);
        var waiting = new PriorityQueue<(int At, int Id), long>();
        void Offer(int left)
        {
            if (left >= 0 && next[left] >= 0 && _merges.TryGetValue(Pair(id[left], id[next[left]]), out var merge)) waiting.Enqueue((left, merge.Id), (long)merge.Rank << 32 | (uint)left);
        }
        for (var i = 0; i < n - 1; i++) Offer(i);
        while (waiting.TryDequeue(out var best, out _))
        {
            var (left, right) = (best.At, id[best.At] < 0 ? -1 : next[best.At]);
            if (right < 0 || !_merges.TryGetValue(Pair(id[left], id[right]), out var merge) || merge.Id != best.Id) continue;   // a neighbour was merged since
            (id[left], end[left], next[left], id[right]) = (merge.Id, end[right], next[right], -1);
            if (next[left] >= 0) previous[next[left]] = left;
            Offer(previous[left]);
            Offer(left);
        }
        var tokens = new List<PieceToken>(n);
        for (var i = 0; i >= 0; i = next[i]) tokens.Add(new PieceToken(id[i], start[i], end[i]));
        return [.. tokens];
    }

    /// <summary>The same without a queue, which short words do not repay.</summary>
    private PieceToken[] MergeShort(List<PieceToken> symbols)
    {
        Span<(int Rank, int Id)> merges = stackalloc (int, int)[Short];      // of each symbol with the next
        var count = symbols.Count;
        (int Rank, int Id) Of(int left) => left + 1 < count && _merges.TryGetValue(Pair(symbols[left].Id, symbols[left + 1].Id), out var merge) ? merge : (int.MaxValue, -1);
        for (var i = 0; i < count; i++) merges[i] = Of(i);
        while (count > 1)
        {
            var best = 0;
            for (var i = 1; i < count - 1; i++)
                if (merges[i].Rank < merges[best].Rank) best = i;
            if (merges[best].Rank == int.MaxValue) break;
            symbols[best] = new PieceToken(merges[best].Id, symbols[best].Start, symbols[best + 1].End);
            symbols.RemoveAt(best + 1);
            count--;
            merges[(best + 2)..(count + 1)].CopyTo(merges[(best + 1)..]);
            merges[best] = Of(best);
            if (best > 0) merges[best - 1] = Of(best - 1);
        }
        return [.. symbols];
    }

    private static ulong Pair(int left, int right) => (ulong)(uint)left << 32 | (uint)right;

    private static IEnumerable<(string, string)> Merges(JsonField json)
    {
        foreach (var merge in json.Items("merges"))
        {
            if (merge.Element.ValueKind == System.Text.Json.JsonValueKind.Array && merge.Element.GetArrayLength() == 2)
                yield return (merge.Element[0].GetString() ?? "", merge.Element[1].GetString() ?? "");
            else if (merge.Element.ValueKind == System.Text.Json.JsonValueKind.String && merge.Element.GetString()!.Split(' ') is [var left, var right])
                yield return (left, right);
            else throw merge.Wrong("two tokens");
        }
    }
}
