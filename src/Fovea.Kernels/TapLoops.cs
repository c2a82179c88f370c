using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>What a kernel's weights have to do with a gradient: sums over a whole plane, one for each tap.</summary>
static unsafe class TapLoops
{
    /// <summary>Rows of taps that share the rows of x; so many dilated rows of zeros lie before and after dy.</summary>
    public const int Down = 4;
    // Rows that are summed in registers before the sums go to doubles.
    const int Run = 128;

    /// <summary>sums[i,j] += Σ_r,c dy[r,c]·x[r + i·down, c + j·right] over rows and whole registers of columns.</summary>
    public static void Add<TLanes, V>(Real* x, nint ld, Real* dy, nint ldy, int rows, int across, int kh, int kw, int down, int right, double* sums) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 0, n; i < kh; i += n)
        {
            n = Math.Min(Down, kh - i);
            if (kh - i == 5) n = 3;     // 3 and 2 rather than 4 and 1
            for (int j = 0, m; j < kw; j += m)
            {
                int left = kw - j; m = left == 4 || left == 2 ? 2 : left == 1 ? 1 : 3;
                for (int from = 0, last = rows + (n - 1) * down; from < last; from += Run)
                {
                    int to = Math.Min(last, from + Run); Real* p = x + (from + (nint)i * down) * ld + (nint)j * right, d = dy + from * ldy; double* s = sums + i * kw + j;
                    if (m == 3) Pick<TLanes, V, Across3>(n, p, ld, d, ldy, ldy * down, to - from, across, right, s, kw);
                    else if (m == 2) Pick<TLanes, V, Across2>(n, p, ld, d, ldy, ldy * down, to - from, across, right, s, kw);
                    else Pick<TLanes, V, Across1>(n, p, ld, d, ldy, ldy * down, to - from, across, right, s, kw);
                }
            }
        }
    }

    /// <summary>One row of taps for n ≤ Down planes of dy at once, back before each other: sums[r·step + j] += Σ dy_r[h,c]·x[h, c + j·right].</summary>
    public static void Row<TLanes, V>(int n, Real* x, nint ld, Real* dy, nint ldy, nint back, int rows, int across, nint right, int kw, double* sums, int step) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int j = 0, m; j < kw; j += m)
        {
            int left = kw - j; m = left == 4 || left == 2 ? 2 : left == 1 ? 1 : 3;
            if (m == 3) Pick<TLanes, V, Across3>(n, x + j * right, ld, dy, ldy, back, rows, across, right, sums + j, step);
            else if (m == 2) Pick<TLanes, V, Across2>(n, x + j * right, ld, dy, ldy, back, rows, across, right, sums + j, step);
            else Pick<TLanes, V, Across1>(n, x + j * right, ld, dy, ldy, back, rows, across, right, sums + j, step);
        }
    }

    static void Pick<TLanes, V, TAcross>(int n, Real* x, nint ld, Real* dy, nint ldy, nint back, int rows, int across, nint right, double* sums, int kw) where TLanes : struct, ILanes<V> where V : struct where TAcross : struct, IAcross
    {
        if (n == 4) Tile<TLanes, V, TAcross, Down4>(x, ld, dy, ldy, back, rows, across, right, sums, kw);
        else if (n == 3) Tile<TLanes, V, TAcross, Across3>(x, ld, dy, ldy, back, rows, across, right, sums, kw);
        else if (n == 2) Tile<TLanes, V, TAcross, Across2>(x, ld, dy, ldy, back, rows, across, right, sums, kw);
        else Tile<TLanes, V, TAcross, Across1>(x, ld, dy, ldy, back, rows, across, right, sums, kw);
    }
    readonly struct Down4 : IAcross { public static int Count => 4; }

    /// <summary>TDown × TAcross taps: a row of x meets, with the tap r rows further down, the row of dy that lies r dilated rows before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile<TLanes, V, TAcross, TDown>(Real* x, nint ld, Real* dy, nint ldy, nint back, int rows, int across, nint right, double* sums, int kw) where TLanes : struct, ILanes<V> where V : struct where TAcross : struct, IAcross where TDown : struct, IAcross
    {
        int w = TLanes.Count;
        V a0 = TLanes.Set(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, c0 = a0, c1 = a0, c2 = a0, c3 = a0;
        for (; rows > 0; rows--, x += ld, dy += ldy)
        {
            Real* p = x, q = x + right, r = q + right, d0 = dy, d1 = d0 - back, d2 = d1 - back, d3 = d2 - back;
            for (nint i = 0, n = (nint)across * w; i < n; i += w)
            {
                V u = TLanes.Load(p + i), v = TAcross.Count > 1 ? TLanes.Load(q + i) : u, s = TAcross.Count > 2 ? TLanes.Load(r + i) : u, t;
                t = TLanes.Load(d0 + i); a0 = TLanes.Fma(t, u, a0); if (TAcross.Count > 1) b0 = TLanes.Fma(t, v, b0); if (TAcross.Count > 2) c0 = TLanes.Fma(t, s, c0);
                if (TDown.Count > 1) { t = TLanes.Load(d1 + i); a1 = TLanes.Fma(t, u, a1); if (TAcross.Count > 1) b1 = TLanes.Fma(t, v, b1); if (TAcross.Count > 2) c1 = TLanes.Fma(t, s, c1); }
                if (TDown.Count > 2) { t = TLanes.Load(d2 + i); a2 = TLanes.Fma(t, u, a2); if (TAcross.Count > 1) b2 = TLanes.Fma(t, v, b2); if (TAcross.Count > 2) c2 = TLanes.Fma(t, s, c2); }
                if (TDown.Count > 3) { t = TLanes.Load(d3 + i); a3 = TLanes.Fma(t, u, a3); if (TAcross.Count > 1) b3 = TLanes.Fma(t, v, b3); if (TAcross.Count > 2) c3 = TLanes.Fma(t, s, c3); }
            }
        }
        Put<TLanes, V, TAcross>(sums, a0, b0, c0);
        if (TDown.Count > 1) Put<TLanes, V, TAcross>(sums + kw, a1, b1, c1);
        if (TDown.Count > 2) Put<TLanes, V, TAcross>(sums + 2 * kw, a2, b2, c2);
        if (TDown.Count > 3) Put<TLanes, V, TAcross>(sums + 3 * kw, a3, b3, c3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<TLanes, V, TAcross>(double* sums, V a, V b, V c) where TLanes : struct, ILanes<V> where V : struct where TAcross : struct, IAcross
    {
        sums[0] += TLanes.Sum(a);
        if (TAcross.Count > 1) sums[1] += TLanes.Sum(b);
        if (TAcross.Count > 2) sums[2] += TLanes.Sum(c);
    }

    /// <summary>As <see cref="Add"/> for taps anywhere: sums[t] += Σ_r,c dy[r,c]·x[r·ld + at[t] + c].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddAt<TLanes, V>(Real* x, nint ld, nint* at, int taps, Real* dy, nint ldy, int rows, int across, double* sums) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int t = 0; t < taps; t += 4)
        {
            int n = Math.Min(4, taps - t); Real* p0 = x + at[t], p1 = x + at[t + (n > 1 ? 1 : 0)], p2 = x + at[t + (n > 2 ? 2 : 0)], p3 = x + at[t + (n > 3 ? 3 : 0)], d = dy;
            for (int from = 0; from < rows; from += Run)
            {
                V a = TLanes.Set(0), b = a, c = a, e = a;
                for (int r = from; r < Math.Min(rows, from + Run); r++, p0 += ld, p1 += ld, p2 += ld, p3 += ld, d += ldy)
                    for (nint i = 0; i < (nint)across * w; i += w)
                    {
                        V g = TLanes.Load(d + i);
                        a = TLanes.Fma(g, TLanes.Load(p0 + i), a); b = TLanes.Fma(g, TLanes.Load(p1 + i), b); c = TLanes.Fma(g, TLanes.Load(p2 + i), c); e = TLanes.Fma(g, TLanes.Load(p3 + i), e);
                    }
                sums[t] += TLanes.Sum(a);
                if (n > 1) sums[t + 1] += TLanes.Sum(b);
                if (n > 2) sums[t + 2] += TLanes.Sum(c);
                if (n > 3) sums[t + 3] += TLanes.Sum(e);
            }
        }
    }
}
