namespace Fovea.Models;

/// <summary>A stretch of text on its way to a model: code points, and the ranges of them that are tokenised each for itself, in order.</summary>
sealed class Pieces(PieceText text, bool atStart)
{
    public PieceText Text { get; private set; } = text;
    public List<(int Start, int End)> Ranges { get; private set; } = text.Length > 0 ? [(0, text.Length)] : [];
    /// <summary>Whether the first piece begins where the whole input does.</summary>
    public bool AtStart { get; } = atStart;
    /// <summary>Whether the code points are those of <see cref="ByteAlphabet"/>.</summary>
    public bool Mapped { get; set; }
    public PatternRun Run { get; } = new();

    public ReadOnlySpan<int> this[(int Start, int End) range] => Text.All[range.Start..range.End];

    /// <summary>Puts other ranges of the same text in place.</summary>
    public void Cut(List<(int, int)> ranges) => Ranges = ranges;

    /// <summary>Writes every piece anew.</summary>
    public void Rewrite(Action<int, PieceText> write)
    {
        var text = new PieceText(); var ranges = new List<(int, int)>(Ranges.Count);
        text.Reserve(Text.Length + Ranges.Count);
        for (int i = 0; i < Ranges.Count; i++)
        {
            int start = text.Length;
            write(i, text);
            if (text.Length > start) ranges.Add((start, text.Length));
        }
        (Text, Ranges) = (text, ranges);
    }

    /// <summary>The pieces as bytes side by side, and where each ends.</summary>
    public (byte[] Bytes, int[] Ends) ToBytes()
    {
        var bytes = new byte[4 * Text.Length]; var ends = new int[Ranges.Count]; int n = 0;
        for (int i = 0; i < ends.Length; i++)
        {
            foreach (int c in this[Ranges[i]])
                if (Mapped && ByteAlphabet.Byte(c) is >= 0 and var b) bytes[n++] = (byte)b;
                else n += CodePoints.Encode(c, bytes.AsSpan(n));
            ends[i] = n;
        }
        return (bytes, ends);
    }
}

/// <summary>A step on the way.</summary>
abstract class PieceStep
{
    public abstract void Apply(Pieces pieces);
}
