using System.Text;
namespace Fovea.Models;

/// <summary>Bytes to token ids and back. Byte-level vocabularies lose nothing: Decode(Encode(x)) is x for every x, UTF-8 or not; others may normalise and know unknown characters.</summary>
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

    /// <summary>
    /// Token ids with special tokens: where <paramref name="special"/>, the names of control tokens in the text become those tokens, which text of unknown origin must not be given;
    /// where <paramref name="boundaries"/>, the tokens that the vocabulary wants before and behind a text are added.
    /// </summary>
    public virtual int[] Encode(ReadOnlySpan<byte> bytes, bool special, bool boundaries = false) => Encode(bytes);
    /// <summary>The same for a text.</summary>
    public int[] Encode(string text, bool special, bool boundaries = false) => Encode(Encoding.UTF8.GetBytes(text), special, boundaries);

    /// <summary>
    /// A part of a text whose origin is unknown, with <paramref name="mark"/> wherever a name of a control token would be found in it, or made of it and what stands beside it. <see cref="EncodeMarked"/> reads it as ordinary text, whatever is written around it.
    /// The mark must not be in the text. Names of a single character cannot be kept apart.
    /// </summary>
    public virtual string Mark(string text, char mark) => text;
    /// <summary>Token ids of a text in which names of control tokens become those tokens, but where a mark keeps them apart; marks are left out.</summary>
    public virtual int[] EncodeMarked(string text, char mark) => Encode(text.Replace($"{mark}", "", StringComparison.Ordinal), special: true);

    /// <summary>The bytes of one token within a text; control tokens have none unless they are shown.</summary>
    public virtual byte[] Piece(int token, bool showControl = false) => Decode([token]);
    /// <summary>How many spaces at the beginning of the first token that is shown Decode leaves out, at most, because Encode put them there.</summary>
    public virtual int LeadingSpaces => 0;

    /// <summary>The token that begins a text, if there is one.</summary>
    public virtual int? Bos => null;
    /// <summary>The token that ends a text, if there is one.</summary>
    public virtual int? Eos => null;
    /// <summary>Whether generation ends with this token: of a text, a turn or a message.</summary>
    public virtual bool Ends(int token) => false;

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
