using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// S_t = a_t S_{t−1} + k_tᵀ v_t, o_t = q_t S_t with a scalar decay a_t = e^logA_t ≤ 1 per step, in chunks of 64 (Lightning Attention-2, 2401.04658, Alg. 1
/// and 2, with a decay that may change from step to step). Inside a chunk it is a masked product of q, k and v, weighted with
/// a_{j+1}…a_i = e^(sum of logA), a sum that is built up step by step from 0 and never positive; between chunks only the state is passed on.
/// Spans, checkpoints and what is added to are as in <see cref="Scan"/>; <see cref="ScanSize.GateDim"/> is not used. Without checkpoints nothing but q, k and v is kept:
/// Backward rebuilds the states in a sweep of its own, as the paper does.
/// </summary>
public static unsafe class LinearScan
{
    /// <summary>logA ≤ 0 is [R,N], or [R] for a decay that is constant along a row, or empty for a = 1. state holds S_0 and becomes S_N; o and checkpoints (may be empty) are overwritten.</summary>
    public static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, Span<Real> state, Span<Real> o, Span<Real> checkpoints) => Forward(z, q, k, v, logA, state, o, checkpoints, Width.Widest);

    internal static void Forward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, Span<Real> state, Span<Real> o, Span<Real> checkpoints, Width width)
    {
        Check(z, q, k, v, logA); ScanCheck.Outputs(z, state, o, checkpoints);
        fixed (Real* pq = q, pk = k, pv = v, pa = logA, ps = state, po = o, pc = checkpoints)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width);
            var body = new LinearForward(z, pq, pk, pv, pa, Step(z, logA), ps, po, pc, pc is null ? scratch.Take(walk.Slots * z.State) : null, scratch.Take(walk.Slots));
            if (z.Length == 1) WideRows.For(z.Rows, WideRows.Grain(z.State), body, width); else walk.Forward(body);
        }
        Work.Add(z.Rows * (2L * z.Length * z.State + Pairs(z) * (z.Dim + z.ValueDim)));
    }

    /// <summary>
    /// Adds into dq, dk, dv and, unless empty, dlogA (as long as logA). dState holds the gradient of S_N (zeros if nothing follows) and becomes that of S_0.
    /// checkpoints may be empty if S_0 was zero and dlogA is empty.
    /// </summary>
    public static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dlogA) => Backward(z, q, k, v, logA, checkpoints, dO, dState, dq, dk, dv, dlogA, Width.Widest);

    internal static void Backward(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dlogA, Width width)
    {
        Check(z, q, k, v, logA); ScanCheck.Gradients(z, dO, dState, dq, dk, dv);
        if (!dlogA.IsEmpty && dlogA.Length != logA.Length) throw new ArgumentException($"dlogA holds {dlogA.Length} numbers, expected {logA.Length} as logA, or none");
        if (!checkpoints.IsEmpty) Guard.Holds(checkpoints, z.Checkpoints);
        else if (!dlogA.IsEmpty) throw new ArgumentException("the gradient of logA needs the checkpoints");
        fixed (Real* pq = q, pk = k, pv = v, pa = logA, pc = checkpoints, pdo = dO, pds = dState, pdq = dq, pdk = dk, pdv = dv, pda = dlogA)
        {
            using var scratch = Scratch.Open(); var walk = Walk(z, width); int step = Step(z, logA);
            if (pc is null)
            {
                Real* state = scratch.Take((long)z.Rows * z.State); new Span<Real>(state, z.Rows * z.State).Clear();
                walk.Forward(new LinearRebuild(new(z, pq, pk, pv, pa, step, state, null, null, scratch.Take(walk.Slots * z.State), scratch.Take(walk.Slots)), pdo, pdq));
            }
            bool shared = !dlogA.IsEmpty && step == 0; Real* slopes = shared ? scratch.Take((long)z.Rows * z.Chunks) : pda; if (shared) new Span<Real>(slopes, z.Rows * z.Chunks).Clear();
            walk.Backward(new LinearBackward(z, pq, pk, pv, pa, step, pc, pdo, pds, pdq, pdk, pdv, slopes, scratch.Take(walk.Slots * z.State), scratch.Take(walk.Slots)));
            for (long i = 0; shared && i < (long)z.Rows * z.Chunks; i++) pda[i / z.Chunks] += slopes[i];
        }
        Work.Add(z.Rows * ((checkpoints.IsEmpty ? 5L : 4L) * z.Length * z.State + Pairs(z) * (3L * z.Dim + 2L * z.ValueDim)));
    }

    static Chunked Walk(in ScanSize z, Width width) => new(z.Rows, z.Chunks, LinearForward.Pieces(z), ScanSize.Chunk * (long)z.State * 3, width);

    /// <summary>How far logA moves on per step: 1, or 0 if it is constant along a row or 1.</summary>
    static int Step(in ScanSize z, ReadOnlySpan<Real> logA) => logA.Length == (long)z.Rows * z.Length ? 1 : 0;

    /// <summary>Pairs (i, j ≤ i) inside the chunks of one row.</summary>
    internal static long Pairs(in ScanSize z)
    {
        const long full = ScanSize.Chunk * (ScanSize.Chunk + 1) / 2; long rest = z.Length % ScanSize.Chunk;
        return z.Length / ScanSize.Chunk * full + rest * (rest + 1) / 2;
    }

    static void Check(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA)
    {
        ScanCheck.Inputs(z, q, k, v);
        if (!logA.IsEmpty && logA.Length != z.Rows && logA.Length != (long)z.Rows * z.Length) throw new ArgumentException($"logA holds {logA.Length} numbers, expected R·N = {(long)z.Rows * z.Length}, R = {z.Rows} or none");
        for (int i = 0; i < logA.Length; i++) if (!(logA[i] <= 0)) throw new ArgumentException($"logA[{i}] is {logA[i]}, must be at most 0");
    }
}

/// <summary>
/// Alone, a chunk makes what it adds to the state, X = (w k)ᵀ v with w what is left of each step at the end; the states before the chunks follow by S ← a S + X;
/// then o = e q S + ((q kᵀ)∘W) v, with W the ratios and e what is left of S.
/// </summary>
internal readonly unsafe struct LinearForward(ScanSize z, Real* q, Real* k, Real* v, Real* logA, int step, Real* state, Real* o, Real* checkpoints, Real* slots, Real* totals) : IChunked, IWideRows
{
    const int C = ScanSize.Chunk;
    public const int Piece = 1024;
    /// <summary>Parts of a state, of 1024 numbers, that go through the chunks independently.</summary>
    public static int Pieces(in ScanSize z) => (z.State + Piece - 1) / Piece;

    public ScanSize Size => z;
    public int Step => step;
    public bool Decay => logA is not null;
    public Real* Logs(int row, int chunk) => logA + (step == 0 ? row : (long)row * z.Length + chunk * C);
    public Real* StateAt(int row, int chunk, long slot) => checkpoints is null ? slots + slot * z.State : checkpoints + ((long)row * z.Chunks + chunk) * z.State;
    public long At(int row, int chunk) => (long)row * z.Length + chunk * C;
    public int Steps(int chunk) => Math.Min(C, z.Length - chunk * C);

    public void Before<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int n = Steps(chunk); long at = At(row, chunk); using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        if (Decay) { decays.Fill<TLanes, V>(Logs(row, chunk), step, n, true, false); totals[slot] = decays.FromStart[n - 1]; }
        Real* kept = new ChunkParts(z.Dim, z.ValueDim, n, decays, Decay).Scaled<TLanes, V>(k + at * z.Dim, decays.ToEnd, scratch);
        Panel.Product<TLanes, V>(kept, 1, z.Dim, v + at * z.ValueDim, z.ValueDim, StateAt(row, chunk, slot), z.ValueDim, z.Dim, n, z.ValueDim, false);
    }

    public void Across<TLanes, V>(int row, int piece, int from, int to, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        int at = piece * Piece, n = Math.Min(Piece, z.State - at);
        for (int chunk = from; chunk < to; chunk++) StateLoops.Swap<TLanes, V>(StateAt(row, chunk, slot + chunk - from) + at, state + (long)row * z.State + at, logA is null ? 1 : totals[slot + chunk - from], n);
    }

    public void After<TLanes, V>(int row, int chunk, long slot) where TLanes : struct, ILanes<V> where V : struct
    {
        long at = At(row, chunk); using var scratch = Scratch.Open(); var decays = Decays.Take(scratch);
        if (Decay) decays.Fill<TLanes, V>(Logs(row, chunk), step, Steps(chunk), true, true);
        new ChunkParts(z.Dim, z.ValueDim, Steps(chunk), decays, Decay).Read<TLanes, V>(q + at * z.Dim, k + at * z.Dim, v + at * z.ValueDim, StateAt(row, chunk, slot), o + at * z.ValueDim);
    }

    /// <summary>One step of some rows, without a detour through chunks.</summary>
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int r = from; r < to; r++)
        {
            Real* s = state + (long)r * z.State; Real a = logA is null ? 1 : Lanes1.Exp2(logA[r] * Curve.Log2E);
            if (checkpoints is not null) new ReadOnlySpan<Real>(s, z.State).CopyTo(new Span<Real>(checkpoints + (long)r * z.State, z.State));
            StateLoops.Write<TLanes, V>(s, &a, 0, k + (long)r * z.Dim, v + (long)r * z.ValueDim, z.Dim, z.ValueDim);
            StateLoops.Read<TLanes, V>(q + (long)r * z.Dim, s, o + (long)r * z.ValueDim, z.Dim, z.ValueDim);
        }
    }
}
