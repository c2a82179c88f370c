using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// The adjoint of <see cref="LinearForward"/>, chunk by chunk from the end. With W the decay ratios, e what is left of the state before the chunk and w of each
/// step at its end: P = (q kᵀ)∘W, dP = (dO vᵀ)∘W; dq = dP k + e dO Sᵀ; dk = dPᵀ q + w v dSᵀ; dv = Pᵀ dO + w k dS; dS ← e_last dS + (e q)ᵀ dO.
/// Without checkpoints a first sweep from the start rebuilds S and adds its part of dq (Algorithm 2).
/// </summary>
internal readonly unsafe struct LinearBackward(ScanSize z, Real* q, Real* k, Real* v, Real* logA, int step, Real* checkpoints, Real* dO, Real* dState, Real* dq, Real* dk, Real* dv, Real* dlogA) : IWideRows
{
    const int C = ScanSize.Chunk, Block = LinearForward.Block;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        int D = z.Dim, E = z.ValueDim, wide = 2 * TLanes.Count; var decays = Decays.Take(scratch);
        Real* kT = scratch.Take((long)D * C), vT = scratch.Take((long)E * C), p = scratch.Take(C * C), dp = scratch.Take(C * C), pairs = scratch.Take(C * C);
        Real* sT = scratch.Take((long)D * E), x = scratch.Take((long)C * Math.Max(D, E)), seen = scratch.Take(C), kept = scratch.Take(C), rebuilt = scratch.Take(checkpoints is null ? z.State : 0);
        for (int r = from; r < to; r++)
        {
            Real* ds = dState + (long)r * z.State; int filled = 0;
            if (checkpoints is null) Inter<TLanes, V>(r, decays, sT, x, rebuilt);
            for (int chunk = z.Chunks - 1; chunk >= 0; chunk--)
            {
                int t0 = chunk * C, n = Math.Min(C, z.Length - t0); long at = (long)r * z.Length + t0;
                Real* qc = q + at * D, kc = k + at * D, vc = v + at * E, doc = dO + at * E, dqc = dq + at * D, dkc = dk + at * D, dvc = dv + at * E, s = checkpoints is null ? null : checkpoints + ((long)r * z.Chunks + chunk) * z.State;
                if (step == 1 || filled < n) { decays.Fill<TLanes, V>(logA is null ? null : step == 1 ? logA + at : logA + r, step, n); filled = n; }
                Panel.Transpose(kc, n, D, kT, C); Panel.Transpose(vc, n, E, vT, C);
                for (int i = 0; i < n; i += Block)
                {
                    int m = Math.Min(Block, n - i), until = (i + m + wide - 1) / wide * wide;
                    Panel.Product<TLanes, V>(qc + (long)i * D, D, 1, kT, C, p + i * C, C, m, D, until, false);
                    Panel.Product<TLanes, V>(doc + (long)i * E, E, 1, vT, C, dp + i * C, C, m, E, until, false);
                    decays.Mask<TLanes, V>(p, i, i + m, until, true);
                    if (dlogA is not null) Multiply<TLanes, V>(p + i * C, dp + i * C, pairs + i * C, m, until);
                    decays.Mask<TLanes, V>(dp, i, i + m, until, true);
                    Panel.Product<TLanes, V>(dp + i * C, C, 1, kc, D, dqc + (long)i * D, D, m, i + m, D, true);
                }
                for (int j = 0; j < n; j += Block)      // transposed scores: row j sees the steps from j on
                {
                    int m = Math.Min(Block, n - j);
                    Panel.Product<TLanes, V>(dp + j * C + j, 1, C, qc + (long)j * D, D, dkc + (long)j * D, D, m, n - j, D, true);
                    Panel.Product<TLanes, V>(p + j * C + j, 1, C, doc + (long)j * E, E, dvc + (long)j * E, E, m, n - j, E, true);
                }
                if (s is not null)
                {
                    Panel.Transpose(s, D, E, sT, D);
                    Panel.Product<TLanes, V>(doc, E, 1, sT, D, x, D, n, E, D, false);
                    for (int i = 0; i < n; i++) seen[i] = Join<TLanes, V>(x + (long)i * D, qc + (long)i * D, dqc + (long)i * D, decays.FromStart[i], D);
                }
                Panel.Transpose(ds, D, E, sT, D);
                Panel.Product<TLanes, V>(vc, E, 1, sT, D, x, D, n, E, D, false);
                Real* left = decays.Ratio + (n - 1) * C; Real last = decays.FromStart[n - 1];
                for (int j = 0; j < n; j++) kept[j] = Join<TLanes, V>(x + (long)j * D, kc + (long)j * D, dkc + (long)j * D, left[j], D);
                Panel.Product<TLanes, V>(kc, D, 1, ds, E, x, E, n, D, E, false);
                for (int j = 0; j < n; j++) Panel.AddScaled<TLanes, V>(x + (long)j * E, dvc + (long)j * E, left[j], E);
                if (dlogA is not null) Slope<TLanes, V>(step == 1 ? dlogA + at : dlogA + r, pairs, seen, kept, last == 0 ? 0 : last * Reduce.Dot<TLanes, V>(ds, s, z.State), n);
                for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(qc + (long)i * D, x + (long)i * D, decays.FromStart[i], D);
                if (logA is not null) Panel.Scale<TLanes, V>(ds, ds, last, z.State);
                Panel.Product<TLanes, V>(x, 1, D, doc, E, ds, E, D, n, E, true);
            }
        }
    }

    /// <summary>dq += e dO Sᵀ for all chunks of row r, with S rebuilt from zero in s.</summary>
    void Inter<TLanes, V>(int r, Decays decays, Real* sT, Real* x, Real* s) where TLanes : struct, ILanes<V> where V : struct
    {
        int D = z.Dim, E = z.ValueDim, filled = 0;
        new Span<Real>(s, z.State).Clear();
        for (int chunk = 0; chunk < z.Chunks; chunk++)
        {
            int t0 = chunk * C, n = Math.Min(C, z.Length - t0); long at = (long)r * z.Length + t0;
            if (step == 1 || filled == 0) { decays.Fill<TLanes, V>(logA is null ? null : step == 1 ? logA + at : logA + r, step, n); filled = n; }
            if (chunk > 0)
            {
                Panel.Transpose(s, D, E, sT, D);
                Panel.Product<TLanes, V>(dO + at * E, E, 1, sT, D, x, D, n, E, D, false);
                for (int i = 0; i < n; i++) Panel.AddScaled<TLanes, V>(x + (long)i * D, dq + (at + i) * D, decays.FromStart[i], D);
            }
            for (int j = 0; j < n; j++) Panel.Scale<TLanes, V>(k + (at + j) * D, x + (long)j * D, decays.Ratio[(n - 1) * C + j], D);
            if (logA is not null) Panel.Scale<TLanes, V>(s, s, decays.FromStart[n - 1], z.State);
            Panel.Product<TLanes, V>(x, 1, D, v + at * E, E, s, E, D, n, E, true);
        }
    }

    /// <summary>g += s·x; returns s·(x·y): what the decay s is responsible for.</summary>
    static Real Join<TLanes, V>(Real* x, Real* y, Real* g, Real s, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Panel.AddScaled<TLanes, V>(x, g, s, n);
        return s == 0 ? 0 : (Real)(s * Reduce.Dot<TLanes, V>(x, y, n));
    }

    /// <summary>c = a∘b on rows of C numbers, up to column until.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Multiply<TLanes, V>(Real* a, Real* b, Real* c, int rows, int until) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 0; i < rows; i++) for (int j = i * C; j < i * C + until; j += TLanes.Count) TLanes.Store(c + j, TLanes.Mul(TLanes.Load(a + j), TLanes.Load(b + j)));
    }

    /// <summary>
    /// Every decay ratio that contains step t adds its share to dlogA_t: pairs i ≥ t > j, what output i ≥ t saw of the old state, what is kept of j &lt; t in the
    /// new one, and the old state in the new one (through). Sums of like terms only, no differences of long sums.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Slope<TLanes, V>(Real* dlog, Real* pairs, Real* seen, Real* kept, double through, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Real* below = stackalloc Real[C];       // Σ_{i ≥ t} pairs[i,j]
        new Span<Real>(below, C).Clear();
        for (int j = 1; j < n; j++) kept[j] += kept[j - 1];
        double later = 0, all = 0;
        for (int t = n - 1; t >= 0; t--)
        {
            for (int j = 0; j < t; j += TLanes.Count) TLanes.Store(below + j, TLanes.Add(TLanes.Load(below + j), TLanes.Load(pairs + t * C + j)));
            later += seen[t];
            double slope = Reduce.Sum<TLanes, V>(below, t) + later + (t > 0 ? kept[t - 1] : 0) + through;
            if (step == 1) dlog[t] += (Real)slope; else all += slope;
        }
        if (step == 0) *dlog += (Real)all;
    }
}
