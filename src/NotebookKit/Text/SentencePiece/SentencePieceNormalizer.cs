using System.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Text.SentencePiece;

/// <summary>SentencePiece's own normalisation: its compiled rules by the longest match, white space escaped and folded, a space put before the text.</summary>
internal sealed class SentencePieceNormalizer : Normalizer
{
    private const int Mark = '▁';
    private readonly SentencePieceFile _file;
    private readonly CharacterMap? _map;
    private readonly PrefixIndex _kept;

    public SentencePieceNormalizer(SentencePieceFile file, string where)
    {
        _file = file;
        _map = file.CharacterMap.Length > 0 ? CharacterMap.Parse(file.CharacterMap, where) : null;
        _kept = new PrefixIndex(file.Pieces.Where(p => p.Kind == PieceKind.UserDefined).Select((p, i) => KeyValuePair.Create(p.Text, i)));
    }

    public override void Apply(NormalizedText text)
    {
        var source = text.ToString();
        var bytes = Encoding.UTF8.GetBytes(source);
        var (runes, places) = (new List<int>(source.Length + 1), new List<int>(source.Length + 1));
        var (at, byteAt, place) = (0, 0, 0);                                 // in UTF-16 units, bytes and code points
        var found = new List<(int Length, int Id)>();
        void Space(int where)
        {
            runes.Add(_file.EscapeSpaces ? Mark : ' ');
            places.Add(where);
        }
        (string Text, int Length) Next()
        {
            _kept.Find(source.AsSpan(at), found);
            if (found.Count > 0) return (source.Substring(at, found[^1].Length), found[^1].Length);
            if (_map?.Match(bytes.AsSpan(byteAt), longest: true, out var matched) is { } replaced) return (replaced, Encoding.UTF8.GetCharCount(bytes.AsSpan(byteAt, matched)));
            var width = char.IsHighSurrogate(source[at]) ? 2 : 1;
            return (source.Substring(at, width), width);
        }
        void Skip(int length)
        {
            byteAt += Encoding.UTF8.GetByteCount(source.AsSpan(at, length));
            for (var i = at; i < at + length; i++)
                if (!char.IsLowSurrogate(source[i])) place++;
            at += length;
        }
        while (_file.RemoveExtraSpaces && at < source.Length && Next() is (" ", var length)) Skip(length);
        if (at < source.Length)
        {
            if (!_file.SpaceAsSuffix && _file.AddDummyPrefix) Space(place);
            var afterSpace = _file.RemoveExtraSpaces;
            while (at < source.Length)
            {
                var (next, length) = Next();
                if (afterSpace) next = next.TrimStart(' ');
                foreach (var rune in next.EnumerateRunes())
                {
                    if (rune.Value == ' ') Space(place);
                    else
                    {
                        runes.Add(rune.Value);
                        places.Add(place);
                    }
                }
                if (next.Length > 0) afterSpace = next[^1] == ' ';
                if (!_file.RemoveExtraSpaces) afterSpace = false;
                Skip(length);
            }
            while (_file.RemoveExtraSpaces && runes.Count > 0 && runes[^1] == (_file.EscapeSpaces ? Mark : ' '))
            {
                place = places[^1];
                runes.RemoveAt(runes.Count - 1);
                places.RemoveAt(places.Count - 1);
            }
            if (_file.SpaceAsSuffix && _file.AddDummyPrefix) Space(place);
        }
        // A piece goes from where its first character came from to where the one after its last did.
        text.Set([.. runes], [.. places.Select(p => Origin(text, p))], [.. places.Skip(1).Append(place).Select(p => Origin(text, p))]);
    }

    private static int Origin(NormalizedText text, int place) => text.Count == 0 ? text.Begin : place < text.Count ? text.Origin(place, place + 1).Start : text.Origin(text.Count - 1, text.Count).End;
}
