namespace Fovea.Kernels;

/// <summary>Arguments of one backward call. DLse may be null; DQ, DK, DV are added into.</summary>
readonly unsafe struct FlashBackwardData(Real* q, Real* k, Real* v, Real* o, Real* lse, Real* dLse, Real* dO, Real* dq, Real* dk, Real* dv)
{
    public readonly Real* Q = q, K = k, V = v, O = o, Lse = lse, DLse = dLse, DO = dO, DQ = dq, DK = dk, DV = dv;
}

/// <summary>
/// What one backward task works on: keys [Low, High) of key head Kv, packed for the products, their gradients, and one block of queries.
/// D and E are the row lengths of what is read or written in whole registers: the sizes, rounded up.
/// </summary>
readonly unsafe struct FlashBackwardMemory<TLanes, V> where TLanes : struct, ILanes<V> where V : struct
{
    public readonly int Kv, Low, High, D, E;
    public readonly Real* KT, VT, K, DK, DV, Q, DO, DQ, P, G, Raw;
    public readonly int* Runs;

    public FlashBackwardMemory(Scratch scratch, in AttentionSize s, in FlashBackwardData data, int kv, int low, int high, int rows, int stride)
    {
        int wide = 2 * TLanes.Count, keys = high - low, tiles = (keys + wide - 1) / wide; long first = (long)kv * s.KeyRows + low;
        (Kv, Low, High, D, E) = (kv, low, high, (s.Dim + wide - 1) / wide * wide, (s.ValueDim + wide - 1) / wide * wide);
        KT = scratch.Take((long)tiles * wide * s.Dim); VT = scratch.Take((long)tiles * wide * s.ValueDim);
        for (int t = 0; t < tiles; t++)
        {
            int n = Math.Min(wide, keys - t * wide);
            Pack.Transposed(data.K + (first + t * wide) * s.Dim, s.Dim, n, s.Dim, KT + (nint)t * wide * s.Dim, wide);
            Pack.Transposed(data.V + (first + t * wide) * s.ValueDim, s.ValueDim, n, s.ValueDim, VT + (nint)t * wide * s.ValueDim, wide);
        }
        K = scratch.Take((long)keys * D);
        Pack.Straight<TLanes, V>(data.K + first * s.Dim, s.Dim, s.Dim, keys, K, D);
        DK = scratch.Take((long)keys * D); DV = scratch.Take((long)keys * E);
        for (int j = 0; j < keys; j++) { new Span<Real>(DK + (nint)j * D, D).Clear(); new Span<Real>(DV + (nint)j * E, E).Clear(); }
        Q = scratch.Take((long)rows * D); DQ = scratch.Take((long)rows * D); DO = scratch.Take((long)rows * E);
        P = scratch.Take((long)rows * stride); G = scratch.Take((long)rows * stride); Raw = scratch.Take(stride); Runs = scratch.TakeInts(2 * stride);
    }

    /// <summary>Takes in n rows of queries, multiplied with the scale, and of dO, and starts their dQ.</summary>
    public void Open(in AttentionSize s, in FlashBackwardData data, long row, int n)
    {
        for (int r = 0; r < n; r++) FlashRows.Scale<TLanes, V>(data.Q + (row + r) * s.Dim, s.Scale, Q + (nint)r * D, s.Dim, D);
        Pack.Straight<TLanes, V>(data.DO + row * s.ValueDim, s.ValueDim, s.ValueDim, n, DO, E);
        new Span<Real>(DQ, n * D).Clear();
    }

    /// <summary>Zeros in places [from, low) and [high, to) of a row.</summary>
    public void Clear(Real* row, int from, int low, int high, int to) { new Span<Real>(row + from, low - from).Clear(); new Span<Real>(row + high, to - high).Clear(); }

    /// <summary>Adds the gradients of the keys and values to the caller's.</summary>
    public void Close(in AttentionSize s, in FlashBackwardData data)
    {
        long first = (long)Kv * s.KeyRows + Low;
        for (int j = 0; j < High - Low; j++)
        {
            RowProduct.Plus<TLanes, V>(data.DK + (first + j) * s.Dim, 1, DK + (nint)j * D, s.Dim);
            RowProduct.Plus<TLanes, V>(data.DV + (first + j) * s.ValueDim, 1, DV + (nint)j * E, s.ValueDim);
        }
    }
}
