using System.Text;
namespace Fovea.Models;

/// <summary>Bytes to token ids and back, without loss: Decode(Encode(x)) is x for every x, UTF-8 or not.</summary>
public abstract class Tokenizer
{
    /// <summary>Ids are 0 … VocabularySize − 1.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>Token ids of any bytes.</summary>
    public abstract int[] Encode(ReadOnlySpan<byte> bytes);
    /// <summary>Token ids of the text's UTF-8 bytes (lone surrogates become U+FFFD).</summary>
    public int[] Encode(string text) => Encode(Encoding.UTF8.GetBytes(text));

    /// <summary>The bytes that the ids stand for; an id outside the vocabulary is an <see cref="ArgumentOutOfRangeException"/>.</summary>
    public abstract byte[] Decode(ReadOnlySpan<int> tokens);
    /// <summary>Decode as UTF-8, with U+FFFD where the bytes are none.</summary>
    public string DecodeText(ReadOnlySpan<int> tokens) => Encoding.UTF8.GetString(Decode(tokens));

    private protected ArgumentOutOfRangeException Unknown(int token, int at) => new("tokens", token, $"tokens[{at}] is {token}, expected 0 to {VocabularySize - 1}");
}

/// <summary>Every byte is a token.</summary>
public sealed class ByteTokenizer : Tokenizer
{
    public override int VocabularySize => 256;

    public override int[] Encode(ReadOnlySpan<byte> bytes)
    {
        var tokens = new int[bytes.Length];
        for (int i = 0; i < tokens.Length; i++) tokens[i] = bytes[i];
        return tokens;
    }

    public override byte[] Decode(ReadOnlySpan<int> tokens)
    {
        var bytes = new byte[tokens.Length];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = tokens[i] is >= 0 and < 256 ? (byte)tokens[i] : throw Unknown(tokens[i], i);
        return bytes;
    }
}
