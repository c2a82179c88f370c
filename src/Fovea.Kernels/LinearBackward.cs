using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// The adjoint of <see cref="LinearForward"/>, chunk by chunk from the end. With W the decay ratios, e what is left of the state before the chunk and w of each
/// step at its end: P = (q kᵀ)∘W, dP = (dO vᵀ)∘W; dq = dP k + e dO Sᵀ; dk = dPᵀ q + w v dSᵀ; dv = Pᵀ dO + w k dS; dS ← e_last dS + (e q)ᵀ dO.
/// Without checkpoints <see cref="LinearRebuild"/> has added the part of dq that needs S. dlogA is [R,N], or [R, chunks] for a decay that is constant along a row.
/// </summary>
internal readonly unsafe struct LinearBackward(ScanSize z, Real* q, Real* k, Real* v, Real* logA, int step, Real* checkpoints, Real* dO, Real* dState, Real* dq, Real* dk, Real* dv, Real* dlogA, Real* slots, Real* totals) : IChunked
{
    const int C = ScanSize.Chunk;
    LinearForward Forward => new(z, q, k, v, logA, step, null, null, null, slots, totals);

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        var f = Forward; int n = f.Steps(chunk), D = z.Dim, E = z.ValueDim; long at = f.At(row, chunk);
        using var scratch = Scratch.Open(); Real* seen = q + at * D;
        if (logA is not null)
        {
            var decays = Decays.Take(scratch); decays.Fill<TLanes, V>(f.Logs(row, chunk), step, n, true, false);
            totals[slot] = decays.FromStart[n - 1]; seen = scratch.Take((long)n * D);
            for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(q + (at + i) * D, seen + (long)i * D, decays.FromStart[i], D);
        }
        Panel.Product<TLanes, V>(seen, 1, D, dO + at * E, E, slots + slot * z.State, E, D, n, E, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        const int Piece = LinearForward.Piece; int at = piece * Piece, n = Math.Min(Piece, z.State - at);
        for (int chunk = to - 1; chunk >= from; chunk--) StateLoops.Swap<TLanes, V>(slots + (slot + chunk - from) * z.State + at, dState + (long)row * z.State + at, logA is null ? 1 : totals[slot + chunk - from], n);
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        var f = Forward; int n = f.Steps(chunk), D = z.Dim, E = z.ValueDim, wide = 2 * TLanes.Count, block = Micro.Rows<V>(); long at = f.At(row, chunk); bool decay = logA is not null, slopes = dlogA is not null;
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        Real* kT = scratch.Take((long)D * C), vT = scratch.Take((long)E * C), p = scratch.Take(C * C), dp = scratch.Take(C * C), pairs = slopes ? scratch.Take(C * C) : null;
        Real* sT = scratch.Take((long)D * E), x = scratch.Take((long)C * Math.Max(D, E)), seen = scratch.Take(C), kept = scratch.Take(C), ds = slots + slot * z.State;
        Real* qc = q + at * D, kc = k + at * D, vc = v + at * E, doc = dO + at * E, dqc = dq + at * D, dkc = dk + at * D, dvc = dv + at * E, s = checkpoints is null ? null : checkpoints + ((long)row * z.Chunks + chunk) * z.State;
        if (decay) decays.Fill<TLanes, V>(f.Logs(row, chunk), step, n, true, true);
        Panel.Transpose(kc, n, D, kT, C); Panel.Transpose(vc, n, E, vT, C);
        for (int i = 0; i < n; i += block)
        {
            int m = Math.Min(block, n - i), until = (i + m + wide - 1) / wide * wide;
            Panel.Product<TLanes, V>(qc + (long)i * D, D, 1, kT, C, p + i * C, C, m, D, until, false);
            Panel.Product<TLanes, V>(doc + (long)i * E, E, 1, vT, C, dp + i * C, C, m, E, until, false);
            decays.Mask<TLanes, V>(p, i, i + m, until, decay);
            if (slopes) Multiply<TLanes, V>(p + i * C, dp + i * C, pairs + i * C, m, until);
            decays.Mask<TLanes, V>(dp, i, i + m, until, decay);
            Panel.Product<TLanes, V>(dp + i * C, C, 1, kc, D, dqc + (long)i * D, D, m, i + m, D, true);
        }
        for (int j = 0; j < n; j += block)      // transposed scores: row j sees the steps from j on
        {
            int m = Math.Min(block, n - j);
            Panel.Product<TLanes, V>(dp + j * C + j, 1, C, qc + (long)j * D, D, dkc + (long)j * D, D, m, n - j, D, true);
            Panel.Product<TLanes, V>(p + j * C + j, 1, C, doc + (long)j * E, E, dvc + (long)j * E, E, m, n - j, E, true);
        }
        if (s is not null) Join<TLanes, V>(doc, s, sT, x, qc, dqc, decay ? decays.FromStart : null, seen, n);
        Join<TLanes, V>(vc, ds, sT, x, kc, dkc, decay ? decays.ToEnd : null, kept, n);
        Panel.Product<TLanes, V>(kc, D, 1, ds, E, x, E, n, D, E, false);
        for (int j = 0; j < n; j++) Panel.AddScaled<TLanes, V>(x + (long)j * E, dvc + (long)j * E, decay ? decays.ToEnd[j] : 1, E);
        if (!slopes) return;
        Real last = decays.FromStart[n - 1];
        Slope<TLanes, V>(step == 1 ? dlogA + at : dlogA + (long)row * z.Chunks + chunk, pairs, seen, kept, last == 0 ? 0 : last * Reduce.Dot<TLanes, V>(ds, s, z.State), n);
    }

    /// <summary>g += r·(a Sᵀ) for n rows a [n,E] and the decays r (null for 1) of the rows; shares become the products of y with what was added: what each decay is responsible for.</summary>
    void Join<TLanes, V>(Real* a, Real* s, Real* sT, Real* x, Real* y, Real* g, Real* r, Real* shares, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int D = z.Dim, E = z.ValueDim;
        Panel.Transpose(s, D, E, sT, D);
        if (dlogA is null && r is null) { Panel.Product<TLanes, V>(a, E, 1, sT, D, g, D, n, E, D, true); return; }
        Panel.Product<TLanes, V>(a, E, 1, sT, D, x, D, n, E, D, false);
        for (int i = 0; i < n; i++)
        {
            Panel.AddScaled<TLanes, V>(x + (long)i * D, g + (long)i * D, r[i], D);
            if (dlogA is not null) shares[i] = r[i] == 0 ? 0 : r[i] * RowProduct.Dot<TLanes, V>(x + (long)i * D, y + (long)i * D, D);
        }
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
        if (step == 0) *dlog = (Real)all;
    }
}

/// <summary>dq += e dO Sᵀ in a walk from the start that makes the states anew (Algorithm 2).</summary>
internal readonly unsafe struct LinearRebuild(LinearForward states, Real* dO, Real* dq) : IChunked
{
    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct => states.Before<TLanes, V>(row, chunk, slot);
    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct => states.Across<TLanes, V>(row, piece, from, to, slot);
    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        if (chunk == 0) return;     // before the first there is nothing
        var z = states.Size; int n = states.Steps(chunk), D = z.Dim, E = z.ValueDim; long at = states.At(row, chunk);
        using var scratch = Scratch.Open(); Real* sT = scratch.Take((long)D * E), x = scratch.Take((long)n * D);
        Panel.Transpose(states.StateAt(row, chunk, slot), D, E, sT, D);
        bool decay = states.Decay; var decays = Decays.Take(scratch);
        if (!decay) { Panel.Product<TLanes, V>(dO + at * E, E, 1, sT, D, dq + at * D, D, n, E, D, true); return; }
        decays.Fill<TLanes, V>(states.Logs(row, chunk), states.Step, n, true, false);
        Panel.Product<TLanes, V>(dO + at * E, E, 1, sT, D, x, D, n, E, D, false);
        for (int i = 0; i < n; i++) Panel.AddScaled<TLanes, V>(x + (long)i * D, dq + (at + i) * D, decays.FromStart[i], D);
    }
}
