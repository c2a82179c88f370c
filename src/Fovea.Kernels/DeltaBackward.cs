namespace Fovea.Kernels;

/// <summary>
/// The adjoint of <see cref="DeltaForward"/> from the last chunk to the first. With w and x made anew from the checkpoint: alone, dw = Pᵀ dO and Y = (e q)ᵀ dO; across, dw += w k dS and
/// the transposed system dw_j −= Σ_{i>j} W_ij (k_i·k_j) dx_i, dx_i = β_i dw_i, then dS ← e_last dS + Y − (e k)ᵀ dx. x is v minus a read of the state by k, strictly causal, with output gradient −dx;
/// so the rest is two adjoint reads, with q and with k, and one adjoint write; dv = dx and dβ_i = dw_i·x_i.
/// </summary>
internal readonly unsafe struct DeltaBackward(DeltaChunk chunks, Real* checkpoints, Real* dO, Real* dState, Real* dq, Real* dk, Real* dv, Real* dgate, Real* slots) : IChunked
{
    const int C = ScanSize.Chunk;
    /// <summary>A slot holds the system, w, x, dw, and Y, which becomes the gradient of the state after the chunk.</summary>
    public static long Slot(in ScanSize z) => C * C + 3L * C * z.ValueDim + z.State;
    Real* Lower(long slot) => slots + slot * Slot(chunks.Size);
    Real* W(long slot) => Lower(slot) + C * C;
    Real* X(long slot) => W(slot) + (long)C * chunks.E;
    Real* DW(long slot) => X(slot) + (long)C * chunks.E;
    Real* DS(long slot) => DW(slot) + (long)C * chunks.E;
    Real* StateAt(int row, int chunk) => checkpoints + ((long)row * chunks.Size.Chunks + chunk) * chunks.Size.State;

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int n = chunks.Steps(chunk), D = chunks.D, E = chunks.E; using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        var parts = chunks.Parts<TLanes, V>(row, chunk, ref decays, true); Real* doc = dO + chunks.At(row, chunk) * E, p = scratch.Take(C * C), kT = scratch.Take((long)D * C);
        chunks.System<TLanes, V>(row, chunk, parts, Lower(slot));
        chunks.Solve<TLanes, V>(row, chunk, decays, Lower(slot), StateAt(row, chunk), X(slot), W(slot), 0, E);
        Panel.Transpose(chunks.K(row, chunk), n, D, kT, C);
        parts.Scores<TLanes, V>(chunks.Q(row, chunk), kT, p, false);
        Triangle.Upper<TLanes, V>(p, doc, E, DW(slot), E, n, E, false);
        Panel.Product<TLanes, V>(parts.Scaled<TLanes, V>(chunks.Q(row, chunk), decays.FromStart, scratch), 1, D, doc, E, DS(slot), E, D, n, E, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch); var (column, columns) = chunks.Piece(piece); int D = chunks.D, E = chunks.E, block = Micro.Rows<V>();
        Real* ds = dState + (long)row * chunks.Size.State + column, dx = scratch.Take((long)C * columns);
        slot += to - from - 1;
        for (int chunk = to - 1; chunk >= from; chunk--, slot--)
        {
            int n = chunks.Steps(chunk); Real* dw = DW(slot) + column, lower = Lower(slot), after = DS(slot) + column;
            chunks.Parts<TLanes, V>(row, chunk, ref decays, false).AddWritten<TLanes, V>(chunks.K(row, chunk), ds, columns, dw, E);
            for (int i = (n - 1) / block * block; i >= 0; i -= block)
            {
                int end = Math.Min(i + block, n);
                if (end < n) Panel.Product<TLanes, V>(lower + end * C + i, 1, C, dx + (long)end * columns, columns, dw + (long)i * E, E, end - i, n - end, columns, true);
                for (int r = end - 1; r >= i; r--)
                {
                    Panel.Scale<TLanes, V>(dw + (long)r * E, dx + (long)r * columns, chunks.Beta(row, chunk, r), columns);
                    for (int j = i; j < r; j++) Panel.AddScaled<TLanes, V>(dx + (long)r * columns, dw + (long)j * E, lower[r * C + j], columns);
                }
            }
            for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(dx + (long)i * columns, dx + (long)i * columns, chunks.Decay ? -decays.FromStart[i] : -1, columns);
            for (int d = 0; d < D; d++) StateLoops.Swap<TLanes, V>(after + (long)d * E, ds + (long)d * E, chunks.Decay ? decays.FromStart[n - 1] : 1, columns);
            Panel.Product<TLanes, V>(chunks.K(row, chunk), 1, D, dx, columns, ds, E, D, n, columns, true);
        }
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int n = chunks.Steps(chunk), D = chunks.D, E = chunks.E; long at = chunks.At(row, chunk); using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        var parts = chunks.Parts<TLanes, V>(row, chunk, ref decays, true); int gates = chunks.Size.GateDim; Real* dgates = dgate + at * gates, k = chunks.K(row, chunk), w = W(slot), x = X(slot), s = StateAt(row, chunk);
        Real* pairs = null, seen = null, kept = null, dkc = dk + at * D;
        if (chunks.Decay)
        {
            pairs = scratch.Take(C * C + 2 * C); seen = pairs + C * C; kept = seen + C;
            new Span<Real>(pairs, C * C + 2 * C).Clear();
        }
        for (int i = 0; i < n; i++)
        {
            Real* dw = DW(slot) + (long)i * E; Real beta = chunks.Beta(row, chunk, i);
            dgates[(i + 1) * gates - 1] += RowProduct.Dot<TLanes, V>(dw, x + (long)i * E, E);
            Panel.AddScaled<TLanes, V>(dw, dv + (at + i) * E, beta, E);
            Panel.Scale<TLanes, V>(dw, x + (long)i * E, -beta, E);      // from here on x is −dx
        }
        parts.ReadBack<TLanes, V>(chunks.Q(row, chunk), k, w, s, dO + at * E, dq + at * D, dkc, null, pairs, seen, false);
        parts.ReadBack<TLanes, V>(k, k, w, s, x, dkc, dkc, null, pairs, seen, true);
        parts.WriteBack<TLanes, V>(k, w, DS(slot), dkc, null, kept);
        if (!chunks.Decay) return;
        Real* dlog = scratch.Take(C); new Span<Real>(dlog, C).Clear();
        parts.Slope<TLanes, V>(dlog, 1, pairs, seen, kept, DS(slot), s);
        for (int i = 0; i < n; i++) { Real a = chunks.Alpha(row, chunk, i); if (a > 0) dgates[2 * i] += dlog[i] / a; }
    }
}
