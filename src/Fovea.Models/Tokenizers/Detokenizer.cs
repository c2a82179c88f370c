using System.Buffers;
using System.Text;
namespace Fovea.Models;

/// <summary>Text from tokens as they come: a character appears when its last byte has, so that none is ever cut in two.</summary>
public sealed class Detokenizer(Tokenizer tokenizer, bool showControl = false)
{
    readonly byte[] waiting = new byte[4];
    int held, spaces = tokenizer.LeadingSpaces;
    bool begun;

    /// <summary>Bytes that wait for the rest of their character.</summary>
    public ReadOnlySpan<byte> Waiting => waiting.AsSpan(0, held);

    /// <summary>What one more token completes; empty where a character is still unfinished. Bytes that can never become UTF-8 are U+FFFD.</summary>
    public string Push(int token)
    {
        ReadOnlySpan<byte> piece = tokenizer.Piece(token, showControl);
        if (!begun && !piece.IsEmpty)
        {
            begun = true;
            for (; spaces > 0 && !piece.IsEmpty && piece[0] == ' '; spaces--) piece = piece[1..];
        }
        var bytes = new byte[held + piece.Length];
        waiting.AsSpan(0, held).CopyTo(bytes); piece.CopyTo(bytes.AsSpan(held));
        int whole = Whole(bytes);
        held = bytes.Length - whole;
        bytes.AsSpan(whole).CopyTo(waiting);
        return Encoding.UTF8.GetString(bytes, 0, whole);
    }

    /// <summary>How many bytes are left when an unfinished character at the end is taken away.</summary>
    static int Whole(ReadOnlySpan<byte> bytes)
    {
        for (int back = 1; back <= Math.Min(3, bytes.Length); back++)
            if ((bytes[^back] & 0xc0) != 0x80) return Rune.DecodeFromUtf8(bytes[^back..], out _, out _) == OperationStatus.NeedMoreData ? bytes.Length - back : bytes.Length;
        return bytes.Length;
    }
}
