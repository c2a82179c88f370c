namespace Fovea.Kernels;

/// <summary>Sizes and constants of <see cref="LocalLinear"/>: q [B,H,N,D], k [B,G,M,D], v [B,G,M,E]; KeyRows rows lie per key head, of which queries see the first so many.</summary>
/// <param name="Raw">Whether the ridge is λ times the sum of weights before normalisation: λ exp(−lse).</param>
public readonly record struct LocalLinearSize(int Batch, int Heads, int KvHeads, int Queries, int KeyRows, int Dim, int ValueDim, Real Scale, bool Raw)
{
    /// <summary>Most steps of conjugate gradients.</summary>
    public const int Most = 32;
    /// <summary>Squared residual, relative to that of the right side, at which they end.</summary>
    public static Real Tolerance => sizeof(Real) == 4 ? (Real)1e-12 : (Real)1e-28;
    internal int Group => Heads / KvHeads;
}

/// <summary>
/// Local linear attention (2510.01450): at query i a ridge-penalised affine map is fitted to the values, weighted by softmax p, and its intercept is the output. With z_j = k_j − q, μ = Σ p_j z_j, Σ = Σ p_j z_j z_jᵀ + λI and ρ = Σ⁻¹μ it is
/// o = Σ s_j v_j, s_j = p_j (1 − z_j·ρ)/(1 − μ·ρ). Σ is never stored: conjugate gradients stream over the keys, Σx = Σ_j c_j k_j − q Σ_j c_j + λx with c_j = p_j (k_j·x − q·x), for <see cref="LocalBlock.Queries"/> queries at a time
/// so that each tile of keys is turned (so that keys are the lanes) once for all of them. Scratch does not depend on the number of keys.
/// </summary>
public static unsafe class LocalLinear
{
    /// <summary>
    /// o [B,H,N,E], ρ [B,H,N,D], lse [B,H,N] (natural) and D = 1 − μ·ρ [B,H,N], all overwritten. lambda [H] is the ridge; limits [N] says how many keys a query sees, in order; a query that sees none gives zeros.
    /// </summary>
    public static void Forward(in LocalLinearSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> lambda, ReadOnlySpan<int> limits, Span<Real> o, Span<Real> rho, Span<Real> lse, Span<Real> d) => Forward(z, q, k, v, lambda, limits, o, rho, lse, d, Width.Widest);

    internal static void Forward(in LocalLinearSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> lambda, ReadOnlySpan<int> limits, Span<Real> o, Span<Real> rho, Span<Real> lse, Span<Real> d, Width width)
    {
        long rows = Check(z, q, k, v, lambda, limits); Guard.Holds(o, rows * z.ValueDim); Guard.Holds(rho, rows * z.Dim); Guard.Holds(lse, rows); Guard.Holds(d, rows);
        int blocks = (z.Queries + LocalBlock.Queries - 1) / LocalBlock.Queries, tasks = z.Batch * z.Heads * blocks; long steps;
        var counts = new long[tasks];
        fixed (Real* pq = q, pk = k, pv = v, pl = lambda, po = o, pr = rho, ps = lse, pd = d) fixed (int* pn = limits) fixed (long* pc = counts)
            WideRows.For(tasks, 1, new ForwardRows(z, blocks, pq, pk, pv, pl, pn, po, pr, ps, pd, pc), width);
        steps = 0; foreach (long c in counts) steps += c;
        Work.Add(steps);
    }

    /// <summary>Adds into dq, dk, dv and dlambda [H]; o, rho, lse and d are Forward's (o is not read).</summary>
    public static void Backward(in LocalLinearSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> lambda, ReadOnlySpan<int> limits, ReadOnlySpan<Real> rho, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> d,
        ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dlambda) => Backward(z, q, k, v, lambda, limits, rho, lse, d, dO, dq, dk, dv, dlambda, Width.Widest);

    internal static void Backward(in LocalLinearSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> lambda, ReadOnlySpan<int> limits, ReadOnlySpan<Real> rho, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> d,
        ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dlambda, Width width)
    {
        long rows = Check(z, q, k, v, lambda, limits), keys = (long)z.Batch * z.KvHeads * z.KeyRows;
        Guard.Holds(rho, rows * z.Dim); Guard.Holds(lse, rows); Guard.Holds(d, rows); Guard.Holds(dO, rows * z.ValueDim);
        Guard.Holds(dq, rows * z.Dim); Guard.Holds(dk, keys * z.Dim); Guard.Holds(dv, keys * z.ValueDim); Guard.Holds(dlambda, z.Heads);
        int tasks = z.Batch * z.KvHeads; var counts = new long[tasks];
        // Ridges of one head get parts from every row of the batch: each task keeps its own, and they are added in order.
        var parts = new Real[tasks * z.Group];
        fixed (Real* pq = q, pk = k, pv = v, pl = lambda, pr = rho, ps = lse, pd = d, pg = dO, pdq = dq, pdk = dk, pdv = dv, pp = parts) fixed (int* pn = limits) fixed (long* pc = counts)
            WideRows.For(tasks, 1, new LocalLinearBackward(z, pq, pk, pv, pl, pn, pr, ps, pd, pg, pdq, pdk, pdv, pp, pc), width);
        for (int t = 0; t < tasks; t++) for (int h = 0; h < z.Group; h++) dlambda[t % z.KvHeads * z.Group + h] += parts[t * z.Group + h];
        long steps = 0; foreach (long c in counts) steps += c;
        Work.Add(steps);
    }

    static long Check(in LocalLinearSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> lambda, ReadOnlySpan<int> limits)
    {
        Guard.AtLeast(z.Batch, 0); Guard.AtLeast(z.Dim, 1); Guard.AtLeast(z.ValueDim, 1); Guard.AtLeast(z.KvHeads, 1);
        if (z.Heads % z.KvHeads != 0) throw new ArgumentException($"{z.Heads} heads do not share {z.KvHeads} key heads");
        long rows = (long)z.Batch * z.Heads * z.Queries, keys = (long)z.Batch * z.KvHeads * z.KeyRows;
        Guard.Holds(q, rows * z.Dim); Guard.Holds(k, keys * z.Dim); Guard.Holds(v, keys * z.ValueDim); Guard.Holds(lambda, z.Heads);
        if (limits.Length < z.Queries) throw new ArgumentException($"{limits.Length} limits for {z.Queries} queries");
        foreach (int n in limits[..z.Queries]) if ((uint)n > (uint)z.KeyRows) throw new ArgumentOutOfRangeException(nameof(limits), n, $"a query sees 0 to {z.KeyRows} keys");
        return rows;
    }

    readonly struct ForwardRows(LocalLinearSize z, int blocks, Real* q, Real* k, Real* v, Real* lambda, int* limits, Real* o, Real* rho, Real* lse, Real* d, long* count) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open(); var block = new LocalBlock(z, scratch);
            for (int task = from; task < to; task++)
            {
                int row = task / blocks, first = task % blocks * LocalBlock.Queries, n = Math.Min(LocalBlock.Queries, z.Queries - first), head = row % z.Heads; long at = (long)row * z.Queries + first, keys = (long)(row / z.Heads * z.KvHeads + head / z.Group) * z.KeyRows;
                block.Start(n, q + at * z.Dim, k + keys * z.Dim, limits + first);
                block.Softmax<TLanes, V>(lse + at);
                block.Ridge(lambda[head]);
                for (int i = 0; i < n; i++) for (int c = 0; c < z.Dim; c++) block.Right(i)[c] = block.Mean(i)[c];
                block.Solve<TLanes, V>();
                for (int i = 0; i < n; i++)
                {
                    Real sum = 1; Real* x = block.Solution(i), m = block.Mean(i), r = rho + (at + i) * z.Dim;
                    for (int c = 0; c < z.Dim; c++) { sum -= m[c] * x[c]; r[c] = x[c]; }
                    d[at + i] = sum;
                }
                block.Output<TLanes, V>(v + keys * z.ValueDim, d + at, o + at * z.ValueDim);
                count[task] = block.MultiplyAdds;
            }
        }
    }
}
