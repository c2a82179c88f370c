namespace Fovea.Models;

/// <summary>SentencePiece's byte pair encoding: neighbours that make a token become it, the token with the highest score first.</summary>
sealed class ScoreModel : MergeModel
{
    readonly TokenTable tokens;
    readonly uint[] orders;
    readonly int[] bytes = new int[256];
    readonly int unknown;

    public ScoreModel(TokenTable tokens, double[] scores, int unknown)
    {
        (this.tokens, this.unknown) = (tokens, unknown);
        orders = Array.ConvertAll(scores, Order);
        for (int b = 0; b < 256; b++)
        {
            bytes[b] = tokens.Find(System.Text.Encoding.ASCII.GetBytes($"<0x{b:X2}>"));
            if (bytes[b] < 0) bytes[b] = tokens.Find([(byte)b]);
        }
    }

    /// <summary>A number that is smaller the higher the score: the bits of a float in its order, turned round.</summary>
    static uint Order(double score)
    {
        int bits = BitConverter.SingleToInt32Bits((Single)(score == 0 ? 0 : score));
        return ~(uint)(bits >= 0 ? bits ^ int.MinValue : ~bits);
    }

    protected override int Symbols(ReadOnlySpan<byte> piece, Span<Symbol> to)
    {
        int n = 0;
        for (int at = 0, length; at < piece.Length; at += length)
        {
            System.Text.Rune.DecodeFromUtf8(piece[at..], out _, out length);
            to[n++] = new() { Start = at, End = at + length, Id = tokens.Find(piece.Slice(at, length)) };
        }
        return n;
    }

    protected override long Order(ReadOnlySpan<byte> piece, in Symbol left, in Symbol right, out int id)
    {
        id = tokens.Find(piece[left.Start..right.End]);
        return id < 0 ? -1 : orders[id];
    }

    protected override void Emit(ReadOnlySpan<byte> piece, in Symbol symbol, List<int> ids)
    {
        if (symbol.Id >= 0) { ids.Add(symbol.Id); return; }
        foreach (byte b in piece[symbol.Start..symbol.End])
            if (bytes[b] >= 0) ids.Add(bytes[b]);
            else if (unknown >= 0) ids.Add(unknown);
    }
}
