namespace Fovea.Kernels;

/// <summary>
/// S_t = Diag(α_t) S_{t−1} + k_tᵀ v_t, o_t = q_t S_t with a gate for each step and key channel, in chunks of 64 steps (gated linear attention, 2312.06635, §4). A score inside a chunk is
/// Σ_d q_id k_jd Π_{j&lt;s≤i} α_sd. The paper divides a cumulative product by another, or subtracts logarithms; here a chunk is halved again and again instead: a pair on both sides of a middle m
/// is (q_i Π_{m≤s≤i} α_s)·(k_j Π_{j&lt;s&lt;m} α_s), a matrix product of factors that are at most 1, and pairs within eight steps are multiplied out. So nothing overflows and a gate may be 0.
/// Spans, checkpoints and what is added to are as in <see cref="LinearScan"/>. gate is [R,N,D], usually from 0 to 1 (larger ones grow as they do step by step); <see cref="Scan"/> with <see cref="DiagonalDecay"/> is the plain twin.
/// </summary>
public static unsafe class GatedScan
{
    /// <summary>state holds S_0 and becomes S_N; o and checkpoints (may be empty) are overwritten.</summary>
    public static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> state, Span<Real> o, Span<Real> checkpoints) => Forward(z, q, k, v, gate, state, o, checkpoints, Width.Widest);

    internal static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> state, Span<Real> o, Span<Real> checkpoints, Width width)
    {
        Check(z, q, k, v, gate); ScanCheck.Outputs(z, state, o, checkpoints);
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, ps = state, po = o, pc = checkpoints)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width);
            walk.Forward(new GatedForward(z, pq, pk, pv, pg, ps, po, pc, pc is null ? scratch.Take(walk.Slots * z.State) : null, scratch.Take(walk.Slots * z.Dim)));
        }
        Work.Add(z.Rows * (2L * z.Length * z.State + LinearScan.Pairs(z) * (z.Dim + z.ValueDim)));
    }

    /// <summary>Adds into dq, dk, dv, dgate. dState holds the gradient of S_N (zeros if nothing follows) and becomes that of S_0.</summary>
    public static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate) => Backward(z, q, k, v, gate, checkpoints, dO, dState, dq, dk, dv, dgate, Width.Widest);

    internal static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate, Width width)
    {
        Check(z, q, k, v, gate); Guard.Holds(checkpoints, z.Checkpoints); ScanCheck.Gradients(z, dO, dState, dq, dk, dv); Guard.Holds(dgate, (long)z.Rows * z.Length * z.Dim);
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, pc = checkpoints, pdo = dO, pds = dState, pdq = dq, pdk = dk, pdv = dv, pdg = dgate)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width);
            walk.Backward(new GatedBackward(z, pq, pk, pv, pg, pc, pdo, pds, pdq, pdk, pdv, pdg, scratch.Take(walk.Slots * z.State), scratch.Take(walk.Slots * z.Dim)));
        }
        Work.Add(z.Rows * (4L * z.Length * z.State + LinearScan.Pairs(z) * (3L * z.Dim + 2L * z.ValueDim)));
    }

    static Chunked Walk(in ScanSize z, Width width) => new(z.Rows, z.Chunks, GatedForward.Pieces(z), ScanSize.Chunk * (long)z.State * 3, width);

    static void Check(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        if (z.GateDim != z.Dim) throw new ArgumentException($"a step has {z.GateDim} gates, expected D = {z.Dim}");
        ScanCheck.Inputs(z, q, k, v); Guard.Holds(gate, (long)z.Rows * z.Length * z.Dim);
    }
}

/// <summary>As <see cref="LinearForward"/>, with a decay for each row of the state.</summary>
internal readonly unsafe struct GatedForward(ScanSize z, Real* q, Real* k, Real* v, Real* gate, Real* state, Real* o, Real* checkpoints, Real* slots, Real* totals) : IChunked
{
    const int C = ScanSize.Chunk;
    /// <summary>Rows of a state that go through the chunks together: about 1024 numbers.</summary>
    public static int Rows(in ScanSize z) => Math.Max(1, 1024 / Math.Max(1, z.ValueDim));
    public static int Pieces(in ScanSize z) => (z.Dim + Rows(z) - 1) / Rows(z);
    Real* StateAt(int row, int chunk, long slot) => checkpoints is null ? slots + slot * z.State : checkpoints + ((long)row * z.Chunks + chunk) * z.State;
    long At(int row, int chunk) => (long)row * z.Length + chunk * C;
    int Steps(int chunk) => Math.Min(C, z.Length - chunk * C);

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        long at = At(row, chunk); int n = Steps(chunk), D = z.Dim, E = z.ValueDim; using var scratch = Scratch.Open(); Real* kept = scratch.Take((long)n * D);
        Gates.FromEnd<TLanes, V>(k + at * D, gate + at * D, kept, totals + slot * D, n, D);
        Panel.Product<TLanes, V>(kept, 1, D, v + at * E, E, StateAt(row, chunk, slot), E, D, n, E, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int first = piece * Rows(z), last = Math.Min(first + Rows(z), z.Dim), E = z.ValueDim;
        for (int chunk = from; chunk < to; chunk++, slot++)
            for (int d = first; d < last; d++) StateLoops.Swap<TLanes, V>(StateAt(row, chunk, slot) + (long)d * E, state + (long)row * z.State + (long)d * E, totals[slot * z.Dim + d], E);
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        long at = At(row, chunk); int n = Steps(chunk), D = z.Dim, E = z.ValueDim, wide = 2 * TLanes.Count; using var scratch = Scratch.Open();
        Real* seen = scratch.Take((long)n * D), p = scratch.Take(C * C), oc = o + at * E;
        Gates.FromStart<TLanes, V>(q + at * D, gate + at * D, seen, n, D);
        Panel.Product<TLanes, V>(seen, D, 1, StateAt(row, chunk, slot), E, oc, E, n, D, E, false);
        new GatedScores(q + at * D, k + at * D, gate + at * D, n, D).Forward<TLanes, V>(p);
        for (int e = 0; e < E; e += wide)
        {
            Panel.FetchNext(q + at * D, C * D, e, wide, E); Panel.FetchNext(k + at * D, C * D, e, wide, E); Panel.FetchNext(gate + at * D, C * D, e, wide, E);
            Triangle.Lower<TLanes, V>(p, v + at * E + e, oc + e, E, n, Math.Min(wide, E - e));
            Panel.FetchNext(v + at * E, C * E, e, wide, E); Panel.FetchNext(oc, C * E, e, wide, E);
        }
    }
}

/// <summary>The adjoint of <see cref="GatedForward"/>, from the last chunk to the first.</summary>
internal readonly unsafe struct GatedBackward(ScanSize z, Real* q, Real* k, Real* v, Real* gate, Real* checkpoints, Real* dO, Real* dState, Real* dq, Real* dk, Real* dv, Real* dgate, Real* slots, Real* totals) : IChunked
{
    const int C = ScanSize.Chunk;
    long At(int row, int chunk) => (long)row * z.Length + chunk * C;
    int Steps(int chunk) => Math.Min(C, z.Length - chunk * C);

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        long at = At(row, chunk); int n = Steps(chunk), D = z.Dim, E = z.ValueDim; using var scratch = Scratch.Open(); Real* seen = scratch.Take((long)n * D);
        Gates.FromStart<TLanes, V>(q + at * D, gate + at * D, seen, n, D);
        Gates.Total<TLanes, V>(gate + at * D, totals + slot * D, n, D);
        Panel.Product<TLanes, V>(seen, 1, D, dO + at * E, E, slots + slot * z.State, E, D, n, E, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int first = piece * GatedForward.Rows(z), last = Math.Min(first + GatedForward.Rows(z), z.Dim), E = z.ValueDim;
        for (int chunk = to - 1; chunk >= from; chunk--)
            for (int d = first; d < last; d++) { long x = slot + chunk - from; StateLoops.Swap<TLanes, V>(slots + x * z.State + (long)d * E, dState + (long)row * z.State + (long)d * E, totals[x * z.Dim + d], E); }
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        long at = At(row, chunk); int n = Steps(chunk), D = z.Dim, E = z.ValueDim; using var scratch = Scratch.Open();
        Real* p = scratch.Take(C * C), dp = scratch.Take(C * C), vT = scratch.Take((long)E * C), sT = scratch.Take(z.State), x = scratch.Take((long)C * Math.Max(D, E)), total = scratch.Take(D);
        Real* qc = q + at * D, kc = k + at * D, vc = v + at * E, gc = gate + at * D, doc = dO + at * E, dqc = dq + at * D, dkc = dk + at * D, dvc = dv + at * E, dgc = dgate + at * D, s = checkpoints + ((long)row * z.Chunks + chunk) * z.State, ds = slots + slot * z.State;
        var scores = new GatedScores(qc, kc, gc, n, D);
        scores.Forward<TLanes, V>(p);
        Panel.Transpose(vc, n, E, vT, C);
        Triangle.Scores<TLanes, V>(doc, vT, dp, n, E, dvc, E);
        Triangle.Upper<TLanes, V>(p, doc, E, dvc, E, n, E, true);
        scores.Backward<TLanes, V>(dp, dqc, dkc, dgc);
        // What the outputs see of the state before the chunk, and what the state after it keeps of the steps and of the state before.
        Panel.Transpose(s, D, E, sT, D); Panel.Product<TLanes, V>(doc, E, 1, sT, D, x, D, n, E, D, false);
        Gates.FromStartBack<TLanes, V>(x, qc, gc, dqc, dgc, n, D);
        Panel.Transpose(ds, D, E, sT, D); Panel.Product<TLanes, V>(vc, E, 1, sT, D, x, D, n, E, D, false);
        for (int d = 0; d < D; d++) total[d] = RowProduct.Dot<TLanes, V>(s + (long)d * E, ds + (long)d * E, E);
        Gates.FromEndBack<TLanes, V>(x, kc, gc, total, dkc, dgc, n, D);
        Gates.FromEnd<TLanes, V>(kc, gc, x, total, n, D);
        Panel.Product<TLanes, V>(x, D, 1, ds, E, dvc, E, n, D, E, true);
    }
}
