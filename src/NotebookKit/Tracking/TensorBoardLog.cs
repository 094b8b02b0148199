using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace NotebookKit.Tracking;

/// <summary>
/// Writes a run as TensorBoard reads it (<c>tensorboard --logdir folder</c>): records of length, masked CRC-32C, an Event message in protocol buffers, and its CRC
/// (https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto). Thread-safe.
/// </summary>
public sealed class TensorBoardLog : IProgress<TrainingProgress>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly FileStream _file;

    /// <summary>Begins a file of its own in a folder.</summary>
    /// <param name="folder">Made where it is absent; one folder a run.</param>
    public TensorBoardLog(string folder)
    {
        Directory.CreateDirectory(folder);
        var name = string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{DateTimeOffset.UtcNow.ToUnixTimeSeconds():D10}.{Environment.MachineName}.{Environment.ProcessId}.{Guid.NewGuid():N}");
        _file = new FileStream(Path.Combine(folder, name), FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        Write(Event(0, message => message.Text(3, "brain.Event:2")));
    }

    /// <inheritdoc/>
    public void Report(TrainingProgress value)
    {
        (string Name, double? Value)[] scalars = value switch
        {
            RunStarted => [],
            EpochEnded { Measured: var e } => [("epoch/train_loss", e.TrainLoss), ("epoch/validation_loss", e.ValidationLoss), ("epoch/validation_accuracy", e.ValidationAccuracy)],
            _ => [("step/loss", value.BatchLoss), ("step/learning_rate", value.LearningRate), ("step/gradient_norm", value.GradientNorm)],
        };
        var there = scalars.Where(s => s.Value is { } x && double.IsFinite(x)).ToArray();
        if (there.Length == 0) return;
        Write(Event(value.Step, message => message.Inside(5, summary =>
        {
            foreach (var (name, number) in there)
                summary.Inside(1, scalar =>
                {
                    scalar.Text(1, name);
                    scalar.Float(2, (float)number!.Value);
                });
        })));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>A CRC as TensorBoard's records have it: rotated and shifted, so that the CRC of data that holds CRCs is none of them.</summary>
    internal static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var b in data) crc = BitOperations.Crc32C(crc, b);
        crc = ~crc;
        return BitOperations.RotateRight(crc, 15) + 0xa282ead8;
    }

    private static byte[] Event(long step, Action<Message> fill)
    {
        var message = new Message();
        message.Double(1, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0);
        if (step != 0) message.Integer(2, step);
        fill(message);
        return message.ToArray();
    }

    private void Write(byte[] data)
    {
        var record = new byte[12 + data.Length + 4];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), MaskedCrc(record.AsSpan(0, 8)));
        data.CopyTo(record, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + data.Length), MaskedCrc(data));
        lock (_lock)
        {
            _file.Write(record);
            _file.Flush();
        }
    }

    /// <summary>The few forms of protocol buffers that scalars need (https://protobuf.dev/programming-guides/encoding/).</summary>
    private sealed class Message
    {
        private readonly MemoryStream _bytes = new();

        public void Double(int field, double value)
        {
            Key(field, 1);
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteDoubleLittleEndian(bytes, value);
            _bytes.Write(bytes);
        }

        public void Float(int field, float value)
        {
            Key(field, 5);
            Span<byte> bytes = stackalloc byte[4];
            BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            _bytes.Write(bytes);
        }

        public void Integer(int field, long value)
        {
            Key(field, 0);
            Varint((ulong)value);
        }

        public void Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

        public void Inside(int field, Action<Message> fill)
        {
            var inner = new Message();
            fill(inner);
            Bytes(field, inner.ToArray());
        }

        public byte[] ToArray() => _bytes.ToArray();

        private void Bytes(int field, byte[] value)
        {
            Key(field, 2);
            Varint((ulong)value.Length);
            _bytes.Write(value);
        }

        private void Key(int field, int form) => Varint((ulong)(field << 3 | form));

        private void Varint(ulong value)
        {
            for (; value >= 0x80; value >>= 7) _bytes.WriteByte((byte)(value | 0x80));
            _bytes.WriteByte((byte)value);
        }
    }
}
