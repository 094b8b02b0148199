using System.Buffers.Binary;
using System.Text;

namespace NotebookKit.Text.SentencePiece;

/// <summary>What a piece stands for.</summary>
internal enum PieceKind { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 }

/// <summary>
/// A SentencePiece <c>.model</c> file: a protocol-buffers message with the pieces and how text is normalised. Fields and defaults are those of
/// sentencepiece_model.proto (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto). Only data is read; nothing in the file can run.
/// </summary>
internal sealed record SentencePieceFile
{
    public IReadOnlyList<(string Text, float Score, PieceKind Kind)> Pieces { get; private init; } = [];
    public bool IsBytePair { get; private set; }
    public bool ByteFallback { get; private set; }
    public bool SpaceAsSuffix { get; private set; }
    public bool AddDummyPrefix { get; private set; } = true;
    public bool RemoveExtraSpaces { get; private set; } = true;
    public bool EscapeSpaces { get; private set; } = true;
    public byte[] CharacterMap { get; private set; } = [];
    public string UnknownSurface { get; private set; } = " \u2047 ";

    /// <exception cref="InvalidDataException">The file is cut short, or no SentencePiece model, or of a kind the kit does not read.</exception>
    public static SentencePieceFile Load(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var pieces = new List<(string, float, PieceKind)>();
        var file = new SentencePieceFile { Pieces = pieces };
        try
        {
            foreach (var (field, value, number) in Fields(bytes))
            {
                if (field == 1) pieces.Add(Piece(value));
                else if (field == 2) file.ReadTrainer(value, path);
                else if (field == 3) file.ReadNormalizer(value);
            }
        }
        catch (Exception e) when (e is EndOfStreamException or ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"'{path}' is not a SentencePiece model, or was cut short: {e.Message}", e);
        }
        return pieces.Count > 0 ? file : throw new InvalidDataException($"'{path}' is not a SentencePiece model: it holds no pieces.");
    }

    private static (string, float, PieceKind) Piece(byte[] message)
    {
        var (text, score, kind) = ("", 0f, PieceKind.Normal);
        foreach (var (field, value, number) in Fields(message))
        {
            if (field == 1) text = Encoding.UTF8.GetString(value);
            else if (field == 2) score = BitConverter.Int32BitsToSingle((int)number);
            else if (field == 3) kind = (PieceKind)number;
        }
        return (text, score, kind);
    }

    private void ReadTrainer(byte[] message, string path)
    {
        foreach (var (field, value, number) in Fields(message))
        {
            if (field == 3) IsBytePair = number switch { 1 => false, 2 => true, _ => throw new InvalidDataException($"'{path}' is a {(number == 3 ? "word" : "character")} model; the kit reads Unigram and BPE.") };
            else if (field == 24) SpaceAsSuffix = number != 0;
            else if (field == 35) ByteFallback = number != 0;
            else if (field == 44) UnknownSurface = Encoding.UTF8.GetString(value);
        }
    }

    private void ReadNormalizer(byte[] message)
    {
        foreach (var (field, value, number) in Fields(message))
        {
            if (field == 2) CharacterMap = value;
            else if (field == 3) AddDummyPrefix = number != 0;
            else if (field == 4) RemoveExtraSpaces = number != 0;
            else if (field == 5) EscapeSpaces = number != 0;
        }
    }

    /// <summary>The fields of a message: number, bytes (of a length-delimited field), and value (of a number).</summary>
    private static IEnumerable<(int Field, byte[] Bytes, long Number)> Fields(byte[] message)
    {
        for (var at = 0; at < message.Length;)
        {
            var tag = Varint(message, ref at);
            var field = checked((int)(tag >> 3));
            switch (tag & 7)
            {
                case 0: yield return (field, [], Varint(message, ref at)); break;
                case 1: yield return (field, [], BinaryPrimitives.ReadInt64LittleEndian(Take(message, ref at, 8))); break;
                case 5: yield return (field, [], BinaryPrimitives.ReadInt32LittleEndian(Take(message, ref at, 4))); break;
                case 2: yield return (field, Take(message, ref at, Varint(message, ref at)).ToArray(), 0); break;
                default: throw new ArgumentException($"field {field} has the unknown wire type {tag & 7}");
            }
        }
    }

    private static long Varint(byte[] message, ref int at)
    {
        var value = 0L;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var b = Take(message, ref at, 1)[0];
            value |= (long)(b & 0x7F) << shift;
            if (b < 0x80) return value;
        }
        throw new ArgumentException("a number of more than ten bytes");
    }

    private static ReadOnlySpan<byte> Take(byte[] message, ref int at, long length)
    {
        if (length < 0 || length > message.Length - at) throw new EndOfStreamException($"{length} bytes are wanted at {at}, {message.Length - at} are there");
        at += (int)length;
        return message.AsSpan(at - (int)length, (int)length);
    }
}
