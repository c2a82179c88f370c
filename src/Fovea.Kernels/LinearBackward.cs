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
        var f = Forward; int n = f.Steps(chunk), D = z.Dim, E = z.ValueDim; long at = f.At(row, chunk); using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        if (f.Decay) { decays.Fill<TLanes, V>(f.Logs(row, chunk), step, n, true, false); totals[slot] = decays.FromStart[n - 1]; }
        Real* seen = new ChunkParts(D, E, n, decays, f.Decay).Scaled<TLanes, V>(q + at * D, decays.FromStart, scratch);
        Panel.Product<TLanes, V>(seen, 1, D, dO + at * E, E, slots + slot * z.State, E, D, n, E, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        const int Piece = LinearForward.Piece; int at = piece * Piece, n = Math.Min(Piece, z.State - at);
        for (int chunk = to - 1; chunk >= from; chunk--) StateLoops.Swap<TLanes, V>(slots + (slot + chunk - from) * z.State + at, dState + (long)row * z.State + at, logA is null ? 1 : totals[slot + chunk - from], n);
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        var f = Forward; int n = f.Steps(chunk); long at = f.At(row, chunk); Real* qc = q + at * z.Dim, kc = k + at * z.Dim, vc = v + at * z.ValueDim, dkc = dk + at * z.Dim, dvc = dv + at * z.ValueDim;
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        Real* pairs = null, seen = null, kept = null, s = checkpoints is null ? null : checkpoints + ((long)row * z.Chunks + chunk) * z.State, ds = slots + slot * z.State;
        if (dlogA is not null)
        {
            pairs = scratch.Take(C * C + 2 * C); seen = pairs + C * C; kept = seen + C;
            new Span<Real>(pairs, C * C + 2 * C).Clear();
        }
        if (f.Decay) decays.Fill<TLanes, V>(f.Logs(row, chunk), step, n, true, true);
        var parts = new ChunkParts(z.Dim, z.ValueDim, n, decays, f.Decay);
        parts.ReadBack<TLanes, V>(qc, kc, vc, s, dO + at * z.ValueDim, dq + at * z.Dim, dkc, dvc, pairs, seen, false);
        parts.WriteBack<TLanes, V>(kc, vc, ds, dkc, dvc, kept);
        if (dlogA is not null) parts.Slope<TLanes, V>(step == 1 ? dlogA + at : dlogA + (long)row * z.Chunks + chunk, step, pairs, seen, kept, ds, s);
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
