using System.Runtime.CompilerServices;
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
        if (m < 4) for (; j <= n - 4 * w; j += 4 * w) for (i = 0; i < m; i++) Tile1x4<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add);
        for (; j <= n - 2 * w; j += 2 * w)
        {
            for (i = 0; i <= m - 4; i += 4) Tile4x2<TLanes, V>(a + i * rowStep, rowStep, colStep, b + j, ldb, c + i * ldc + j, ldc, k, add);
            for (; i < m; i++) { Tile1x1<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add); Tile1x1<TLanes, V>(a + i * rowStep, colStep, b + j + w, ldb, c + i * ldc + j + w, k, add); }
        }
        for (; j <= n - w; j += w)
        {
            for (i = 0; i <= m - 4; i += 4) Tile4x1<TLanes, V>(a + i * rowStep, rowStep, colStep, b + j, ldb, c + i * ldc + j, ldc, k, add);
            for (; i < m; i++) Tile1x1<TLanes, V>(a + i * rowStep, colStep, b + j, ldb, c + i * ldc + j, k, add);
        }
        if (j < n) Product<Lanes1, Real>(a, rowStep, colStep, b + j, ldb, c + j, ldc, m, k, n - j, add);
    }

    // Four rows by two registers: eight independent sums hide the latency of the multiply-add, six loads feed eight of them.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile4x2<TLanes, V>(Real* a, long rowStep, long colStep, Real* b, long ldb, Real* c, long ldc, int k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        V c00 = TLanes.Set(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
        Real* a1 = a + rowStep, a2 = a1 + rowStep, a3 = a2 + rowStep;
        for (long x = 0, p = 0; x < k; x++, p += colStep, b += ldb)
        {
            V b0 = TLanes.Load(b), b1 = TLanes.Load(b + w);
            V s = TLanes.Set(a[p]); c00 = TLanes.Fma(s, b0, c00); c01 = TLanes.Fma(s, b1, c01);
            s = TLanes.Set(a1[p]); c10 = TLanes.Fma(s, b0, c10); c11 = TLanes.Fma(s, b1, c11);
            s = TLanes.Set(a2[p]); c20 = TLanes.Fma(s, b0, c20); c21 = TLanes.Fma(s, b1, c21);
            s = TLanes.Set(a3[p]); c30 = TLanes.Fma(s, b0, c30); c31 = TLanes.Fma(s, b1, c31);
        }
        Put<TLanes, V>(c, c00, add); Put<TLanes, V>(c + w, c01, add); c += ldc;
        Put<TLanes, V>(c, c10, add); Put<TLanes, V>(c + w, c11, add); c += ldc;
        Put<TLanes, V>(c, c20, add); Put<TLanes, V>(c + w, c21, add); c += ldc;
        Put<TLanes, V>(c, c30, add); Put<TLanes, V>(c + w, c31, add);
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose(Real* x, int rows, int cols, Real* t, int ldt)
    {
        int i = 0;
        for (; i <= rows - 4; i += 4)
        {
            Real* x0 = x + (long)i * cols, x1 = x0 + cols, x2 = x1 + cols, x3 = x2 + cols, to = t + i;
            for (int j = 0; j < cols; j++, to += ldt) { to[0] = x0[j]; to[1] = x1[j]; to[2] = x2[j]; to[3] = x3[j]; }
        }
        for (; i < rows; i++) for (int j = 0; j < cols; j++) t[(long)j * ldt + i] = x[(long)i * cols + j];
        for (int j = 0; rows < ldt && j < cols; j++) new Span<Real>(t + (long)j * ldt + rows, ldt - rows).Clear();
    }

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
