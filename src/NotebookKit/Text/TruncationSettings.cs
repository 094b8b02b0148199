using NotebookKit.Text.Reading;

namespace NotebookKit.Text;

/// <summary>Which of two texts is cut.</summary>
public enum TruncationStrategy
{
    /// <summary>The longer one, down to the other's length, then both.</summary>
    LongestFirst,
    /// <summary>The first.</summary>
    OnlyFirst,
    /// <summary>The second.</summary>
    OnlySecond,
}

/// <summary>On which side something is cut or filled.</summary>
public enum TextSide
{
    /// <summary>At the end.</summary>
    Right,
    /// <summary>At the beginning.</summary>
    Left,
}

/// <summary>How a text longer than the model takes is cut; what is cut off comes back as further windows.</summary>
public sealed record TruncationSettings
{
    /// <summary>Most tokens, those that stand for no text counted. Default 512.</summary>
    public int MaximumLength { get; init; } = 512;

    /// <summary>Which of two texts is cut. Default the longer one.</summary>
    public TruncationStrategy Strategy { get; init; }

    /// <summary>Tokens that neighbouring windows share; below the room a window has for text. Default 0.</summary>
    public int Stride { get; init; }

    /// <summary>Where is cut. Default at the end.</summary>
    public TextSide Side { get; init; }

    internal static TruncationSettings? Read(JsonField json) => json.IsNull ? null : new()
    {
        MaximumLength = json.Int("max_length"), Stride = json.Int("stride", 0),
        Strategy = json.Text("strategy", "LongestFirst") switch { "LongestFirst" => TruncationStrategy.LongestFirst, "OnlyFirst" => TruncationStrategy.OnlyFirst, "OnlySecond" => TruncationStrategy.OnlySecond, _ => throw json["strategy"].Wrong("LongestFirst, OnlyFirst or OnlySecond") },
        Side = ReadSide(json),
    };

    internal static TextSide ReadSide(JsonField json) => json.Text("direction", "Right") switch { "Right" => TextSide.Right, "Left" => TextSide.Left, _ => throw json["direction"].Wrong("Right or Left") };

    /// <summary>Cuts one or two texts so that, with <paramref name="added"/> tokens more, they fit. The library's algorithm and its messages.</summary>
    /// <exception cref="ArgumentException">The strategy cannot reach the length, or the stride leaves no room.</exception>
    internal (TokenEncoding First, TokenEncoding? Second) Apply(TokenEncoding first, TokenEncoding? second, int added)
    {
        if (MaximumLength < added) throw new ArgumentException($"At most {MaximumLength} tokens are wanted, and {added} of them stand for no text: nothing is left for the text.");
        var room = MaximumLength - added;
        if (room == 0) return (Cut(first, 0), second is null ? null : Cut(second, 0));
        var total = first.Length + (second?.Length ?? 0);
        if (total <= room) return (first, second);
        if (Strategy == TruncationStrategy.LongestFirst)
        {
            if (second is null) return (Cut(first, room), null);
            var (shorter, longer) = (Math.Min(first.Length, second.Length), Math.Max(first.Length, second.Length));
            longer = shorter > room ? shorter : Math.Max(shorter, room - shorter);
            if (shorter + longer > room) (shorter, longer) = (room / 2, room / 2 + room % 2);
            return first.Length > second.Length ? (Cut(first, longer), Cut(second, shorter)) : (Cut(first, shorter), Cut(second, longer));
        }
        var target = Strategy == TruncationStrategy.OnlyFirst ? first : second ?? throw new ArgumentException("Truncation error: Second sequence not provided");
        if (target.Length <= total - room) throw new ArgumentException("Truncation error: Sequence to truncate too short to respect the provided max_length");
        var cut = Cut(target, target.Length - (total - room));
        return Strategy == TruncationStrategy.OnlyFirst ? (cut, second) : (first, cut);
    }

    private TokenEncoding Cut(TokenEncoding text, int length)
    {
        if (length >= text.Length) return text;
        if (length == 0) return TokenEncoding.Empty with { Overflowing = [text] };
        if (Stride >= length)
            throw new ArgumentException($"`stride` must be strictly less than `max_len={length}` (note that `max_len` may be shorter than the max length of the original model, as it subtracts the number of special characters");
        var windows = new List<TokenEncoding>();
        for (var moved = 0; moved < text.Length; moved += length - Stride)
        {
            var (start, end) = Side == TextSide.Right ? (moved, Math.Min(moved + length, text.Length)) : (Math.Max(text.Length - moved - length, 0), text.Length - moved);
            windows.Add(text.Slice(start, end));
            if (Side == TextSide.Right ? end == text.Length : start == 0) break;
        }
        return windows[0] with { Overflowing = windows[1..] };
    }
}

/// <summary>How texts of a batch are filled up to one length.</summary>
public sealed record PaddingSettings
{
    /// <summary>The length; <c>null</c> is the longest of the batch. Default <c>null</c>.</summary>
    public int? Length { get; init; }

    /// <summary>The length is rounded up to a multiple of this; <c>null</c> is not. Default <c>null</c>.</summary>
    public int? MultipleOf { get; init; }

    /// <summary>Where is filled. Default at the end.</summary>
    public TextSide Side { get; init; }

    /// <summary>Id to fill with. Default 0.</summary>
    public int Id { get; init; }

    /// <summary>Type id to fill with. Default 0.</summary>
    public int TypeId { get; init; }

    /// <summary>Token to fill with. Default <c>[PAD]</c>.</summary>
    public string Token { get; init; } = "[PAD]";

    internal static PaddingSettings? Read(JsonField json) => json.IsNull ? null : new()
    {
        Length = json["strategy"].Element.ValueKind == System.Text.Json.JsonValueKind.Object ? json["strategy"].Int("Fixed") : null,
        MultipleOf = json.Has("pad_to_multiple_of") ? json.Int("pad_to_multiple_of") : null, Side = TruncationSettings.ReadSide(json),
        Id = json.Int("pad_id", 0), TypeId = json.Int("pad_type_id", 0), Token = json.Text("pad_token", "[PAD]"),
    };

    internal TokenEncoding[] Apply(IReadOnlyList<TokenEncoding> batch)
    {
        var length = Length ?? (batch.Count == 0 ? 0 : batch.Max(e => e.Length));
        if (MultipleOf is > 0 and { } multiple) length = (length + multiple - 1) / multiple * multiple;
        return [.. batch.Select(e => Fill(e, length))];
    }

    private TokenEncoding Fill(TokenEncoding text, int length)
    {
        var filled = text.Overflowing.Count == 0 ? text : text.WithOverflowing(o => Fill(o, length));
        if (text.Length >= length) return filled;
        var padding = TokenEncoding.Special([.. Enumerable.Repeat(Id, length - text.Length)], [.. Enumerable.Repeat(Token, length - text.Length)], TypeId)
            with { AttentionMask = new int[length - text.Length] };
        var (first, second) = Side == TextSide.Right ? (filled with { Overflowing = [] }, padding) : (padding, filled with { Overflowing = [] });
        return first.Then(second) with { Overflowing = filled.Overflowing };
    }
}
