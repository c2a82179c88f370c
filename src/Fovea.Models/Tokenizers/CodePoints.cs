using System.Buffers;
using System.Globalization;
using System.Text;
namespace Fovea.Models;

/// <summary>
/// Text as whole Unicode code points, so that those above U+FFFF are one and not two. A byte that is no UTF-8 stands for itself as <see cref="Raw"/> + byte, of no category:
/// nothing is lost on the way back.
/// </summary>
static class CodePoints
{
    /// <summary>The first value behind Unicode.</summary>
    public const int Raw = 0x110000;

    /// <summary>Appends the code points of some bytes.</summary>
    public static void Decode(ReadOnlySpan<byte> text, PieceText to)
    {
        var free = to.Reserve(text.Length); int n = 0;
        while (!text.IsEmpty)
        {
            if (text[0] < 0x80) { free[n++] = text[0]; text = text[1..]; continue; }
            var status = Rune.DecodeFromUtf8(text, out var rune, out int used);
            if (status == OperationStatus.Done) free[n++] = rune.Value;
            else for (int i = 0; i < used; i++) free[n++] = Raw + text[i];
            text = text[used..];
        }
        to.Length += n;
    }

    public static int[] Of(string text)
    {
        var t = new PieceText();
        Decode(Encoding.UTF8.GetBytes(text), t);
        return t.All.ToArray();
    }

    /// <summary>Writes a code point as UTF-8, or the byte it stands for; returns how many bytes that are.</summary>
    public static int Encode(int c, Span<byte> to)
    {
        if (c < 0x80) { to[0] = (byte)c; return 1; }
        if (c >= Raw) { to[0] = (byte)(c - Raw); return 1; }
        return Rune.TryCreate(c, out var rune) ? rune.EncodeToUtf8(to) : Rune.ReplacementChar.EncodeToUtf8(to);
    }

    public static byte[] Encode(ReadOnlySpan<int> text)
    {
        var bytes = new byte[4 * text.Length]; int n = 0;
        foreach (int c in text) n += Encode(c, bytes.AsSpan(n));
        return bytes[..n];
    }

    public static UnicodeCategory Category(int c) => c < Raw ? CharUnicodeInfo.GetUnicodeCategory(c) : UnicodeCategory.OtherNotAssigned;
    /// <summary>The property White_Space.</summary>
    public static bool IsSpace(int c) => c < 0x10000 && char.IsWhiteSpace((char)c);
}

/// <summary>A growing text of code points.</summary>
sealed class PieceText
{
    int[] all = [];
    public int Length { get; set; }
    public ReadOnlySpan<int> All => all.AsSpan(0, Length);

    /// <summary>Room for so many more behind Length, which the caller moves.</summary>
    public Span<int> Reserve(int more)
    {
        if (all.Length < Length + more) Array.Resize(ref all, Math.Max(Length + more, 2 * all.Length));
        return all.AsSpan(Length);
    }
    public void Add(int c) { Reserve(1)[0] = c; Length++; }
    public void Add(ReadOnlySpan<int> more) { more.CopyTo(Reserve(more.Length)); Length += more.Length; }
}
