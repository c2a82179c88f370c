namespace Fovea.Kernels;

/// <summary>Where attention for few queries reads keys or values: rows of one length, in a form of their own. A struct.</summary>
public unsafe interface IRowSource
{
    /// <summary>n ≤ 64 rows of a key head (batch·G + head) from row first, side by side; either where they lie, or written into scratch, which has room for them.</summary>
    Real* Rows(int head, int first, int n, Real* scratch);
}

/// <summary>[Heads,Rows,Dim] in one piece.</summary>
public readonly unsafe struct DenseRows(Real* start, long rows, int dim) : IRowSource
{
    public Real* Rows(int head, int first, int n, Real* scratch) => start + (head * rows + first) * dim;
}
