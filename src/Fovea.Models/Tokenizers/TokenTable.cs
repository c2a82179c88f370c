namespace Fovea.Models;

/// <summary>The texts of all tokens, as bytes, and the way back from bytes to ids. Of equal texts the first counts.</summary>
sealed class TokenTable
{
    readonly byte[] all;
    readonly int[] ends, slots;
    readonly int mask;

    public TokenTable(IReadOnlyList<byte[]> tokens)
    {
        ends = new int[tokens.Count]; long total = 0;
        for (int i = 0; i < ends.Length; i++) ends[i] = (total += tokens[i].Length) <= Array.MaxLength ? (int)total : throw new InvalidDataException($"the texts of the tokens have more than {Array.MaxLength} bytes");
        all = new byte[total];
        for (int i = 0; i < ends.Length; i++) tokens[i].CopyTo(all, Start(i));
        mask = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2 * ends.Length, 4)) - 1;
        slots = new int[mask + 1];
        for (int i = 0; i < ends.Length; i++)
        {
            ref int slot = ref Slot(this[i]);
            if (slot == 0) slot = i + 1;
        }
    }

    public int Count => ends.Length;
    int Start(int id) => id == 0 ? 0 : ends[id - 1];
    public ReadOnlySpan<byte> this[int id] => all.AsSpan(Start(id)..ends[id]);

    /// <summary>The id of a text, or −1.</summary>
    public int Find(ReadOnlySpan<byte> text) => Slot(text) - 1;

    /// <summary>Where the id of a text stands, plus one, or the empty place where it would.</summary>
    ref int Slot(ReadOnlySpan<byte> text)
    {
        for (int i = (int)Hash(text) & mask; ; i = (i + 1) & mask) if (slots[i] == 0 || this[slots[i] - 1].SequenceEqual(text)) return ref slots[i];
    }

    public static uint Hash(ReadOnlySpan<byte> text)
    {
        ulong h = (ulong)text.Length * 0x9e3779b97f4a7c15;
        for (; text.Length >= 8; text = text[8..]) h = (h ^ System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(text)) * 0xff51afd7ed558ccd >> 7 ^ h << 27;
        foreach (byte b in text) h = (h ^ b) * 0x100000001b3;
        h ^= h >> 32;
        return (uint)(h * 0x9e3779b97f4a7c15 >> 32);
    }
}
