using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>How many registers stand side by side in a tile.</summary>
interface IAcross { static abstract int Count { get; } }
readonly struct Across1 : IAcross { public static int Count => 1; }
readonly struct Across2 : IAcross { public static int Count => 2; }
readonly struct Across3 : IAcross { public static int Count => 3; }

/// <summary>
/// One plane, with its margins of zeros, against one small kernel. Every number that is loaded serves several output rows: unaligned loads, of which
/// half touch two cache lines, would otherwise limit what the multipliers get.
/// </summary>
static unsafe class PlaneLoops
{
    /// <summary>y[r,c] = start + (add ? y : 0) + Σ k[i,j]·x[r + i·down, c + j·right] for rows and whole registers of columns; rows of x, k and y are ld, kw and ldy apart.</summary>
    public static void Convolve<TLanes, V>(Real* x, nint ld, Real* k, int kh, int kw, int down, int right, Real* y, nint ldy, int rows, int across, Real start, bool add, nint* at) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        // With dilation, the rows of one remainder meet the same input rows.
        for (int first = 0; first < Math.Min(down, rows); first++)
        {
            if (kh == 3 && kw == 3) { Three<TLanes, V>(x + first * ld, ld * down, k, right, y + first * ldy, ldy * down, (rows - first + down - 1) / down, across, start, add); continue; }
            int r = first, groups = kh >= 3 ? ((rows - first + down - 1) / down) / 4 : 0, left = groups > 0 ? across : 0; Real* from = x + r * ld, to = y + r * ldy;
            // 3 and 2 side by side keep the multipliers busy, 1 does not.
            for (int n; left > 0; left -= n, from += n * w, to += n * w)
                if ((n = left == 4 || left == 2 ? 2 : left == 1 ? 1 : 3) == 3) Tile<TLanes, V, Across3>(from, ld * down, k, kh, kw, right, to, ldy * down, start, add, groups);
                else if (n == 2) Tile<TLanes, V, Across2>(from, ld * down, k, kh, kw, right, to, ldy * down, start, add, groups);
                else Tile<TLanes, V, Across1>(from, ld * down, k, kh, kw, right, to, ldy * down, start, add, groups);
            r += groups * 4 * down;
            for (; r < rows; r += down) Strip<TLanes, V>(x + r * ld, at, k, kh * kw, y + r * ldy, across, start, add);
        }
    }

    /// <summary>A kernel of 3×3, with its weights in registers: each input row ends one output row, continues the next and begins the one after.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Three<TLanes, V>(Real* x, nint ld, Real* k, nint right, Real* y, nint ldy, int rows, int across, Real start, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        V k0 = TLanes.Set(k[0]), k1 = TLanes.Set(k[1]), k2 = TLanes.Set(k[2]), k3 = TLanes.Set(k[3]), k4 = TLanes.Set(k[4]), k5 = TLanes.Set(k[5]), k6 = TLanes.Set(k[6]), k7 = TLanes.Set(k[7]), k8 = TLanes.Set(k[8]), zero = TLanes.Set(start);
        for (; across > 0; across--, x += w, y += w)
        {
            Real* p = x, q = x + right, s = q + right, to = y;
            V u = TLanes.Load(p), v = TLanes.Load(q), t = TLanes.Load(s), next = TLanes.Fma(k2, t, TLanes.Fma(k1, v, TLanes.Fma(k0, u, zero)));
            p += ld; q += ld; s += ld;
            u = TLanes.Load(p); v = TLanes.Load(q); t = TLanes.Load(s);
            V now = TLanes.Fma(k5, t, TLanes.Fma(k4, v, TLanes.Fma(k3, u, next))); next = TLanes.Fma(k2, t, TLanes.Fma(k1, v, TLanes.Fma(k0, u, zero)));
            for (int r = rows; r > 0; r--, to += ldy)
            {
                p += ld; q += ld; s += ld;
                u = TLanes.Load(p); v = TLanes.Load(q); t = TLanes.Load(s);
                V done = TLanes.Fma(k8, t, TLanes.Fma(k7, v, TLanes.Fma(k6, u, now)));
                now = TLanes.Fma(k5, t, TLanes.Fma(k4, v, TLanes.Fma(k3, u, next))); next = TLanes.Fma(k2, t, TLanes.Fma(k1, v, TLanes.Fma(k0, u, zero)));
                TLanes.Store(to, add ? TLanes.Add(done, TLanes.Load(to)) : done);
            }
        }
    }

    /// <summary>
    /// Groups of four output rows, TAcross registers wide; kernels of at least three rows. Input rows from 3 to kh − 1 serve all four output rows. The input rows
    /// s &lt; 3 serve the rows up to s, and the input rows kh + s those after s, so that each pair of them makes whole steps again.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile<TLanes, V, TAcross>(Real* x, nint ld, Real* k, int kh, int kw, nint right, Real* y, nint ldy, Real start, bool add, int groups) where TLanes : struct, ILanes<V> where V : struct where TAcross : struct, IAcross
    {
        int w = TLanes.Count;
        for (; groups > 0; groups--, x += 4 * ld, y += 4 * ldy)
        {
            V a0 = TLanes.Set(start), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, c0 = a0, c1 = a0, c2 = a0, c3 = a0, t, u, v, s;
            for (int i = 3; i < kh; i++)
            {
                Real* p = x + i * ld, k0 = k + (nint)i * kw, k1 = k0 - kw, k2 = k1 - kw, k3 = k2 - kw;
                for (nint j = 0; j < kw; j++, p += right)
                {
                    u = TLanes.Load(p); v = TAcross.Count > 1 ? TLanes.Load(p + w) : u; s = TAcross.Count > 2 ? TLanes.Load(p + 2 * w) : u;
                    t = TLanes.Set(k0[j]); a0 = TLanes.Fma(t, u, a0); if (TAcross.Count > 1) b0 = TLanes.Fma(t, v, b0); if (TAcross.Count > 2) c0 = TLanes.Fma(t, s, c0);
                    t = TLanes.Set(k1[j]); a1 = TLanes.Fma(t, u, a1); if (TAcross.Count > 1) b1 = TLanes.Fma(t, v, b1); if (TAcross.Count > 2) c1 = TLanes.Fma(t, s, c1);
                    t = TLanes.Set(k2[j]); a2 = TLanes.Fma(t, u, a2); if (TAcross.Count > 1) b2 = TLanes.Fma(t, v, b2); if (TAcross.Count > 2) c2 = TLanes.Fma(t, s, c2);
                    t = TLanes.Set(k3[j]); a3 = TLanes.Fma(t, u, a3); if (TAcross.Count > 1) b3 = TLanes.Fma(t, v, b3); if (TAcross.Count > 2) c3 = TLanes.Fma(t, s, c3);
                }
            }
            Real* low = x, high = x + kh * ld, top = k, end = k + (nint)(kh - 1) * kw;
            for (nint j = 0; j < kw; j++, low += right, high += right)      // input rows 0 and kh
            {
                u = TLanes.Load(low); v = TAcross.Count > 1 ? TLanes.Load(low + w) : u; s = TAcross.Count > 2 ? TLanes.Load(low + 2 * w) : u;
                t = TLanes.Set(top[j]); a0 = TLanes.Fma(t, u, a0); if (TAcross.Count > 1) b0 = TLanes.Fma(t, v, b0); if (TAcross.Count > 2) c0 = TLanes.Fma(t, s, c0);
                u = TLanes.Load(high); v = TAcross.Count > 1 ? TLanes.Load(high + w) : u; s = TAcross.Count > 2 ? TLanes.Load(high + 2 * w) : u;
                t = TLanes.Set(end[j]); a1 = TLanes.Fma(t, u, a1); if (TAcross.Count > 1) b1 = TLanes.Fma(t, v, b1); if (TAcross.Count > 2) c1 = TLanes.Fma(t, s, c1);
                t = TLanes.Set(end[j - kw]); a2 = TLanes.Fma(t, u, a2); if (TAcross.Count > 1) b2 = TLanes.Fma(t, v, b2); if (TAcross.Count > 2) c2 = TLanes.Fma(t, s, c2);
                t = TLanes.Set(end[j - 2 * (nint)kw]); a3 = TLanes.Fma(t, u, a3); if (TAcross.Count > 1) b3 = TLanes.Fma(t, v, b3); if (TAcross.Count > 2) c3 = TLanes.Fma(t, s, c3);
            }
            low = x + ld; high = x + (kh + 1) * ld;
            for (nint j = 0; j < kw; j++, low += right, high += right)      // input rows 1 and kh + 1
            {
                u = TLanes.Load(low); v = TAcross.Count > 1 ? TLanes.Load(low + w) : u; s = TAcross.Count > 2 ? TLanes.Load(low + 2 * w) : u;
                t = TLanes.Set(top[j + kw]); a0 = TLanes.Fma(t, u, a0); if (TAcross.Count > 1) b0 = TLanes.Fma(t, v, b0); if (TAcross.Count > 2) c0 = TLanes.Fma(t, s, c0);
                t = TLanes.Set(top[j]); a1 = TLanes.Fma(t, u, a1); if (TAcross.Count > 1) b1 = TLanes.Fma(t, v, b1); if (TAcross.Count > 2) c1 = TLanes.Fma(t, s, c1);
                u = TLanes.Load(high); v = TAcross.Count > 1 ? TLanes.Load(high + w) : u; s = TAcross.Count > 2 ? TLanes.Load(high + 2 * w) : u;
                t = TLanes.Set(end[j]); a2 = TLanes.Fma(t, u, a2); if (TAcross.Count > 1) b2 = TLanes.Fma(t, v, b2); if (TAcross.Count > 2) c2 = TLanes.Fma(t, s, c2);
                t = TLanes.Set(end[j - kw]); a3 = TLanes.Fma(t, u, a3); if (TAcross.Count > 1) b3 = TLanes.Fma(t, v, b3); if (TAcross.Count > 2) c3 = TLanes.Fma(t, s, c3);
            }
            low = x + 2 * ld; high = x + (kh + 2) * ld;
            for (nint j = 0; j < kw; j++, low += right, high += right)      // input rows 2 and kh + 2
            {
                u = TLanes.Load(low); v = TAcross.Count > 1 ? TLanes.Load(low + w) : u; s = TAcross.Count > 2 ? TLanes.Load(low + 2 * w) : u;
                t = TLanes.Set(top[j + 2 * (nint)kw]); a0 = TLanes.Fma(t, u, a0); if (TAcross.Count > 1) b0 = TLanes.Fma(t, v, b0); if (TAcross.Count > 2) c0 = TLanes.Fma(t, s, c0);
                t = TLanes.Set(top[j + kw]); a1 = TLanes.Fma(t, u, a1); if (TAcross.Count > 1) b1 = TLanes.Fma(t, v, b1); if (TAcross.Count > 2) c1 = TLanes.Fma(t, s, c1);
                t = TLanes.Set(top[j]); a2 = TLanes.Fma(t, u, a2); if (TAcross.Count > 1) b2 = TLanes.Fma(t, v, b2); if (TAcross.Count > 2) c2 = TLanes.Fma(t, s, c2);
                u = TLanes.Load(high); v = TAcross.Count > 1 ? TLanes.Load(high + w) : u; s = TAcross.Count > 2 ? TLanes.Load(high + 2 * w) : u;
                t = TLanes.Set(end[j]); a3 = TLanes.Fma(t, u, a3); if (TAcross.Count > 1) b3 = TLanes.Fma(t, v, b3); if (TAcross.Count > 2) c3 = TLanes.Fma(t, s, c3);
            }
            Put<TLanes, V, TAcross>(y, a0, b0, c0, add); Put<TLanes, V, TAcross>(y + ldy, a1, b1, c1, add);
            Put<TLanes, V, TAcross>(y + 2 * ldy, a2, b2, c2, add); Put<TLanes, V, TAcross>(y + 3 * ldy, a3, b3, c3, add);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<TLanes, V, TAcross>(Real* y, V a, V b, V c, bool add) where TLanes : struct, ILanes<V> where V : struct where TAcross : struct, IAcross
    {
        int w = TLanes.Count;
        TLanes.Store(y, add ? TLanes.Add(a, TLanes.Load(y)) : a);
        if (TAcross.Count > 1) TLanes.Store(y + w, add ? TLanes.Add(b, TLanes.Load(y + w)) : b);
        if (TAcross.Count > 2) TLanes.Store(y + 2 * w, add ? TLanes.Add(c, TLanes.Load(y + 2 * w)) : c);
    }

    /// <summary>One output row: y[c] = start + (add ? y : 0) + Σ_t k[t]·x[at[t] + c], for any places of the taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Strip<TLanes, V>(Real* x, nint* at, Real* k, int taps, Real* y, int across, Real start, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (; across >= 8; across -= 8, x += 8 * w, y += 8 * w)
        {
            V a = TLanes.Set(start), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
            for (nint t = 0; t < taps; t++)
            {
                V s = TLanes.Set(k[t]); Real* p = x + at[t];
                a = TLanes.Fma(s, TLanes.Load(p), a); b = TLanes.Fma(s, TLanes.Load(p + w), b); c = TLanes.Fma(s, TLanes.Load(p + 2 * w), c); d = TLanes.Fma(s, TLanes.Load(p + 3 * w), d);
                e = TLanes.Fma(s, TLanes.Load(p + 4 * w), e); f = TLanes.Fma(s, TLanes.Load(p + 5 * w), f); g = TLanes.Fma(s, TLanes.Load(p + 6 * w), g); h = TLanes.Fma(s, TLanes.Load(p + 7 * w), h);
            }
            Put<TLanes, V, Across3>(y, a, b, c, add); Put<TLanes, V, Across3>(y + 3 * w, d, e, f, add); Put<TLanes, V, Across2>(y + 6 * w, g, h, h, add);
        }
        for (; across >= 2; across -= 2, x += 2 * w, y += 2 * w)
        {
            V a = TLanes.Set(start), b = a;
            for (nint t = 0; t < taps; t++) { V s = TLanes.Set(k[t]); Real* p = x + at[t]; a = TLanes.Fma(s, TLanes.Load(p), a); b = TLanes.Fma(s, TLanes.Load(p + w), b); }
            Put<TLanes, V, Across2>(y, a, b, b, add);
        }
        if (across > 0)
        {
            V a = TLanes.Set(start);
            for (nint t = 0; t < taps; t++) a = TLanes.Fma(TLanes.Set(k[t]), TLanes.Load(x + at[t]), a);
            Put<TLanes, V, Across1>(y, a, a, a, add);
        }
    }
}
