namespace Fovea.Models;

/// <summary>Remembers where in one call a piece has been tokenised already; words come again and again.</summary>
sealed class PieceCache(int most)
{
    readonly record struct Entry(int Start, int End, int First, int Last);
    readonly Entry[] entries = new Entry[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Min(2 * most, 1 << 16))];

    ref Entry At(ReadOnlySpan<byte> piece) => ref entries[TokenTable.Hash(piece) & (uint)(entries.Length - 1)];

    /// <summary>Appends the ids of the same piece before, if it is remembered.</summary>
    public bool Repeat(byte[] bytes, int start, int end, List<int> ids)
    {
        var piece = bytes.AsSpan(start..end);
        var e = At(piece);
        if (e.End == 0 || !bytes.AsSpan(e.Start..e.End).SequenceEqual(piece)) return false;
        for (int i = e.First; i < e.Last; i++) ids.Add(ids[i]);
        return true;
    }

    /// <summary>Remembers ids first … last − 1 for a piece, in place of whatever had the same hash.</summary>
    public void Add(byte[] bytes, int start, int end, int first, int last) => At(bytes.AsSpan(start..end)) = new(start, end, first, last);
}
