using System.Buffers.Binary;
using System.Text;
namespace Fovea.Models;

/// <summary>
/// SentencePiece's precompiled rules of normalisation: a double array (every unit with an offset, a label and a leaf bit) from a few bytes to where their replacement stands, then the replacements, each
/// with a zero behind it.
/// </summary>
sealed class CharsMap
{
    readonly uint[] units;
    readonly byte[] texts;

    public CharsMap(ReadOnlySpan<byte> blob)
    {
        if (blob.Length < 4) throw Bad($"has {blob.Length} bytes, expected at least 4");
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (size % 4 != 0 || size > blob.Length - 4) throw Bad($"says its table has {size} bytes, but {blob.Length - 4} follow");
        units = new uint[size / 4];
        for (int i = 0; i < units.Length; i++) units[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[(4 + 4 * i)..]);
        texts = blob[(4 + (int)size)..].ToArray();
        if (texts.Length > 0 && texts[^1] != 0) throw Bad("ends within a replacement");
    }

    /// <summary>
    /// What the text begins with and becomes: the longest such beginning, or the <paramref name="shortest"/>. Length is 0 where there is no rule.
    /// </summary>
    public ReadOnlySpan<byte> Replace(ReadOnlySpan<byte> text, bool shortest, out int length)
    {
        length = 0; int found = -1;
        if (units.Length == 0) return [];
        uint at = Offset(units[0]);
        for (int i = 0; i < text.Length && text[i] != 0; i++)
        {
            at ^= text[i];
            if (at >= units.Length) break;
            uint unit = units[at];
            if ((unit & (1u << 31 | 0xff)) != text[i]) break;
            at ^= Offset(unit);
            if ((unit >> 8 & 1) == 0) continue;
            if (at >= units.Length) break;
            (found, length) = ((int)(units[at] & int.MaxValue), i + 1);
            if (shortest) break;
        }
        if (found < 0) return [];
        if (found >= texts.Length) throw Bad($"points at byte {found} of {texts.Length} bytes of replacements");
        var rest = texts.AsSpan(found);
        return rest[..rest.IndexOf((byte)0)];
    }

    static uint Offset(uint unit) => unit >> 10 << (int)((unit & 1u << 9) >> 6);
    static InvalidDataException Bad(string what) => new($"the precompiled character map {what}");
}
