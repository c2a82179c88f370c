using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// Products of small matrices that lie in the cache, for kernels that walk over a long input in chunks: no packing, any strides for a, and no
/// parallelism of their own. Large products go to <see cref="Gemm"/>.
/// </summary>
internal static unsafe class Panel
{
    /// <summary>c[m,n] = (or +=) Σ_x a[i·rowStep + x·colStep] · b[x,n]; b and c have rows of ldb and ldc numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Product<TLanes, V>(Real* a, long rowStep, long colStep, Real* b, long ldb, Real* c, long ldc, int m, int k, int n, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, j = 0, i;
        if (m < 4)
        {
            for (; j <= n - 4 * w; j += 4 * w) for (i = 0; i < m; i++) Tile1x4<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add);
            for (; j <= n - w; j += w) for (i = 0; i < m; i++) Tile1x1<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add);
            if (j < n) Product<Lanes1, Real>(a, rowStep, colStep, b + j, ldb, c + j, ldc, m, k, n - j, add);
            return;
        }
        for (; j <= n - 2 * w; j += 2 * w) Micro.Column<TLanes, V>(a, (nint)rowStep, (nint)colStep, m, b + j, (nint)ldb, c + j, (nint)ldc, k, add);
        if (n - j == w)
        {
            for (i = 0; i <= m - 4; i += 4) Tile4x1<TLanes, V>(a + i * rowStep, rowStep, colStep, b + j, ldb, c + i * ldc + j, ldc, k, add);
            for (; i < m; i++) Tile1x1<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add);
        }
        else if (j < n) Edge<TLanes, V>(a, rowStep, colStep, b + j, ldb, c + j, ldc, m, k, n - j, add);
    }

    // Columns that do not fill two registers: B is copied with zeros behind it, and only what belongs to C is copied out of the tile.
    static void Edge<TLanes, V>(Real* a, long rowStep, long colStep, Real* b, long ldb, Real* c, long ldc, int m, int k, int n, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count, tall = Micro.Rows<V>();
        using var scratch = Scratch.Open();
        Real* padded = scratch.Take((long)k * wide), tile = scratch.Take(tall * wide);
        Pack.Straight<TLanes, V>(b, (nint)ldb, n, k, padded, wide, 0);
        for (int i = 0; i < m; i += tall)
        {
            int height = Math.Min(tall, m - i);
            Micro.Tile<TLanes, V>(a + i * rowStep, (nint)rowStep, (nint)colStep, height, padded, wide, tile, wide, k, false);
            for (int r = 0; r < height; r++)
            {
                Real* from = tile + r * wide, to = c + (i + r) * ldc;
                if (add) for (int x = 0; x < n; x++) to[x] += from[x]; else for (int x = 0; x < n; x++) to[x] = from[x];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile4x1<TLanes, V>(Real* a, long rowStep, long colStep, Real* b, long ldb, Real* c, long ldc, int k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        V c0 = TLanes.Set(0), c1 = c0, c2 = c0, c3 = c0;
        Real* a1 = a + rowStep, a2 = a1 + rowStep, a3 = a2 + rowStep;
        for (long x = 0, p = 0; x < k; x++, p += colStep, b += ldb)
        {
            V b0 = TLanes.Load(b);
            c0 = TLanes.Fma(TLanes.Set(a[p]), b0, c0); c1 = TLanes.Fma(TLanes.Set(a1[p]), b0, c1);
            c2 = TLanes.Fma(TLanes.Set(a2[p]), b0, c2); c3 = TLanes.Fma(TLanes.Set(a3[p]), b0, c3);
        }
        Put<TLanes, V>(c, c0, add); Put<TLanes, V>(c + ldc, c1, add); Put<TLanes, V>(c + 2 * ldc, c2, add); Put<TLanes, V>(c + 3 * ldc, c3, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile1x4<TLanes, V>(Real* a, long colStep, Real* b, long ldb, Real* c, int k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V c0 = TLanes.Set(0), c1 = c0, c2 = c0, c3 = c0;
        for (long x = 0, p = 0; x < k; x++, p += colStep, b += ldb)
        {
            V s = TLanes.Set(a[p]);
            c0 = TLanes.Fma(s, TLanes.Load(b), c0); c1 = TLanes.Fma(s, TLanes.Load(b + w), c1);
            c2 = TLanes.Fma(s, TLanes.Load(b + 2 * w), c2); c3 = TLanes.Fma(s, TLanes.Load(b + 3 * w), c3);
        }
        Put<TLanes, V>(c, c0, add); Put<TLanes, V>(c + w, c1, add); Put<TLanes, V>(c + 2 * w, c2, add); Put<TLanes, V>(c + 3 * w, c3, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile1x1<TLanes, V>(Real* a, long colStep, Real* b, long ldb, Real* c, int k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        V even = TLanes.Set(0), odd = even; int x = 0;
        for (; x <= k - 2; x += 2, a += 2 * colStep, b += 2 * ldb) { even = TLanes.Fma(TLanes.Set(*a), TLanes.Load(b), even); odd = TLanes.Fma(TLanes.Set(a[colStep]), TLanes.Load(b + ldb), odd); }
        if (x < k) even = TLanes.Fma(TLanes.Set(*a), TLanes.Load(b), even);
        Put<TLanes, V>(c, TLanes.Add(even, odd), add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<TLanes, V>(Real* c, V v, bool add) where TLanes : struct, ILanes<V> where V : struct => TLanes.Store(c, add ? TLanes.Add(TLanes.Load(c), v) : v);

    /// <summary>t[cols, rows] = x[rows, cols]ᵀ; rows of t have ldt numbers, of which those from rows to ldt become 0.</summary>
    public static void Transpose(Real* x, int rows, int cols, Real* t, int ldt) => Pack.Transposed(x, cols, rows, cols, t, ldt);

    /// <summary>Asks for n numbers that are read soon: for long inputs whose reading the arithmetic would interrupt. Any address will do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Fetch(Real* x, long n)
    {
        if (Sse.IsSupported) for (long i = 0; i < n; i += 64 / sizeof(Real)) Sse.Prefetch0(x + i);
    }

    /// <summary>Fetches the share [part, part + step) of parts of the size numbers at x.</summary>
    public static void FetchShare(Real* x, long size, int part, int step, int parts) => Fetch(x + size * part / parts, size * Math.Min(parts, part + step) / parts - size * part / parts);

    /// <summary>As <see cref="FetchShare"/>, of the size numbers that follow those at x.</summary>
    public static void FetchNext(Real* x, long size, int part, int step, int parts) => FetchShare(x + size, size, part, step, parts);

    /// <summary>y = s·x.</summary>
    public static void Scale<TLanes, V>(Real* x, Real* y, Real s, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = SoftmaxLoops.Scale<TLanes, V>(x, y, s, 0, n);
        if (i < n) SoftmaxLoops.Scale<Lanes1, Real>(x, y, s, i, n);
    }

    /// <summary>y += s·x.</summary>
    public static void AddScaled<TLanes, V>(Real* x, Real* y, Real s, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = NormLoops.Line<TLanes, V>(x, y, s, 0, true, 0, n);
        if (i < n) NormLoops.Line<Lanes1, Real>(x, y, s, 0, true, i, n);
    }
}
