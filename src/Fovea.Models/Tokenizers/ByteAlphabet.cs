namespace Fovea.Models;

/// <summary>
/// The alphabet that byte-level vocabularies are written in (GPT-2): every byte as one printable character, itself where it is printable and U+0100 and up in order elsewhere.
/// </summary>
static class ByteAlphabet
{
    static readonly int[] letters = Letters();
    static readonly short[] bytes = Bytes();

    static int[] Letters()
    {
        var all = new int[256]; int next = 256;
        for (int b = 0; b < 256; b++) all[b] = b is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or >= 0xae ? b : next++;
        return all;
    }
    static short[] Bytes()
    {
        var all = new short[324];
        Array.Fill(all, (short)-1);
        for (int b = 0; b < 256; b++) all[letters[b]] = (short)b;
        return all;
    }

    public static int Letter(byte b) => letters[b];
    /// <summary>The byte that a character stands for, or −1.</summary>
    public static int Byte(int letter) => (uint)letter < (uint)bytes.Length ? bytes[letter] : -1;

    /// <summary>The bytes that a token of such a vocabulary stands for; null where it is not written in the alphabet, as added tokens often are not.</summary>
    public static byte[]? TryDecode(string token)
    {
        var all = new byte[token.Length];
        for (int i = 0; i < all.Length; i++) if (Byte(token[i]) is >= 0 and var b) all[i] = (byte)b; else return null;
        return all;
    }
}
