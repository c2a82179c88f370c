namespace Fovea.Kernels;

/// <summary>
/// Positions of keys that are kept without: key j is turned by row rows[j] of the tables cos and sin [*,half] when it is read, tile by tile; see <see cref="Rotary"/>. The default turns nothing.
/// </summary>
public readonly ref struct KeyTurn(ReadOnlySpan<float> cos, ReadOnlySpan<float> sin, ReadOnlySpan<int> rows, int half)
{
    public readonly ReadOnlySpan<float> Cos = cos, Sin = sin; public readonly ReadOnlySpan<int> Rows = rows; public readonly int Half = half;

    /// <summary>Turns the keys [first, first + n), given as x [n,dim], in place.</summary>
    public void Apply(Span<float> x, int first, int n, int dim)
    {
        if (Half > 0) Rotary.Apply(x, x, Cos, Sin, Rows.Slice(first, n), n, dim, Half);
    }

    internal void Check(int keys)
    {
        if (Half == 0) return;
        if (Rows.Length < keys) throw new ArgumentException($"there are {keys} keys and positions of {Rows.Length}");
        foreach (int r in Rows[..keys]) if (r < 0 || (long)(r + 1) * Half > Math.Min(Cos.Length, Sin.Length)) throw new ArgumentOutOfRangeException(nameof(keys), r, "a position is outside of the tables");
    }
}

/// <summary>Keys that are turned as they are read: a tile is brought into float32, turned, and multiplied with all query rows.</summary>
readonly unsafe struct TurnedRows<TSource>(TSource inner, int dim, float* cos, float* sin, int* rows, int half) : IRowSource where TSource : struct, IDecodedSource
{
    /// <summary>Rows at a time: they and what they are multiplied with stay in L1.</summary>
    const int Tile = 16;
    readonly TSource inner = inner;

    public void Dots<TLanes, V>(int head, int first, int n, float* x, int count, float* to, nint step, float* scratch) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int j = 0; j < n; j += Tile)
        {
            int some = Math.Min(Tile, n - j);
            inner.Decode(first + j, some, scratch);
            Rotary.Turn<TLanes, V>(scratch, cos, sin, rows + first + j, some, dim, half);
            DenseRows.Dots<TLanes, V>(scratch, dim, some, x, count, to + j, step);
        }
    }

    public void Sweep<TLanes, V>(int head, int first, int n, float* p, nint step, float* to, int count, float* scratch) where TLanes : struct, ILanes<V> where V : struct => throw new NotSupportedException("keys are not summed");
}
