namespace Fovea.Kernels;

/// <summary>
/// Keys or values [Heads,Rows,Dim] in a number format. Formats that can are multiplied as they are; of others a tile is decoded for all query rows. Nothing larger than a tile ever is.
/// </summary>
public readonly unsafe struct FormatRows<TFormat>(byte* start, long rows, int dim) : IRowSource where TFormat : struct, INumberFormat
{
    /// <summary>Rows decoded at a time: they and what they are multiplied with stay in L1.</summary>
    const int Tile = 16;
    readonly long bytes = Formats.RowBytes<TFormat>(dim);
    bool Whole => dim % TFormat.Block == 0;

    public void Dots<TLanes, V>(int head, int first, int n, float* x, int count, float* to, nint step, float* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        byte* at = start + (head * rows + first) * bytes;
        if (TFormat.Direct(dim)) { TFormat.Dots(new(at, n, (nint)bytes), dim, x, count, to, step); return; }
        for (int j = 0; j < n; j += Tile)
        {
            int some = Math.Min(Tile, n - j);
            Decode(at + j * bytes, some, scratch); DenseRows.Dots<TLanes, V>(scratch, dim, some, x, count, to + j, step);
        }
    }

    public void Sweep<TLanes, V>(int head, int first, int n, float* p, nint step, float* to, int count, float* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        byte* at = start + (head * rows + first) * bytes;
        if (TFormat.Direct(dim)) { TFormat.Sweep(new(at, n, (nint)bytes), dim, p, step, to, count); return; }
        for (int j = 0; j < n; j += Tile)
        {
            int some = Math.Min(Tile, n - j);
            Decode(at + j * bytes, some, scratch); DenseRows.Sweep<TLanes, V>(scratch, dim, some, p + j, step, to, count);
        }
    }

    /// <summary>Rows [first, first + n) of the first head into to [n,Dim].</summary>
    internal void Decode(int first, int n, float* to) => Decode(start + first * bytes, n, to);

    void Decode(byte* at, int n, float* scratch)
    {
        // Rows of whole blocks lie side by side: one long row.
        if (Whole) { Formats.DecodeRow<TFormat>(at, scratch, n * dim); return; }
        for (int i = 0; i < n; i++, at += bytes) Formats.DecodeRow<TFormat>(at, scratch + (nint)i * dim, dim);
    }
}

/// <summary>Attention over a cache that stays in its format.</summary>
public static unsafe class QuantisedAttention
{
    /// <summary>
    /// As <see cref="Flash.Forward{TScore,TPattern}"/> with keys and values [B,G,KeyRows] of rows in a format (see <see cref="Formats"/>), for any number of queries.
    /// </summary>
    public static void Forward<TScore, TPattern, TKeys, TValues>(in AttentionSize s, ReadOnlySpan<float> q, ReadOnlySpan<byte> k, ReadOnlySpan<byte> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, Span<float> o, Span<float> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern where TKeys : struct, INumberFormat where TValues : struct, INumberFormat
    {
        s.Check(); long rows = (long)s.Batch * s.KvHeads * s.KeyRows;
        if (k.Length < rows * Formats.RowBytes<TKeys>(s.Dim)) throw new ArgumentException($"k holds {k.Length} bytes, {rows} rows of {s.Dim} numbers as {TKeys.Name} need {rows * Formats.RowBytes<TKeys>(s.Dim)}");
        if (v.Length < rows * Formats.RowBytes<TValues>(s.ValueDim)) throw new ArgumentException($"v holds {v.Length} bytes, {rows} rows of {s.ValueDim} numbers as {TValues.Name} need {rows * Formats.RowBytes<TValues>(s.ValueDim)}");
        fixed (byte* pk = k, pv = v)
            Flash.Few<TScore, TPattern, SoftmaxWeights, FormatRows<TKeys>, FormatRows<TValues>>(s, q, new(pk, s.KeyRows, s.Dim), new(pv, s.KeyRows, s.ValueDim), queryOffset, keyPositions, score, pattern, null, o, lse);
    }
}
