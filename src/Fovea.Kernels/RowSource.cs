namespace Fovea.Kernels;

/// <summary>Keys or values as attention for few queries reads them: rows of one length, wherever and in whatever form they lie. A struct. Head is batch·G + key head; n is at most 512.</summary>
public unsafe interface IRowSource
{
    /// <summary>to[r·step + j] += x[r]·row[first + j] for the rows [Rows,Dim] of x; scratch has room for n rows.</summary>
    void Dots<TLanes, V>(int head, int first, int n, Real* x, int rows, Real* to, nint step, Real* scratch) where TLanes : struct, ILanes<V> where V : struct;
    /// <summary>to[r] += Σ_j p[r·step + j]·row[first + j] for the rows [Rows,Dim] of to.</summary>
    void Sweep<TLanes, V>(int head, int first, int n, Real* p, nint step, Real* to, int rows, Real* scratch) where TLanes : struct, ILanes<V> where V : struct;
}

/// <summary>[Heads,Rows,Dim] in one piece.</summary>
public readonly unsafe struct DenseRows(Real* start, long rows, int dim) : IRowSource
{
    public void Dots<TLanes, V>(int head, int first, int n, Real* x, int count, Real* to, nint step, Real* scratch) where TLanes : struct, ILanes<V> where V : struct =>
        Dots<TLanes, V>(start + (head * rows + first) * dim, dim, n, x, count, to, step);
    public void Sweep<TLanes, V>(int head, int first, int n, Real* p, nint step, Real* to, int count, Real* scratch) where TLanes : struct, ILanes<V> where V : struct =>
        Sweep<TLanes, V>(start + (head * rows + first) * dim, dim, n, p, step, to, count);

    /// <summary>The two operations over n rows that lie side by side, for sources that have or make such.</summary>
    public static void Dots<TLanes, V>(Real* at, int dim, int n, Real* x, int rows, Real* to, nint step) where TLanes : struct, ILanes<V> where V : struct
    {
        int r = 0;
        for (; r + 4 <= rows; r += 4) RowProduct.Dots4<TLanes, V>(x + (nint)r * dim, at, dim, to + r * step, step, n, dim);
        for (; r < rows; r++) RowProduct.Dots<TLanes, V>(x + (nint)r * dim, at, dim, to + r * step, n, dim);
    }
    public static void Sweep<TLanes, V>(Real* at, int dim, int n, Real* p, nint step, Real* to, int rows) where TLanes : struct, ILanes<V> where V : struct
    {
        int r = 0;
        for (; r + 4 <= rows; r += 4) RowProduct.Sweep4<TLanes, V>(p + r * step, step, at, dim, to + (nint)r * dim, dim, n);
        for (; r < rows; r++) RowProduct.Sweep<TLanes, V>(p + r * step, at, dim, to + (nint)r * dim, dim, n);
    }
}
