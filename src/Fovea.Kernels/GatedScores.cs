using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>The scores of one chunk, p [C,C] with p_ij = Σ_d q_id k_jd Π_{j&lt;s≤i} α_sd for j ≤ i below n, and their adjoint; see <see cref="GatedScan"/>.</summary>
internal readonly unsafe struct GatedScores(Real* q, Real* k, Real* gate, int n, int D)
{
    const int C = ScanSize.Chunk, Block = 8;

    /// <summary>p is overwritten, with 0 above the diagonal.</summary>
    public void Forward<TLanes, V>(Real* p) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* right = scratch.Take((long)C / 2 * D), left = scratch.Take((long)C / 2 * D), leftT = scratch.Take((long)C / 2 * D);
        new Span<Real>(p, C * C).Clear();
        Small<TLanes, V>(p);
        for (int half = C / 2; half >= Block; half /= 2)
            for (int m = half; m < n; m += 2 * half)
            {
                int rows = Math.Min(half, n - m); long l = m - half;
                Gates.FromStart<TLanes, V>(q + (long)m * D, gate + (long)m * D, right, rows, D);
                Gates.FromEnd<TLanes, V>(k + l * D, gate + l * D, left, null, half, D);
                Panel.Transpose(left, half, D, leftT, half);
                Panel.Product<TLanes, V>(right, D, 1, leftT, half, p + m * C + l, C, rows, D, half, false);
            }
    }

    // Pairs within small blocks: from step j on the key fades gate by gate, and four outputs are made at a time. What they reach beyond the block is right too, and made again by the products.
    void Small<TLanes, V>(Real* p) where TLanes : struct, ILanes<V> where V : struct
    {
        const int Reach = Block + 4;
        using var scratch = Scratch.Open(); Real* x = scratch.Take(D), padded = scratch.Take(2L * Reach * D);
        for (int i = 0; i < n; i += Block)
        {
            int rows = Math.Min(Reach, n - i); Real* qi = q + (long)i * D, gi = gate + (long)i * D;
            if (rows < Reach)       // the end of the chunk is copied, with zeros behind it
            {
                new Span<Real>(padded, 2 * Reach * D).Clear();
                new ReadOnlySpan<Real>(qi, rows * D).CopyTo(new(padded, rows * D)); new ReadOnlySpan<Real>(gi, rows * D).CopyTo(new(padded + Reach * D, rows * D));
                qi = padded; gi = padded + Reach * D;
            }
            for (int j = 0; j < Math.Min(Block, rows); j++)
            {
                Real* from = k + (long)(i + j) * D;
                for (int r = j; r < Math.Min(Block, rows); r += 4, from = x) Four<TLanes, V>(from, x, qi + (long)r * D, gi + (long)r * D, p + (i + r) * C + i + j, Math.Min(4, rows - r));
            }
        }
    }

    // p[r·C] = q_r·x for four rows r, of which count are wanted, with x ∘= gate_r before each but the first, and once more at the end.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Four<TLanes, V>(Real* from, Real* x, Real* q, Real* a, Real* p, int count) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, d = 0; V s0 = TLanes.Set(0), s1 = s0, s2 = s0, s3 = s0; Real r0 = 0, r1 = 0, r2 = 0, r3 = 0;
        Real* q1 = q + D, q2 = q1 + D, q3 = q2 + D, a1 = a + D, a2 = a1 + D, a3 = a2 + D, a4 = a3 + D;
        for (; d <= D - w; d += w)
        {
            V y = TLanes.Load(from + d); s0 = TLanes.Fma(TLanes.Load(q + d), y, s0);
            y = TLanes.Mul(y, TLanes.Load(a1 + d)); s1 = TLanes.Fma(TLanes.Load(q1 + d), y, s1);
            y = TLanes.Mul(y, TLanes.Load(a2 + d)); s2 = TLanes.Fma(TLanes.Load(q2 + d), y, s2);
            y = TLanes.Mul(y, TLanes.Load(a3 + d)); s3 = TLanes.Fma(TLanes.Load(q3 + d), y, s3);
            TLanes.Store(x + d, TLanes.Mul(y, TLanes.Load(a4 + d)));
        }
        for (; d < D; d++)
        {
            Real y = from[d]; r0 += q[d] * y;
            y *= a1[d]; r1 += q1[d] * y; y *= a2[d]; r2 += q2[d] * y; y *= a3[d]; r3 += q3[d] * y;
            x[d] = y * a4[d];
        }
        p[0] = TLanes.Sum(s0) + r0;
        if (count > 1) p[C] = TLanes.Sum(s1) + r1;
        if (count > 2) p[2 * C] = TLanes.Sum(s2) + r2;
        if (count > 3) p[3 * C] = TLanes.Sum(s3) + r3;
    }

    /// <summary>Adds into dq, dk and dgate; dp is read for j ≤ i.</summary>
    public void Backward<TLanes, V>(Real* dp, Real* dq, Real* dk, Real* dgate) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* one = scratch.Take((long)C / 2 * D), two = scratch.Take((long)C / 2 * D);
        for (int half = C / 2; half >= Block; half /= 2)
            for (int m = half; m < n; m += 2 * half)
            {
                int rows = Math.Min(half, n - m); long l = m - half, lD = l * D, mD = (long)m * D; Real* block = dp + m * C + l;
                Gates.FromEnd<TLanes, V>(k + lD, gate + lD, one, null, half, D);
                Panel.Product<TLanes, V>(block, C, 1, one, D, two, D, rows, half, D, false);
                Gates.FromStartBack<TLanes, V>(two, q + mD, gate + mD, dq + mD, dgate + mD, rows, D);
                Gates.FromStart<TLanes, V>(q + mD, gate + mD, one, rows, D);
                Panel.Product<TLanes, V>(block, 1, C, one, D, two, D, half, rows, D, false);
                Gates.FromEndBack<TLanes, V>(two, k + lD, gate + lD, null, dk + lD, dgate + lD, half, D);
            }
        for (int i = 0; i < n; i += Block)
        {
            int rows = Math.Min(Block, n - i), d = SmallBack<TLanes, V>(dp, dq, dk, dgate, i, rows, 0);
            SmallBack<Lanes1, Real>(dp, dq, dk, dgate, i, rows, d);
        }
    }

    // For each step j of a small block: x_i = k_j Π α up to i, then g_i = dp_ij q_i + α_{i+1} g_{i+1} from the end.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int SmallBack<TLanes, V>(Real* dp, Real* dq, Real* dk, Real* dgate, int i0, int rows, int d) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; Real* xs = stackalloc Real[Block * 16];
        for (; d <= D - w; d += w)
            for (int j = 0; j < rows; j++)
            {
                long at = (long)(i0 + j) * D + d; V x = TLanes.Load(k + at);
                TLanes.Store(xs + j * w, x);
                for (int i = j; ;)
                {
                    TLanes.Store(dq + at, TLanes.Fma(TLanes.Set(dp[(i0 + i) * C + i0 + j]), x, TLanes.Load(dq + at)));
                    if (++i == rows) break;
                    at += D; x = TLanes.Mul(x, TLanes.Load(gate + at)); TLanes.Store(xs + i * w, x);
                }
                V g = TLanes.Set(0);
                for (int i = rows - 1; ; i--, at -= D)
                {
                    g = TLanes.Fma(TLanes.Set(dp[(i0 + i) * C + i0 + j]), TLanes.Load(q + at), g);
                    if (i == j) break;
                    TLanes.Store(dgate + at, TLanes.Fma(g, TLanes.Load(xs + (i - 1) * w), TLanes.Load(dgate + at)));
                    g = TLanes.Mul(g, TLanes.Load(gate + at));
                }
                TLanes.Store(dk + at, TLanes.Add(TLanes.Load(dk + at), g));
            }
        return d;
    }
}

/// <summary>Rows [n,D] multiplied with products of the gates [n,D] up to them or behind them, and the adjoints: Horner's rule over the steps, without a division. n is at most a chunk.</summary>
internal static unsafe class Gates
{
    const int C = ScanSize.Chunk, Widest = 16;

    /// <summary>y_i = x_i Π_{s≤i} α_s.</summary>
    public static void FromStart<TLanes, V>(Real* x, Real* gate, Real* y, int n, int D) where TLanes : struct, ILanes<V> where V : struct
    {
        int d = Start<TLanes, V>(x, gate, y, n, D, 0); Start<Lanes1, Real>(x, gate, y, n, D, d);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Start<TLanes, V>(Real* x, Real* gate, Real* y, int n, int D, int d) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; d <= D - TLanes.Count; d += TLanes.Count)
        {
            V product = TLanes.Set(1); long at = d;
            for (int i = 0; i < n; i++, at += D) { product = TLanes.Mul(product, TLanes.Load(gate + at)); TLanes.Store(y + at, TLanes.Mul(TLanes.Load(x + at), product)); }
        }
        return d;
    }

    /// <summary>y_j = x_j Π_{s>j} α_s; total [D], unless null, takes the product of all.</summary>
    public static void FromEnd<TLanes, V>(Real* x, Real* gate, Real* y, Real* total, int n, int D) where TLanes : struct, ILanes<V> where V : struct
    {
        int d = End<TLanes, V>(x, gate, y, total, n, D, 0); End<Lanes1, Real>(x, gate, y, total, n, D, d);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int End<TLanes, V>(Real* x, Real* gate, Real* y, Real* total, int n, int D, int d) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; d <= D - TLanes.Count; d += TLanes.Count)
        {
            V product = TLanes.Set(1); long at = (long)(n - 1) * D + d;
            for (int j = n - 1; j >= 0; j--, at -= D) { TLanes.Store(y + at, TLanes.Mul(TLanes.Load(x + at), product)); product = TLanes.Mul(product, TLanes.Load(gate + at)); }
            if (total is not null) TLanes.Store(total + d, product);
        }
        return d;
    }

    /// <summary>total [D] = Π_s α_s, in the order of <see cref="FromEnd"/>.</summary>
    public static void Total<TLanes, V>(Real* gate, Real* total, int n, int D) where TLanes : struct, ILanes<V> where V : struct
    {
        new Span<Real>(total, D).Fill(1);
        for (int j = n - 1; j >= 0; j--) for (int d = 0; d < D; d++) total[d] *= gate[(long)j * D + d];
    }

    /// <summary>The adjoint of <see cref="FromStart"/>: dx_i += dy_i Π_{s≤i} α_s, dα_s += Π_{t&lt;s} α_t · Σ_{i≥s} dy_i x_i Π_{s&lt;t≤i} α_t.</summary>
    public static void FromStartBack<TLanes, V>(Real* dy, Real* x, Real* gate, Real* dx, Real* dgate, int n, int D) where TLanes : struct, ILanes<V> where V : struct
    {
        int d = StartBack<TLanes, V>(dy, x, gate, dx, dgate, n, D, 0); StartBack<Lanes1, Real>(dy, x, gate, dx, dgate, n, D, d);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int StartBack<TLanes, V>(Real* dy, Real* x, Real* gate, Real* dx, Real* dgate, int n, int D, int d) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; Real* before = stackalloc Real[(C + 1) * Widest];     // the product of the gates before each step
        for (; d <= D - w; d += w)
        {
            V product = TLanes.Set(1), h = TLanes.Set(0); long at = d;
            for (int i = 0; i < n; i++, at += D)
            {
                TLanes.Store(before + i * w, product); product = TLanes.Mul(product, TLanes.Load(gate + at));
                TLanes.Store(dx + at, TLanes.Fma(TLanes.Load(dy + at), product, TLanes.Load(dx + at)));
            }
            for (int i = n - 1; i >= 0; i--)
            {
                at -= D; h = TLanes.Fma(TLanes.Load(dy + at), TLanes.Load(x + at), h);
                TLanes.Store(dgate + at, TLanes.Fma(TLanes.Load(before + i * w), h, TLanes.Load(dgate + at)));
                h = TLanes.Mul(h, TLanes.Load(gate + at));
            }
        }
        return d;
    }

    /// <summary>The adjoint of <see cref="FromEnd"/>, with dtotal [D] or null: dx_j += dy_j Π_{s>j} α_s, dα_s += Π_{t>s} α_t · (Σ_{j&lt;s} dy_j x_j Π_{j&lt;t&lt;s} α_t + dtotal Π_{t&lt;s} α_t).</summary>
    public static void FromEndBack<TLanes, V>(Real* dy, Real* x, Real* gate, Real* dtotal, Real* dx, Real* dgate, int n, int D) where TLanes : struct, ILanes<V> where V : struct
    {
        int d = EndBack<TLanes, V>(dy, x, gate, dtotal, dx, dgate, n, D, 0); EndBack<Lanes1, Real>(dy, x, gate, dtotal, dx, dgate, n, D, d);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int EndBack<TLanes, V>(Real* dy, Real* x, Real* gate, Real* dtotal, Real* dx, Real* dgate, int n, int D, int d) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; Real* behind = stackalloc Real[(C + 1) * Widest];     // the product of the gates behind each step
        for (; d <= D - w; d += w)
        {
            V product = TLanes.Set(1), h = dtotal is null ? TLanes.Set(0) : TLanes.Load(dtotal + d); long at = (long)n * D + d;
            for (int j = n - 1; j >= 0; j--)
            {
                at -= D; TLanes.Store(behind + j * w, product);
                TLanes.Store(dx + at, TLanes.Fma(TLanes.Load(dy + at), product, TLanes.Load(dx + at))); product = TLanes.Mul(product, TLanes.Load(gate + at));
            }
            for (int s = 0; s < n; s++, at += D)
            {
                TLanes.Store(dgate + at, TLanes.Fma(TLanes.Load(behind + s * w), h, TLanes.Load(dgate + at)));
                h = TLanes.Fma(TLanes.Load(gate + at), h, TLanes.Mul(TLanes.Load(dy + at), TLanes.Load(x + at)));
            }
        }
        return d;
    }
}
