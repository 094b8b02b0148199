namespace NotebookKit.Text;

/// <summary>A text as tokens. Offsets are code points [start, end) of the text as it was given.</summary>
public sealed record TokenEncoding
{
    /// <summary>Token ids.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>Their texts, as the vocabulary spells them.</summary>
    public required IReadOnlyList<string> Tokens { get; init; }

    /// <summary>Code points [start, end) of each token in its own text; (0, 0) for tokens that stand for no text.</summary>
    public required IReadOnlyList<(int Start, int End)> Offsets { get; init; }

    /// <summary>Which of two texts a token belongs to, as the model wants it said.</summary>
    public required IReadOnlyList<int> TypeIds { get; init; }

    /// <summary>1 for tokens, 0 for padding.</summary>
    public required IReadOnlyList<int> AttentionMask { get; init; }

    /// <summary>1 for tokens that stand for no text.</summary>
    public required IReadOnlyList<int> SpecialTokensMask { get; init; }

    /// <summary>The word each token belongs to, counted from 0 in its own text; <c>null</c> for tokens that stand for no text.</summary>
    public required IReadOnlyList<int?> WordIds { get; init; }

    /// <summary>What truncation cut off, as further windows.</summary>
    public IReadOnlyList<TokenEncoding> Overflowing { get; init; } = [];

    /// <summary>Number of tokens.</summary>
    public int Length => Ids.Count;

    internal static TokenEncoding Empty { get; } = new() { Ids = [], Tokens = [], Offsets = [], TypeIds = [], AttentionMask = [], SpecialTokensMask = [], WordIds = [] };

    internal static TokenEncoding Special(IReadOnlyList<int> ids, IReadOnlyList<string> tokens, int typeId) => new()
    {
        Ids = ids, Tokens = tokens, Offsets = [.. ids.Select(_ => (0, 0))], TypeIds = [.. ids.Select(_ => typeId)], AttentionMask = [.. ids.Select(_ => 1)],
        SpecialTokensMask = [.. ids.Select(_ => 1)], WordIds = [.. ids.Select(_ => (int?)null)],
    };

    internal TokenEncoding OfType(int typeId) => this with { TypeIds = [.. Ids.Select(_ => typeId)] };

    internal TokenEncoding WithOverflowing(Func<TokenEncoding, TokenEncoding> change) => this with { Overflowing = [.. Overflowing.Select(change)] };

    /// <summary>Tokens [start, end), without what overflows.</summary>
    internal TokenEncoding Slice(int start, int end)
    {
        IReadOnlyList<T> Part<T>(IReadOnlyList<T> list) => [.. list.Skip(start).Take(end - start)];
        return new()
        {
            Ids = Part(Ids), Tokens = Part(Tokens), Offsets = Part(Offsets), TypeIds = Part(TypeIds), AttentionMask = Part(AttentionMask), SpecialTokensMask = Part(SpecialTokensMask), WordIds = Part(WordIds),
        };
    }

    /// <summary>One after the other; each window of the one with each of the other.</summary>
    internal TokenEncoding Then(TokenEncoding other)
    {
        var windows = Overflowing.SelectMany(mine => other.Overflowing.Prepend(other).Select(mine.Joined)).Concat(other.Overflowing.Select(Joined)).ToArray();
        return Joined(other) with { Overflowing = windows };
    }

    private TokenEncoding Joined(TokenEncoding other) => new()
    {
        Ids = [.. Ids, .. other.Ids], Tokens = [.. Tokens, .. other.Tokens], Offsets = [.. Offsets, .. other.Offsets], TypeIds = [.. TypeIds, .. other.TypeIds],
        AttentionMask = [.. AttentionMask, .. other.AttentionMask], SpecialTokensMask = [.. SpecialTokensMask, .. other.SpecialTokensMask], WordIds = [.. WordIds, .. other.WordIds],
    };
}
