namespace Fovea.Kernels;

/// <summary>Arguments of one backward call. DLse may be null; DQ, DK, DV are added into.</summary>
readonly unsafe struct FlashBackwardData(Real* q, Real* k, Real* v, Real* o, Real* lse, Real* dLse, Real* dO, Real* dq, Real* dk, Real* dv)
{
    public readonly Real* Q = q, K = k, V = v, O = o, Lse = lse, DLse = dLse, DO = dO, DQ = dq, DK = dk, DV = dv;
}

/// <summary>
/// What one backward task works on: keys [Low, High) of key head Kv, packed for the products, their gradients, and one block of queries.
/// D and E are the row lengths of what is read or written in whole registers: the sizes, rounded up. What products read two registers at a time lies in
/// panels of that width (KP, QP, DOP): columns of whole rows would fall on few sets of the cache.
/// </summary>
readonly unsafe struct FlashBackwardMemory<TLanes, V> where TLanes : struct, ILanes<V> where V : struct
{
    public readonly int Kv, Low, High, D, E;
    public readonly Real* KT, VT, KP, DK, DV, Q, QP, DO, DOP, DQ, P, G, Raw;
    readonly int rows;
    public readonly int* Runs;

    public FlashBackwardMemory(Scratch scratch, in AttentionSize s, in FlashBackwardData data, int kv, int low, int high, int rows, int stride)
    {
        int wide = 2 * TLanes.Count, keys = high - low, tiles = (keys + wide - 1) / wide; long first = (long)kv * s.KeyRows + low;
        (this.rows, Kv, Low, High, D, E) = (rows, kv, low, high, (s.Dim + wide - 1) / wide * wide, (s.ValueDim + wide - 1) / wide * wide);
        KT = scratch.Take((long)tiles * wide * s.Dim); VT = scratch.Take((long)tiles * wide * s.ValueDim);
        for (int t = 0; t < tiles; t++)
        {
            int n = Math.Min(wide, keys - t * wide);
            Pack.Transposed(data.K + (first + t * wide) * s.Dim, s.Dim, n, s.Dim, KT + (nint)t * wide * s.Dim, wide);
            Pack.Transposed(data.V + (first + t * wide) * s.ValueDim, s.ValueDim, n, s.ValueDim, VT + (nint)t * wide * s.ValueDim, wide);
        }
        KP = scratch.Take((long)keys * D);
        Pack.Panels<TLanes, V>(data.K + first * s.Dim, s.Dim, s.Dim, keys, KP, keys);
        DK = scratch.Take((long)keys * D); DV = scratch.Take((long)keys * E);
        for (int j = 0; j < keys; j++) { new Span<Real>(DK + (nint)j * D, D).Clear(); new Span<Real>(DV + (nint)j * E, E).Clear(); }
        Q = scratch.Take((long)rows * D); DQ = scratch.Take((long)rows * D); DO = scratch.Take((long)rows * E); QP = scratch.Take((long)rows * D); DOP = scratch.Take((long)rows * E);
        P = scratch.Take((long)rows * stride); G = scratch.Take((long)rows * stride); Raw = scratch.Take(stride); Runs = scratch.TakeInts(2 * stride);
    }

    /// <summary>Takes in n rows of queries, multiplied with the scale, and of dO, and starts their dQ.</summary>
    public void Open(in AttentionSize s, in FlashBackwardData data, long row, int n)
    {
        for (int r = 0; r < n; r++) FlashRows.Scale<TLanes, V>(data.Q + (row + r) * s.Dim, s.Scale, Q + (nint)r * D, s.Dim, D);
        Pack.Straight<TLanes, V>(data.DO + row * s.ValueDim, s.ValueDim, s.ValueDim, n, DO, E, 0);
        Pack.Panels<TLanes, V>(Q, D, D, n, QP, rows); Pack.Panels<TLanes, V>(DO, E, E, n, DOP, rows);
        new Span<Real>(DQ, n * D).Clear();
    }

    /// <summary>The panel of columns c … of keys, queries and dO, from a key or a row of the block on; its rows are two registers apart.</summary>
    public Real* K(int column, int key) => KP + (nint)column * (High - Low) + (nint)(key - Low) * 2 * TLanes.Count;
    public Real* QueryPanel(int column, int row) => QP + (nint)column * rows + (nint)row * 2 * TLanes.Count;
    public Real* GradientPanel(int column, int row) => DOP + (nint)column * rows + (nint)row * 2 * TLanes.Count;

    /// <summary>From one panel of keys to the next, and from one of queries or dO.</summary>
    public nint KStep => (nint)2 * TLanes.Count * (High - Low);
    public nint QueryStep => (nint)2 * TLanes.Count * rows;

    /// <summary>Zeros in places [from, to) of some rows of P and dS.</summary>
    public void Clear(int row, int height, int from, int to, int stride)
    {
        if (from >= to) return;
        for (int r = row; r < row + height; r++) { new Span<Real>(P + (nint)r * stride + from, to - from).Clear(); new Span<Real>(G + (nint)r * stride + from, to - from).Clear(); }
    }

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
