using NotebookKit.Text.Normalizing;
using NotebookKit.Text.Reading;
using NotebookKit.Text.Splitting;
using NotebookKit.Text.Vocabularies;

namespace NotebookKit.Text;

/// <summary>
/// Turns text into the ids of a pretrained model and back, as the reference implementation does. Reads Hugging Face's <c>tokenizer.json</c>, plain
/// <c>vocab.txt</c>, <c>vocab.json</c> with <c>merges.txt</c>, and SentencePiece's <c>.model</c>. Immutable and thread-safe.
/// </summary>
public sealed class Tokenizer
{
    private readonly AddedTokens _added;
    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer? _splitter;
    private readonly TokenModel _model;
    private readonly PostProcessor? _post;
    private readonly TokenDecoder? _decoder;
    private readonly string[] _tokens;
    private readonly HashSet<string> _special;
    private readonly SpecialRoles _roles;
    private readonly ByteWords? _byteWords;
    private readonly int[] _before, _after;

    internal Tokenizer(TokenizerParts parts)
    {
        (_normalizer, _splitter, _model, _post, _decoder, Truncation, Padding, Source) = (parts.Normalizer, parts.Splitter, parts.Model, parts.Post, parts.Decoder, parts.Truncation, parts.Padding, parts.Json);
        _added = new AddedTokens(parts.Added, parts.Normalizer);
        _special = parts.Added.Where(t => t.Special).Select(t => t.Content).ToHashSet(StringComparer.Ordinal);
        _tokens = new string[Math.Max(_model.Vocabulary.Values.Append(-1).Max(), parts.Added.Select(a => a.Id).Append(-1).Max()) + 1];
        foreach (var (token, id) in _model.Vocabulary) _tokens[id] = token;
        foreach (var token in parts.Added) _tokens[token.Id] = token.Content;
        var frame = Frame(TokenEncoding.Empty with { Ids = [-1], Tokens = [""], Offsets = [(0, 0)], TypeIds = [0], AttentionMask = [1], SpecialTokensMask = [0], WordIds = [0] }, null, true).Ids.ToList();
        (_before, _after) = ([.. frame.TakeWhile(i => i >= 0)], [.. frame.SkipWhile(i => i >= 0).Skip(1)]);
        _roles = new SpecialRoles(parts.Roles, _special, IdOf, frame.Where(i => i >= 0).ToArray());
        _byteWords = ByteWords.Of(_normalizer, _splitter, _model, parts.Added);
    }

    /// <summary>Ids are below this number, special tokens included.</summary>
    public int VocabularySize => _tokens.Length;

    /// <summary>Id that fills a row up to the length of its batch; where a model has none, the one that ends a text.</summary>
    public int PadId => _roles.Find("pad_token") ?? _roles.Find("eos_token") ?? 0;

    /// <summary>Id that opens a text, such as <c>[CLS]</c> or <c>&lt;s&gt;</c>.</summary>
    /// <exception cref="InvalidOperationException">The tokenizer has none.</exception>
    public int StartId => _roles.Find("cls_token") ?? _roles.Find("bos_token") ?? throw Lacks("token that opens a text");

    /// <summary>Id that closes a text, such as <c>[SEP]</c> or <c>&lt;/s&gt;</c>.</summary>
    /// <exception cref="InvalidOperationException">The tokenizer has none.</exception>
    public int EndId => _roles.Find("sep_token") ?? _roles.Find("eos_token") ?? throw Lacks("token that closes a text");

    /// <summary>Id that hides a token in masked language modelling.</summary>
    /// <exception cref="InvalidOperationException">The tokenizer has none.</exception>
    public int MaskId => _roles.Find("mask_token") ?? throw Lacks("mask token");

    /// <summary>Id of what the vocabulary cannot spell; −1 where everything can be spelled.</summary>
    public int UnknownId => _model.UnknownId;

    /// <summary>How the file asks for long texts to be cut; <c>null</c> where it does not.</summary>
    public TruncationSettings? Truncation { get; }

    /// <summary>How the file asks for batches to be filled; <c>null</c> where it does not.</summary>
    public PaddingSettings? Padding { get; }

    /// <summary>The tokenizer.json, or the one that stands for the files read; <c>null</c> for a SentencePiece model.</summary>
    internal string? Source { get; }

    /// <summary>Reads the tokenizer of a model folder, or one of its files.</summary>
    /// <param name="path">A folder with <c>tokenizer.json</c> (or <c>vocab.txt</c>; <c>vocab.json</c> and <c>merges.txt</c>; <c>tokenizer.model</c> or <c>spiece.model</c>), or such a file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is malformed, or has a part the kit does not know; the message names file and field.</exception>
    public static Tokenizer Load(string path) => TokenizerFiles.Load(path);

    /// <summary>Makes a WordPiece tokenizer with BERT's rules from a vocabulary in id order, such as <see cref="WordPieceTrainer"/> learns.</summary>
    /// <param name="tokens">Tokens in id order, BERT's special tokens among them.</param>
    /// <param name="lowercase">Whether capitals and accents are dropped. Default yes.</param>
    public static Tokenizer FromVocabulary(IReadOnlyList<string> tokens, bool lowercase = true) => TokenizerFiles.Parse(TokenizerJson.Bert(tokens, lowercase), "the new vocabulary");

    /// <summary>The ids of a text with the tokens that stand around it, cut at the end to <paramref name="maximumLength"/> ids in all.</summary>
    /// <param name="text">Any text without half characters.</param>
    /// <param name="maximumLength">At least the number of tokens that stand around a text. Default 512.</param>
    /// <exception cref="ArgumentException">The text holds a lone surrogate.</exception>
    public int[] Encode(string text, int maximumLength = 512)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maximumLength, _before.Length + _after.Length);
        var ids = new List<int>(text.Length / 3 + 4);
        ids.AddRange(_before);
        if (_byteWords?.TryEncode(text, ids) != true)
        {
            ids.RemoveRange(_before.Length, ids.Count - _before.Length);
            var tokens = new List<PieceToken>();
            foreach (var piece in Pieces(text))
            {
                if (ids.Count > maximumLength - _after.Length) break;
                tokens.Clear();
                if (piece.AddedId >= 0) ids.Add(piece.AddedId);
                else _model.Tokenize(piece.Text, tokens);
                foreach (var token in tokens) ids.Add(token.Id);
            }
        }
        if (ids.Count > maximumLength - _after.Length) ids.RemoveRange(maximumLength - _after.Length, ids.Count - maximumLength + _after.Length);
        ids.AddRange(_after);
        return [.. ids];
    }

    /// <summary>Ids of every text, as <see cref="Encode"/> gives them: in parallel, and once for a list that comes again. The arrays are shared: do not write to them.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="maximumLength">Longest text in tokens.</param>
    /// <exception cref="ArgumentException">A text holds a lone surrogate; the message says which.</exception>
    public int[][] EncodeAll(IReadOnlyList<string> texts, int maximumLength = 512) => _cache.Get(texts, maximumLength, () =>
    {
        try { return [.. texts.AsParallel().AsOrdered().Select(t => Encode(t, maximumLength))]; }
        catch (AggregateException e) when (e.InnerExceptions[0] is ArgumentException)
        {
            // Threads came to it in any order: the first in the list is named.
            for (var i = 0; i < texts.Count; i++)
                try { Encode(texts[i], maximumLength); }
                catch (ArgumentException wrong) { throw new ArgumentException($"Text {i + 1} of {texts.Count}: {wrong.Message}", nameof(texts), wrong); }
            throw;
        }
    });

    private readonly TokenCache _cache = new(most: 8);

    /// <summary>A text, or a pair, as tokens with their places in it; neither cut nor filled.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">A second text, such as an answer to the first.</param>
    /// <param name="addSpecialTokens">Whether to put the tokens around it that the model expects.</param>
    public TokenEncoding EncodeWithOffsets(string text, string? pair = null, bool addSpecialTokens = true) => Frame(One(text, 0), pair is null ? null : One(pair, 1), addSpecialTokens);

    /// <summary>Texts, or pairs, as tokens; cut and filled as the settings say.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="pairs">A second text for each; <c>null</c> for none.</param>
    /// <param name="truncation">How to cut; <c>null</c> is not at all.</param>
    /// <param name="padding">How to fill; <c>null</c> is not at all.</param>
    /// <param name="addSpecialTokens">Whether to put the tokens around each that the model expects.</param>
    /// <exception cref="ArgumentException">The strategy cannot reach the length, or the stride leaves no room.</exception>
    public IReadOnlyList<TokenEncoding> EncodeBatch(IReadOnlyList<string> texts, IReadOnlyList<string>? pairs = null, TruncationSettings? truncation = null, PaddingSettings? padding = null, bool addSpecialTokens = true)
    {
        if (pairs is not null && pairs.Count != texts.Count) throw new ArgumentException($"{texts.Count} texts and {pairs.Count} second texts; there must be as many.", nameof(pairs));
        var all = new TokenEncoding[texts.Count];
        for (var i = 0; i < all.Length; i++)
        {
            var (first, second) = (One(texts[i], 0), pairs is null ? null : One(pairs[i], 1));
            if (truncation is not null) (first, second) = truncation.Apply(first, second, addSpecialTokens ? _post?.Added(second is not null) ?? 0 : 0);
            all[i] = Frame(first, second, addSpecialTokens);
        }
        return padding is null ? all : padding.Apply(all);
    }

    /// <summary>The text of ids.</summary>
    /// <param name="ids">Token ids; ids of no token are left out.</param>
    /// <param name="skipSpecialTokens">Whether to leave special tokens out. Default yes.</param>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        var tokens = ids.Where(i => i >= 0 && i < _tokens.Length && _tokens[i] is not null).Select(i => _tokens[i]).Where(t => !skipSpecialTokens || !_special.Contains(t)).ToArray();
        return DecodePieces(tokens);
    }

    /// <summary>The text of tokens as the vocabulary spells them.</summary>
    internal string DecodePieces(IReadOnlyList<string> tokens) => _decoder is null ? string.Join(' ', tokens) : string.Concat(_decoder.Decode(tokens));

    /// <summary>The token that an id stands for, as the vocabulary spells it.</summary>
    public string TokenOf(int id) => id >= 0 && id < _tokens.Length && _tokens[id] is { } token
        ? token : throw new ArgumentOutOfRangeException(nameof(id), id, $"Token ids are in [0, {_tokens.Length}).");

    /// <summary>The id of a token; <c>null</c> where the vocabulary has none.</summary>
    public int? IdOf(string token) => _added.All.FirstOrDefault(a => a.Content == token) is { } added ? added.Id : _model.Vocabulary.TryGetValue(token, out var id) ? id : null;

    /// <summary>Writes <c>tokenizer.json</c> into a folder.</summary>
    /// <exception cref="NotSupportedException">It was read from a SentencePiece model, which has no such form.</exception>
    public void Save(string folder)
    {
        if (Source is null) throw new NotSupportedException("A tokenizer that was read from a SentencePiece .model is kept by copying that file; it has no tokenizer.json.");
        Runtime.WholeFile.Write(Path.Combine(folder, "tokenizer.json"), Source);
    }

    private IEnumerable<Piece> Pieces(string text)
    {
        foreach (var piece in _added.Split(NormalizedText.Of(text), _normalizer))
        {
            if (piece.AddedId >= 0 || _splitter is null) yield return piece;
            else
                foreach (var word in _splitter.Split(piece.Text))
                    if (word.Count > 0) yield return new Piece(word);
        }
    }

    private TokenEncoding One(string text, int typeId)
    {
        var (ids, tokens, offsets, words) = (new List<int>(), new List<string>(), new List<(int, int)>(), new List<int?>());
        var spelled = new List<PieceToken>();
        var word = 0;
        foreach (var piece in Pieces(text))
        {
            spelled.Clear();
            if (piece.AddedId >= 0) spelled.Add(new PieceToken(piece.AddedId, 0, piece.Text.Count, piece.Text.ToString()));
            else _model.Tokenize(piece.Text, spelled);
            foreach (var (id, start, end, surface) in spelled)
            {
                ids.Add(id);
                tokens.Add(surface ?? _tokens[id]);
                offsets.Add(start < end ? piece.Text.Origin(start, end) : piece.Text.Before(start));
                words.Add(word);
            }
            word++;
        }
        var ones = Enumerable.Repeat(1, ids.Count).ToArray();
        return new TokenEncoding { Ids = ids, Tokens = tokens, Offsets = offsets, TypeIds = [.. ones.Select(_ => typeId)], AttentionMask = ones, SpecialTokensMask = new int[ids.Count], WordIds = words };
    }

    private TokenEncoding Frame(TokenEncoding first, TokenEncoding? second, bool addSpecialTokens)
    {
        IReadOnlyList<TokenEncoding> texts = second is null ? [first] : [first, second];
        return (_post?.Process(texts, addSpecialTokens) ?? texts).Aggregate(TokenEncoding.Empty, (all, part) => all.Then(part));
    }

    private static InvalidOperationException Lacks(string what) => new($"This tokenizer has no {what}.");
}
