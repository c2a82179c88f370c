using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>c[N] (+)= x[K] · B: every number of B is used once, so this is as fast as B can be read, in the order in which it lies.</summary>
readonly unsafe struct RowProduct(Real* x, nint xStep, Real* b, nint bStep, nint bColumn, Real* c, int n, int k, bool add)
{
    const long Grain = 1 << 15;
    // Parts of B, of rows as they lie: so many tasks, of so many rows at least, and of columns whose sums stay in L1.
    const int Tasks = 16, Least = 64, Columns = 4096;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        Real* dense = x;
        if (xStep != 1) { dense = scratch.Take(k); for (int i = 0; i < k; i++) dense[i] = x[i * xStep]; }
        if (bStep == 1) { Threads.For(n, (int)Math.Clamp((Grain / k + 63) / 64 * 64, 64, Math.Max(64, n)), new Rows<TLanes, V>(dense, b, bColumn, c, k, add)); return; }
        bool alone = (long)n * k < Product.Alone; int across = (n + Columns - 1) / Columns, parts = alone ? 1 : Math.Clamp(k / Least, 1, Math.Max(1, Tasks / across)), steps = (k + parts - 1) / parts; parts = (k + steps - 1) / steps;
        // The first part goes straight into c, the others are added to it in their order.
        Real* sums = scratch.Take((long)(parts - 1) * n);
        if (!add) new Span<Real>(c, n).Clear();
        new Span<Real>(sums, (parts - 1) * n).Clear();
        Threads.For(across * parts, alone ? across : 1, new Sweeps<TLanes, V>(dense, b, bStep, c, n, k, steps, sums, parts));
        for (int part = 1; part < parts; part++) Plus<TLanes, V>(c, 1, sums + (nint)(part - 1) * n, n);
    }

    readonly struct Rows<TLanes, V>(Real* x, Real* b, nint bColumn, Real* c, int k, bool add) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            if (!add) new Span<Real>(c + from, to - from).Clear();
            Dots<TLanes, V>(x, b + from * bColumn, bColumn, c + from, to - from, k);
        }
    }

    readonly struct Sweeps<TLanes, V>(Real* x, Real* b, nint ld, Real* c, int n, int k, int steps, Real* sums, int parts) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int t = from; t < to; t++)
            {
                int part = t % parts, j = t / parts * Columns, at = part * steps;
                Sweep<TLanes, V>(x + at, b + at * ld + j, ld, (part == 0 ? c : sums + (nint)(part - 1) * n) + j, Math.Min(Columns, n - j), Math.Min(steps, k - at));
            }
        }
    }

    /// <summary>c[j] += Σ_i x[i]·b[j·ld + i]</summary>
    // Four rows of B at a time, two accumulators each: eight are needed to hide the latency of an FMA. The four are a quarter of all rows apart: the processor
    // fetches ahead along each of them, which it does not where rows that follow each other are read side by side.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dots<TLanes, V>(Real* x, Real* b, nint ld, Real* c, int n, int k) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, m = n / 4;
        for (int j = 0; j < m; j++)
        {
            Real* b0 = b + j * ld, b1 = b0 + m * ld, b2 = b1 + m * ld, b3 = b2 + m * ld, at = c + j;
            V s0 = TLanes.Set(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0; int i = 0;
            for (; i + 2 * w <= k; i += 2 * w)
            {
                V u = TLanes.Load(x + i), v = TLanes.Load(x + i + w);
                s0 = TLanes.Fma(u, TLanes.Load(b0 + i), s0); t0 = TLanes.Fma(v, TLanes.Load(b0 + i + w), t0);
                s1 = TLanes.Fma(u, TLanes.Load(b1 + i), s1); t1 = TLanes.Fma(v, TLanes.Load(b1 + i + w), t1);
                s2 = TLanes.Fma(u, TLanes.Load(b2 + i), s2); t2 = TLanes.Fma(v, TLanes.Load(b2 + i + w), t2);
                s3 = TLanes.Fma(u, TLanes.Load(b3 + i), s3); t3 = TLanes.Fma(v, TLanes.Load(b3 + i + w), t3);
            }
            Real y0 = TLanes.Sum(TLanes.Add(s0, t0)), y1 = TLanes.Sum(TLanes.Add(s1, t1)), y2 = TLanes.Sum(TLanes.Add(s2, t2)), y3 = TLanes.Sum(TLanes.Add(s3, t3));
            for (; i < k; i++) { y0 += x[i] * b0[i]; y1 += x[i] * b1[i]; y2 += x[i] * b2[i]; y3 += x[i] * b3[i]; }
            at[0] += y0; at[m] += y1; at[2 * m] += y2; at[3 * m] += y3;
        }
        for (int j = 4 * m; j < n; j++) c[j] += Dot<TLanes, V>(x, b + j * ld, k);
    }

    /// <summary>c[r·ldc + j] += Σ_i x[r·k + i]·b[j·ld + i] for four rows r: two rows of B, half of all rows apart, are loaded for eight products.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dots4<TLanes, V>(Real* x, Real* b, nint ld, Real* c, nint ldc, int n, int k) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, m = n / 2; Real* x1 = x + k, x2 = x1 + k, x3 = x2 + k;
        for (int j = 0; j < m; j++)
        {
            Real* b0 = b + j * ld, b1 = b0 + m * ld;
            V s0 = TLanes.Set(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0; int i = 0;
            for (; i + w <= k; i += w)
            {
                V u = TLanes.Load(b0 + i), v = TLanes.Load(b1 + i), y = TLanes.Load(x + i);
                s0 = TLanes.Fma(u, y, s0); t0 = TLanes.Fma(v, y, t0); y = TLanes.Load(x1 + i);
                s1 = TLanes.Fma(u, y, s1); t1 = TLanes.Fma(v, y, t1); y = TLanes.Load(x2 + i);
                s2 = TLanes.Fma(u, y, s2); t2 = TLanes.Fma(v, y, t2); y = TLanes.Load(x3 + i);
                s3 = TLanes.Fma(u, y, s3); t3 = TLanes.Fma(v, y, t3);
            }
            Real a0 = TLanes.Sum(s0), a1 = TLanes.Sum(s1), a2 = TLanes.Sum(s2), a3 = TLanes.Sum(s3), e0 = TLanes.Sum(t0), e1 = TLanes.Sum(t1), e2 = TLanes.Sum(t2), e3 = TLanes.Sum(t3);
            for (; i < k; i++)
            {
                Real u = b0[i], v = b1[i];
                a0 += x[i] * u; a1 += x1[i] * u; a2 += x2[i] * u; a3 += x3[i] * u; e0 += x[i] * v; e1 += x1[i] * v; e2 += x2[i] * v; e3 += x3[i] * v;
            }
            Real* at = c + j;
            at[0] += a0; at[m] += e0; at += ldc; at[0] += a1; at[m] += e1; at += ldc; at[0] += a2; at[m] += e2; at += ldc; at[0] += a3; at[m] += e3;
        }
        for (int j = 2 * m; j < n; j++) for (int r = 0; r < 4; r++) c[r * ldc + j] += Dot<TLanes, V>(x + (nint)r * k, b + j * ld, k);
    }

    /// <summary>Σ x·y over k numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real Dot<TLanes, V>(Real* x, Real* y, int k) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V s = TLanes.Set(0), t = s;
        for (; i + 2 * w <= k; i += 2 * w) { s = TLanes.Fma(TLanes.Load(x + i), TLanes.Load(y + i), s); t = TLanes.Fma(TLanes.Load(x + i + w), TLanes.Load(y + i + w), t); }
        Real sum = TLanes.Sum(TLanes.Add(s, t));
        for (; i < k; i++) sum += x[i] * y[i];
        return sum;
    }

    /// <summary>c[j] += Σ_i x[i]·b[i·ld + j]</summary>
    // Eight rows of B per sweep over c, which stays in L1; an eighth of all rows apart, for the reason given above.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sweep<TLanes, V>(Real* x, Real* b, nint ld, Real* c, int n, int k) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, m = k / 8; nint gap = m * ld;
        for (int i = 0; i < m; i++)
        {
            V x0 = TLanes.Set(x[i]), x1 = TLanes.Set(x[i + m]), x2 = TLanes.Set(x[i + 2 * m]), x3 = TLanes.Set(x[i + 3 * m]);
            V x4 = TLanes.Set(x[i + 4 * m]), x5 = TLanes.Set(x[i + 5 * m]), x6 = TLanes.Set(x[i + 6 * m]), x7 = TLanes.Set(x[i + 7 * m]);
            Real* p = b + i * ld; int j = 0;
            for (; j + w <= n; j += w)
            {
                Real* q = p + j, r = q + 4 * gap;
                V s = TLanes.Fma(x0, TLanes.Load(q), TLanes.Load(c + j)), t = TLanes.Mul(x4, TLanes.Load(r));
                s = TLanes.Fma(x1, TLanes.Load(q + gap), s); t = TLanes.Fma(x5, TLanes.Load(r + gap), t);
                s = TLanes.Fma(x2, TLanes.Load(q + 2 * gap), s); t = TLanes.Fma(x6, TLanes.Load(r + 2 * gap), t);
                s = TLanes.Fma(x3, TLanes.Load(q + 3 * gap), s); t = TLanes.Fma(x7, TLanes.Load(r + 3 * gap), t);
                TLanes.Store(c + j, TLanes.Add(s, t));
            }
            for (; j < n; j++) for (int u = 0; u < 8; u++) c[j] += x[i + u * m] * p[u * gap + j];
        }
        for (int i = 8 * m; i < k; i++) Plus<TLanes, V>(c, x[i], b + i * ld, n);
    }

    /// <summary>c[r·n + j] += Σ_i x[r·ldx + i]·b[i·ld + j] for four rows r: two registers of B are loaded for eight products. Four rows of B, a quarter of all apart, per sweep over c.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sweep4<TLanes, V>(Real* x, nint ldx, Real* b, nint ld, Real* c, int n, int k) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, m = Math.Max(1, k / 4), whole = n / (2 * w) * (2 * w); Real* x1 = x + ldx, x2 = x1 + ldx, x3 = x2 + ldx;
        // The rows that are left over come last, each on its own.
        for (int first = 0; first < k; first = first < m - 1 ? first + 1 : Math.Max(first + 1, k / 4 * 4))
        {
            int end = first < k / 4 ? first + 3 * m + 1 : first + 1;
            for (int j = 0; j < whole; j += 2 * w)
            {
                Real* c0 = c + j, c1 = c0 + n, c2 = c1 + n, c3 = c2 + n, p = b + first * ld + j;
                V s0 = TLanes.Load(c0), s1 = TLanes.Load(c1), s2 = TLanes.Load(c2), s3 = TLanes.Load(c3), t0 = TLanes.Load(c0 + w), t1 = TLanes.Load(c1 + w), t2 = TLanes.Load(c2 + w), t3 = TLanes.Load(c3 + w);
                for (int i = first; i < end; i += m, p += m * ld)
                {
                    V u = TLanes.Load(p), v = TLanes.Load(p + w), y = TLanes.Set(x[i]);
                    s0 = TLanes.Fma(u, y, s0); t0 = TLanes.Fma(v, y, t0); y = TLanes.Set(x1[i]);
                    s1 = TLanes.Fma(u, y, s1); t1 = TLanes.Fma(v, y, t1); y = TLanes.Set(x2[i]);
                    s2 = TLanes.Fma(u, y, s2); t2 = TLanes.Fma(v, y, t2); y = TLanes.Set(x3[i]);
                    s3 = TLanes.Fma(u, y, s3); t3 = TLanes.Fma(v, y, t3);
                }
                TLanes.Store(c0, s0); TLanes.Store(c1, s1); TLanes.Store(c2, s2); TLanes.Store(c3, s3); TLanes.Store(c0 + w, t0); TLanes.Store(c1 + w, t1); TLanes.Store(c2 + w, t2); TLanes.Store(c3 + w, t3);
            }
        }
        if (whole < n) for (int r = 0; r < 4; r++) Sweep<TLanes, V>(x + r * ldx, b + whole, ld, c + (nint)r * n + whole, n - whole, k);
    }

    /// <summary>c[n] += x·b[n]</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Plus<TLanes, V>(Real* c, Real x, Real* b, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, j = 0; V v = TLanes.Set(x);
        for (; j + w <= n; j += w) TLanes.Store(c + j, TLanes.Fma(v, TLanes.Load(b + j), TLanes.Load(c + j)));
        for (; j < n; j++) c[j] += x * b[j];
    }
}
