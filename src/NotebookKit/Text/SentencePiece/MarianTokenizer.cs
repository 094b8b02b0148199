using System.Text.RegularExpressions;


namespace NotebookKit.Text.SentencePiece;

/// <summary>
/// The tokenizer of Marian's translation models: one SentencePiece model for the source language, one for the target, and a vocabulary of their pieces in
/// <c>vocab.json</c>. A language code such as <c>&gt;&gt;fra&lt;&lt;</c> before a text is a token. Immutable and thread-safe.
/// </summary>
public sealed partial class MarianTokenizer
{
    private readonly Tokenizer _source, _target;
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<int, string> _pieces;
    private readonly string[] _special;

    private MarianTokenizer(Tokenizer source, Tokenizer target, Dictionary<string, int> ids, IReadOnlyDictionary<string, string> roles)
    {
        (_source, _target, _ids) = (source, target, ids);
        _pieces = ids.GroupBy(i => i.Value).ToDictionary(g => g.Key, g => g.First().Key);
        string Role(string name, string usual) => roles.GetValueOrDefault(name, usual);
        _special = [Role("eos_token", "</s>"), Role("unk_token", "<unk>"), Role("pad_token", "<pad>")];
    }

    /// <summary>Id that ends a text.</summary>
    public int EndId => _ids[_special[0]];

    /// <summary>Id of pieces that are not in the vocabulary.</summary>
    public int UnknownId => _ids[_special[1]];

    /// <summary>Id that fills a row, and begins an answer.</summary>
    public int PadId => _ids[_special[2]];

    /// <summary>Number of pieces in the vocabulary.</summary>
    public int VocabularySize => _ids.Count;

    /// <summary>Whether a model folder holds this kind of tokenizer.</summary>
    public static bool IsIn(string folder) => new[] { "source.spm", "target.spm", "vocab.json" }.All(f => File.Exists(Path.Combine(folder, f)));

    /// <summary>Reads <c>source.spm</c>, <c>target.spm</c> and <c>vocab.json</c> of a model folder.</summary>
    /// <exception cref="FileNotFoundException">One of them is absent.</exception>
    /// <exception cref="InvalidDataException">One of them is malformed, or the vocabulary lacks a token it must have.</exception>
    public static MarianTokenizer Load(string folder)
    {
        string At(string name) => File.Exists(Path.Combine(folder, name)) ? Path.Combine(folder, name) : throw new FileNotFoundException($"No {name} in '{folder}'. A Marian model needs source.spm, target.spm and vocab.json.", name);
        var ids = TokenizerFiles.Ids(At("vocab.json"));
        var tokenizer = new MarianTokenizer(TokenizerFiles.SentencePiece(At("source.spm")), TokenizerFiles.SentencePiece(At("target.spm")), ids, TokenizerFiles.Roles(folder));
        foreach (var token in tokenizer._special)
            if (!ids.ContainsKey(token)) throw new InvalidDataException($"'{At("vocab.json")}' lacks the token {token}.");
        return tokenizer;
    }

    /// <summary>The pieces of a text and the token that ends it.</summary>
    /// <param name="text">A text; a language code may stand before it.</param>
    /// <param name="target">Whether it is in the language translated to.</param>
    /// <param name="addEnd">Whether to add the token that ends a text. Default yes.</param>
    public IReadOnlyList<string> Tokenize(string text, bool target = false, bool addEnd = true)
    {
        var pieces = new List<string>();
        foreach (var part in Regex.Split(text, $"({string.Join('|', _special.Select(Regex.Escape))})"))
        {
            if (part.Length == 0) continue;
            if (_special.Contains(part))
            {
                pieces.Add(part);
                continue;
            }
            var rest = part;
            if (LanguageCode().Match(rest) is { Success: true } code)
            {
                pieces.Add(code.Value);
                rest = rest[code.Length..];
            }
            pieces.AddRange((target ? _target : _source).EncodeWithOffsets(rest, addSpecialTokens: false).Tokens);
        }
        if (addEnd) pieces.Add(_special[0]);
        return pieces;
    }

    /// <summary>The ids of a text and the token that ends it.</summary>
    /// <param name="text">A text; a language code may stand before it.</param>
    /// <param name="target">Whether it is in the language translated to.</param>
    /// <param name="addEnd">Whether to add the token that ends a text. Default yes.</param>
    public int[] Encode(string text, bool target = false, bool addEnd = true) => [.. Tokenize(text, target, addEnd).Select(p => _ids.GetValueOrDefault(p, UnknownId))];

    /// <summary>The text of ids.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out. Default yes.</param>
    /// <param name="target">Whether it is in the language translated to. Default yes.</param>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true, bool target = true)
    {
        var text = new System.Text.StringBuilder();
        var pieces = new List<string>();
        void Flush()
        {
            text.Append((target ? _target : _source).DecodePieces(pieces));
            pieces.Clear();
        }
        foreach (var id in ids)
        {
            var piece = _pieces.GetValueOrDefault(id, _special[1]);
            if (!_special.Contains(piece))
            {
                pieces.Add(piece);
                continue;
            }
            if (skipSpecialTokens) continue;
            Flush();
            text.Append(piece).Append(' ');
        }
        Flush();
        return text.ToString().Replace('▁', ' ').Trim();
    }

    [GeneratedRegex("^>>.+<<")]
    private static partial Regex LanguageCode();
}
