using System.Buffers;
using System.Text;
using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Splitting;

namespace NotebookKit.Text.Vocabularies;

/// <summary>
/// The short way of byte-level BPE when only ids are wanted: words are found in the text as it is and looked up as they stand. It gives up, and leaves the long
/// way, where a text has characters beyond the basic plane, is not in its normal form, or an added token has conditions.
/// </summary>
internal sealed class ByteWords
{
    private const int MostRemembered = 200_000, LongestRemembered = 48;
    private readonly Pattern _pattern;
    private readonly BytePairModel _model;
    private readonly bool _composes;
    private readonly SearchValues<string>? _addedTexts;
    private readonly AddedToken[] _added;
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, int[]> _remembered = new(StringComparer.Ordinal);
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    private ByteWords(Pattern pattern, BytePairModel model, bool composes, AddedToken[] added)
    {
        (_pattern, _model, _composes) = (pattern, model, composes);
        _added = [.. added.Where(a => a.Content.Length > 0).OrderByDescending(a => a.Content.Length)];
        _addedTexts = _added.Length == 0 ? null : SearchValues.Create([.. _added.Select(a => a.Content).Distinct()], StringComparison.Ordinal);
        _lookup = _remembered.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public static ByteWords? Of(Normalizer? normalizer, PreTokenizer? splitter, TokenModel model, IReadOnlyList<AddedToken> added)
    {
        if (splitter?.BytePattern is not { } pattern || model is not BytePairModel pairs || normalizer is not null && !normalizer.OnlyComposes) return null;
        // Added tokens of the normalised text may overlap those of the raw text; conditions need their surroundings.
        if (added.Any(a => a.SingleWord || a.StripsLeft || a.StripsRight || a.Normalized && normalizer is not null && !a.Content.IsNormalized()) || added.Select(a => a.Normalized).Distinct().Count() > 1) return null;
        return new ByteWords(pattern, pairs, normalizer is not null, [.. added]);
    }

    /// <summary>Adds the ids of a text; false where the long way must be gone.</summary>
    public bool TryEncode(string text, List<int> ids)
    {
        if (text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF') || _composes && !Ascii.IsValid(text) && !UnicodeForm.IsNormalized(text, NormalizationForm.FormC)) return false;
        for (var rest = text.AsSpan(); rest.Length > 0;)
        {
            var at = _addedTexts is null ? -1 : rest.IndexOfAny(_addedTexts);
            AddWords(at < 0 ? rest : rest[..at], ids);
            if (at < 0) break;
            rest = rest[at..];
            foreach (var token in _added)
            {
                if (!rest.StartsWith(token.Content, StringComparison.Ordinal)) continue;
                ids.Add(token.Id);
                rest = rest[token.Content.Length..];
                break;
            }
        }
        return true;
    }

    private void AddWords(ReadOnlySpan<char> text, List<int> ids)
    {
        var last = 0;
        foreach (var match in _pattern.Regex.EnumerateMatches(text))
        {
            if (match.Length == 0) continue;
            if (match.Index > last) AddWord(text[last..match.Index], ids);
            AddWord(text.Slice(match.Index, match.Length), ids);
            last = match.Index + match.Length;
        }
        if (last < text.Length) AddWord(text[last..], ids);
    }

    private void AddWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (!_lookup.TryGetValue(word, out var known))
        {
            var bytes = new byte[Encoding.UTF8.GetByteCount(word)];
            Encoding.UTF8.GetBytes(word, bytes);
            known = Array.ConvertAll(_model.Spell(bytes), t => t.Id);
            if (word.Length <= LongestRemembered && _remembered.Count < MostRemembered) _lookup.TryAdd(word, known);
        }
        ids.AddRange(known);
    }
}
