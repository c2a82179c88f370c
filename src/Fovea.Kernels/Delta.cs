namespace Fovea.Kernels;

/// <summary>
/// The delta rule in chunks of 64 steps: S_t = α_t(S_{t−1} − β_t k_tᵀ(k_t S_{t−1})) + β_t k_tᵀ v_t, o_t = q_t S_t (DeltaNet, 2406.06484, §3; Gated DeltaNet, 2412.06464, §3.3). What the steps of a chunk write,
/// w_i = β_i x_i with x_i = v_i − e_i k_i S − Σ_{j&lt;i} W_ij (k_i·k_j) w_j, solves a triangular system (the papers' UT transform, here by substitution, so that no inverse is formed);
/// then the chunk is linear attention with w in place of v. W_ij are the products of the α in between, e_i those from the start of the chunk.
/// Spans, checkpoints and what is added to are as in <see cref="LinearScan"/>. gate is [R,N,1] with β, or [R,N,2] with (α, β); <see cref="Scan"/> with <see cref="GatedDeltaRule"/> is the plain twin.
/// </summary>
public static unsafe class DeltaScan
{
    /// <summary>state holds S_0 and becomes S_N; o and checkpoints (may be empty) are overwritten.</summary>
    public static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> state, Span<Real> o, Span<Real> checkpoints) => Forward(z, q, k, v, gate, state, o, checkpoints, Width.Widest);

    internal static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> state, Span<Real> o, Span<Real> checkpoints, Width width)
    {
        Check(z, q, k, v, gate); ScanCheck.Outputs(z, state, o, checkpoints);
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, ps = state, po = o, pc = checkpoints)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width);
            walk.Forward(new DeltaForward(new(z, pq, pk, pv, pg), ps, po, pc, scratch.Take(walk.Slots * DeltaForward.Slot(z))));
        }
        Work.Add(z.Rows * (3L * z.Length * z.State + LinearScan.Pairs(z) * 2 * (z.Dim + z.ValueDim)));
    }

    /// <summary>Adds into dq, dk, dv, dgate (an α of 0 gets no gradient). dState holds the gradient of S_N (zeros if nothing follows) and becomes that of S_0.</summary>
    public static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate) => Backward(z, q, k, v, gate, checkpoints, dO, dState, dq, dk, dv, dgate, Width.Widest);

    internal static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate, Width width)
    {
        Check(z, q, k, v, gate); Guard.Holds(checkpoints, z.Checkpoints); ScanCheck.Gradients(z, dO, dState, dq, dk, dv); Guard.Holds(dgate, (long)z.Rows * z.Length * z.GateDim);
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, pc = checkpoints, pdo = dO, pds = dState, pdq = dq, pdk = dk, pdv = dv, pdg = dgate)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width);
            walk.Backward(new DeltaBackward(new(z, pq, pk, pv, pg), pc, pdo, pds, pdq, pdk, pdv, pdg, scratch.Take(walk.Slots * DeltaBackward.Slot(z))));
        }
        long scores = z.GateDim == 2 ? 2 : 0;       // the shares of the decays need the scores once more
        Work.Add(z.Rows * (7L * z.Length * z.State + LinearScan.Pairs(z) * ((6 + scores) * z.Dim + 5L * z.ValueDim)));
    }

    static Chunked Walk(in ScanSize z, Width width) => new(z.Rows, z.Chunks, DeltaChunk.Pieces(z), ScanSize.Chunk * (long)z.State * 5, width);

    static void Check(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate)
    {
        if (z.GateDim is not (1 or 2)) throw new ArgumentException($"a step has {z.GateDim} gates, expected 1 (β) or 2 (α, β)");
        ScanCheck.Inputs(z, q, k, v); Guard.Holds(gate, (long)z.Rows * z.Length * z.GateDim);
    }
}

/// <summary>What forward and backward share: where a chunk lies, and its triangular system.</summary>
internal readonly unsafe struct DeltaChunk(ScanSize z, Real* q, Real* k, Real* v, Real* gate)
{
    const int C = ScanSize.Chunk, Columns = 32;
    public ScanSize Size => z;
    public int D => z.Dim;
    public int E => z.ValueDim;
    /// <summary>Groups of columns of the state that go through the chunks independently: 32 each, and the last has what is left.</summary>
    public static int Pieces(in ScanSize z) => Math.Max(1, z.ValueDim / Columns);
    public (int From, int Count) Piece(int piece) => (piece * Columns, piece == Pieces(z) - 1 ? z.ValueDim - piece * Columns : Columns);
    public long At(int row, int chunk) => (long)row * z.Length + chunk * C;
    public int Steps(int chunk) => Math.Min(C, z.Length - chunk * C);
    public Real* Q(int row, int chunk) => q + At(row, chunk) * z.Dim;
    public Real* K(int row, int chunk) => k + At(row, chunk) * z.Dim;
    public Real* Values(int row, int chunk) => v + At(row, chunk) * z.ValueDim;
    public bool Decay => z.GateDim == 2;
    public Real Beta(int row, int chunk, int i) => gate[(At(row, chunk) + i + 1) * z.GateDim - 1];
    public Real Alpha(int row, int chunk, int i) => gate[(At(row, chunk) + i) * 2];

    public ChunkParts Parts<TLanes, V>(int row, int chunk, ref Decays decays, bool withRatios) where TLanes : struct, ILanes<V> where V : struct
    {
        if (Decay) decays.Fill<TLanes, V>(gate + At(row, chunk) * 2, 2, Steps(chunk), false, withRatios);
        return new(D, E, Steps(chunk), decays, Decay);
    }

    /// <summary>lower [C,C] = −(k kᵀ)∘W below the diagonal.</summary>
    public void System<TLanes, V>(int row, int chunk, in ChunkParts parts, Real* lower) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* kT = scratch.Take((long)D * C); int n = Steps(chunk);
        Panel.Transpose(K(row, chunk), n, D, kT, C);
        parts.Scores<TLanes, V>(K(row, chunk), kT, lower, true);
        for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(lower + i * C, lower + i * C, -1, i + 1);
    }

    /// <summary>x_i = v_i − e_i k_i S + Σ_{j&lt;i} lower_ij w_j and w_i = β_i x_i, on some columns of rows of E numbers; x may be w, which then keeps w.</summary>
    public void Solve<TLanes, V>(int row, int chunk, in Decays decays, Real* lower, Real* s, Real* x, Real* w, int column, int columns) where TLanes : struct, ILanes<V> where V : struct
    {
        int n = Steps(chunk), block = Micro.Rows<V>(); Real* values = Values(row, chunk) + column; x += column; w += column; s += column;
        Panel.Product<TLanes, V>(K(row, chunk), D, 1, s, E, x, E, n, D, columns, false);
        for (int i = 0; i < n; i += block)
        {
            int m = Math.Min(block, n - i);
            for (int r = i; r < i + m; r++) { Real* xr = x + (long)r * E; Panel.Scale<TLanes, V>(xr, xr, Decay ? -decays.FromStart[r] : -1, columns); Panel.AddScaled<TLanes, V>(values + (long)r * E, xr, 1, columns); }
            if (i > 0) Panel.Product<TLanes, V>(lower + i * C, C, 1, w, E, x + (long)i * E, E, m, i, columns, true);
            for (int r = i; r < i + m; r++)
            {
                for (int j = i; j < r; j++) Panel.AddScaled<TLanes, V>(w + (long)j * E, x + (long)r * E, lower[r * C + j], columns);
                Panel.Scale<TLanes, V>(x + (long)r * E, w + (long)r * E, Beta(row, chunk, r), columns);
            }
        }
    }
}

/// <summary>Alone, a chunk makes its system; across, column by column of the state, it is solved and written; then the outputs are read.</summary>
internal readonly unsafe struct DeltaForward(DeltaChunk chunks, Real* state, Real* o, Real* checkpoints, Real* slots) : IChunked
{
    const int C = ScanSize.Chunk;
    /// <summary>A slot holds the system, w and the state before the chunk.</summary>
    public static long Slot(in ScanSize z) => C * C + (long)C * z.ValueDim + z.State;
    Real* Lower(long slot) => slots + slot * Slot(chunks.Size);
    Real* W(long slot) => Lower(slot) + C * C;
    Real* StateAt(int row, int chunk, long slot) => checkpoints is null ? W(slot) + (long)C * chunks.E : checkpoints + ((long)row * chunks.Size.Chunks + chunk) * chunks.Size.State;

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        chunks.System<TLanes, V>(row, chunk, chunks.Parts<TLanes, V>(row, chunk, ref decays, true), Lower(slot));
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch); var (column, columns) = chunks.Piece(piece); int D = chunks.D, E = chunks.E;
        Real* s = state + (long)row * chunks.Size.State, kept = scratch.Take((long)C * E);
        for (int chunk = from; chunk < to; chunk++, slot++)
        {
            int n = chunks.Steps(chunk); Real* before = StateAt(row, chunk, slot), w = W(slot);
            chunks.Parts<TLanes, V>(row, chunk, ref decays, false);
            chunks.Solve<TLanes, V>(row, chunk, decays, Lower(slot), s, w, w, column, columns);
            for (int d = 0; d < D; d++) new ReadOnlySpan<Real>(s + (long)d * E + column, columns).CopyTo(new Span<Real>(before + (long)d * E + column, columns));
            if (chunks.Decay)
            {
                for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(w + (long)i * E + column, kept + (long)i * E + column, decays.ToEnd[i], columns);
                for (int d = 0; d < D; d++) Panel.Scale<TLanes, V>(s + (long)d * E + column, s + (long)d * E + column, decays.FromStart[n - 1], columns);
            }
            Panel.Product<TLanes, V>(chunks.K(row, chunk), 1, D, (chunks.Decay ? kept : w) + column, E, s + column, E, D, n, columns, true);
        }
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        chunks.Parts<TLanes, V>(row, chunk, ref decays, true).Read<TLanes, V>(chunks.Q(row, chunk), chunks.K(row, chunk), W(slot), StateAt(row, chunk, slot), o + chunks.At(row, chunk) * chunks.E);
    }
}
