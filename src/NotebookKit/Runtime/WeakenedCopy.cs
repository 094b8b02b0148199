using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace NotebookKit.Runtime;

/// <summary>
/// Makes a copy of an ELF library in which one symbol version it asks for is marked weak, so that a loader whose C++ runtime
/// lacks that version accepts the file. The original is never touched.
/// </summary>
internal static class WeakenedCopy
{
    private const uint SectionVersionNeeds = 0x6ffffffe; // SHT_GNU_verneed
    private const ushort WeakFlag = 2;                   // VER_FLG_WEAK

    /// <summary>Path of the weakened copy in the user's cache, made when it is not there yet (written aside, then moved).</summary>
    public static string Of(string library, string version)
    {
        var bytes = File.ReadAllBytes(library);
        var hash = Convert.ToHexStringLower(SHA256.HashData(bytes))[..16];
        var folder = CacheFolder.Of("native", hash);
        var target = Path.Combine(folder, Path.GetFileName(library));
        if (File.Exists(target)) return target;

        if (Weaken(bytes, version) == 0)
            throw new DllNotFoundException($"{library} could not be loaded, and it does not ask for {version}, the one need this kit knows how to lift.");
        WholeFile.Write(target, bytes);
        return target;
    }

    /// <summary>Sets the weak flag on every need of <paramref name="version"/>; returns how many there were.</summary>
    internal static int Weaken(Span<byte> elf, string version)
    {
        if (elf.Length < 64 || !elf[..4].SequenceEqual("\u007fELF"u8) || elf[4] != 2 || elf[5] != 1)
            throw new DllNotFoundException("not a 64-bit little-endian ELF file");
        var sectionTable = (int)BinaryPrimitives.ReadInt64LittleEndian(elf[0x28..]);
        var sectionSize = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3A..]);
        var sectionCount = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3C..]);
        var wanted = Encoding.ASCII.GetBytes(version + "\0");
        var weakened = 0;
        for (var s = 0; s < sectionCount; s++)
        {
            var header = elf[(sectionTable + s * sectionSize)..];
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) != SectionVersionNeeds) continue;
            var needs = (int)BinaryPrimitives.ReadInt64LittleEndian(header[0x18..]);
            var stringSection = elf[(sectionTable + (int)BinaryPrimitives.ReadUInt32LittleEndian(header[0x28..]) * sectionSize)..];
            var strings = (int)BinaryPrimitives.ReadInt64LittleEndian(stringSection[0x18..]);

            for (var need = needs; ;)
            {
                var aux = need + (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(need + 8)..]);
                while (true)
                {
                    var name = strings + (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(aux + 8)..]);
                    if (elf.Slice(name, wanted.Length).SequenceEqual(wanted))
                    {
                        var flags = elf[(aux + 4)..];
                        BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | WeakFlag));
                        weakened++;
                    }
                    var nextAux = (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(aux + 12)..]);
                    if (nextAux == 0) break;
                    aux += nextAux;
                }
                var nextNeed = (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(need + 12)..]);
                if (nextNeed == 0) break;
                need += nextNeed;
            }
        }
        return weakened;
    }
}
