namespace Fovea.Kernels;

/// <summary>Products with a triangle p [n,n] of rows of C numbers, in which j ≤ i counts. Up to the end of the tile that crosses the diagonal, what is above it must be 0; <see cref="Decays.Mask"/> does that.</summary>
internal static unsafe class Triangle
{
    const int C = ScanSize.Chunk;

    /// <summary>p = q kᵀ on and below the diagonal, rounded up to full registers; kT is [D,C], with zeros behind column n. Meanwhile soon [n,width], unless null, is fetched.</summary>
    public static void Scores<TLanes, V>(Real* q, Real* kT, Real* p, int n, int D, Real* soon = null, int width = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count;
        for (int j = 0; j < n; j += wide)
        {
            if (soon is not null) Panel.FetchShare(soon, (long)n * width, j, wide, n);
            Micro.Column<TLanes, V>(q + (long)j * D, D, 1, n - j, kT + j, C, p + j * C + j, C, D, false);
        }
    }

    /// <summary>c[n,columns] += p x for rows of x and c of ld numbers.</summary>
    public static void Lower<TLanes, V>(Real* p, Real* x, Real* c, int ld, int n, int columns) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, tall = Micro.Rows<V>(), groups = n / tall, done = groups * tall, e = 0;
        for (; e + wide <= columns; e += wide)
        {
            if (groups > 0) Micro.Stairs<TLanes, V>(p, C, 1, groups, x + e, ld, c + e, ld, tall, true, tall);
            if (done < n) Micro.Tile<TLanes, V>(p + done * C, C, 1, n - done, x + e, ld, c + (long)done * ld + e, ld, n, true);
        }
        for (int i = 0; i < n && e < columns; i += tall) Panel.Product<TLanes, V>(p + i * C, C, 1, x + e, ld, c + (long)i * ld + e, ld, Math.Min(tall, n - i), Math.Min(n, i + tall), columns - e, true);
    }

    /// <summary>c[n,columns] = (or +=) pᵀ x for rows of x and c of ldx and ldc numbers.</summary>
    public static void Upper<TLanes, V>(Real* p, Real* x, int ldx, Real* c, int ldc, int n, int columns, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, tall = Micro.Rows<V>(), groups = n / tall, done = groups * tall, e = 0;
        for (; e + wide <= columns; e += wide)
        {
            if (groups > 0) Micro.Stairs<TLanes, V>(p, 1, C, groups, x + e, ldx, c + e, ldc, n, add, -tall);
            if (done < n) Micro.Tile<TLanes, V>(p + done * C + done, 1, C, n - done, x + (long)done * ldx + e, ldx, c + (long)done * ldc + e, ldc, n - done, add);
        }
        for (int j = 0; j < n && e < columns; j += tall) Panel.Product<TLanes, V>(p + j * C + j, 1, C, x + (long)j * ldx + e, ldx, c + (long)j * ldc + e, ldc, Math.Min(tall, n - j), n - j, columns - e, add);
    }
}
