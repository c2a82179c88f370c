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
        Check(z, q, k, v, logA); Guard.Holds(state, (long)z.Rows * z.State); Guard.Holds(o, (long)z.Rows * z.Length * z.ValueDim);
        if (!checkpoints.IsEmpty) Guard.Holds(checkpoints, z.Checkpoints);
        fixed (Real* pq = q, pk = k, pv = v, pa = logA, ps = state, po = o, pc = checkpoints)
            WideRows.For(z.Rows, 1, new LinearForward(z, pq, pk, pv, pa, Step(z, logA), ps, po, pc), width);
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
        Check(z, q, k, v, logA); Guard.Holds(dO, (long)z.Rows * z.Length * z.ValueDim); Guard.Holds(dState, (long)z.Rows * z.State);
        Guard.Holds(dq, (long)z.Rows * z.Length * z.Dim); Guard.Holds(dk, (long)z.Rows * z.Length * z.Dim); Guard.Holds(dv, (long)z.Rows * z.Length * z.ValueDim);
        if (!dlogA.IsEmpty && dlogA.Length != logA.Length) throw new ArgumentException($"dlogA holds {dlogA.Length} numbers, expected {logA.Length} as logA, or none");
        if (!checkpoints.IsEmpty) Guard.Holds(checkpoints, z.Checkpoints);
        else if (!dlogA.IsEmpty) throw new ArgumentException("the gradient of logA needs the checkpoints");
        fixed (Real* pq = q, pk = k, pv = v, pa = logA, pc = checkpoints, pdo = dO, pds = dState, pdq = dq, pdk = dk, pdv = dv, pda = dlogA)
            WideRows.For(z.Rows, 1, new LinearBackward(z, pq, pk, pv, pa, Step(z, logA), pc, pdo, pds, pdq, pdk, pdv, pda), width);
        Work.Add(z.Rows * ((checkpoints.IsEmpty ? 5L : 4L) * z.Length * z.State + Pairs(z) * (3L * z.Dim + 2L * z.ValueDim)));
    }

    /// <summary>How far logA moves on per step: 1, or 0 if it is constant along a row or 1.</summary>
    static int Step(in ScanSize z, ReadOnlySpan<Real> logA) => logA.Length == (long)z.Rows * z.Length ? 1 : 0;

    /// <summary>Pairs (i, j ≤ i) inside the chunks of one row.</summary>
    static long Pairs(in ScanSize z)
    {
        const long full = ScanSize.Chunk * (ScanSize.Chunk + 1) / 2; long rest = z.Length % ScanSize.Chunk;
        return z.Length / ScanSize.Chunk * full + rest * (rest + 1) / 2;
    }

    static void Check(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> logA)
    {
        Guard.Holds(q, (long)z.Rows * z.Length * z.Dim); Guard.Holds(k, (long)z.Rows * z.Length * z.Dim); Guard.Holds(v, (long)z.Rows * z.Length * z.ValueDim);
        if (!logA.IsEmpty && logA.Length != z.Rows && logA.Length != (long)z.Rows * z.Length) throw new ArgumentException($"logA holds {logA.Length} numbers, expected R·N = {(long)z.Rows * z.Length}, R = {z.Rows} or none");
        for (int i = 0; i < logA.Length; i++) if (!(logA[i] <= 0)) throw new ArgumentException($"logA[{i}] is {logA[i]}, must be at most 0");
    }
}

/// <summary>The decay factors inside one chunk of n steps.</summary>
internal readonly unsafe struct Decays(Real* ratio, Real* fromStart, Real* sums)
{
    public const int C = ScanSize.Chunk;
    /// <summary>[C,C]: a_{j+1}…a_i at [i,j] for j ≤ i.</summary>
    public Real* Ratio => ratio;
    /// <summary>[C]: a_0…a_i, what is left of the state before the chunk.</summary>
    public Real* FromStart => fromStart;

    public static Decays Take(in Scratch scratch) => new(scratch.Take(C * C), scratch.Take(C), scratch.Take(C));

    /// <summary>From logA at a, which moves on by step numbers; a = null means no decay.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TLanes, V>(Real* a, int step, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; Real total = 0;
        new Span<Real>(sums, C).Clear();
        for (int i = 0; i < n; i++)
        {
            Real log = a is null ? 0 : a[i * step]; V l = TLanes.Set(log), e = TLanes.Set(Curve.Log2E);
            total += log; fromStart[i] = Lanes1.Exp2(total * Curve.Log2E);
            for (int j = 0; j < i; j += w) TLanes.Store(sums + j, TLanes.Add(TLanes.Load(sums + j), l));
            new Span<Real>(sums + i, C - i).Clear();
            for (int j = 0; j <= i; j += w) TLanes.Store(ratio + i * C + j, TLanes.Exp2(TLanes.Mul(TLanes.Load(sums + j), e)));
        }
    }

    /// <summary>Rows [r0, r1) of the scores p [C,C], of which columns up to until were computed: p[i,j] is multiplied with the decay for j ≤ i and becomes 0 after. With decay = false only the latter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Mask<TLanes, V>(Real* p, int r0, int r1, int until, bool decay) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int i = r0; i < r1; i++)
        {
            if (decay) for (int j = 0; j <= i; j += w) TLanes.Store(p + i * C + j, TLanes.Mul(TLanes.Load(p + i * C + j), TLanes.Load(ratio + i * C + j)));
            if (i + 1 < until) new Span<Real>(p + i * C + i + 1, until - i - 1).Clear();
        }
    }
}

internal readonly unsafe struct LinearForward(ScanSize z, Real* q, Real* k, Real* v, Real* logA, int step, Real* state, Real* o, Real* checkpoints) : IWideRows
{
    /// <summary>Rows of scores that are computed together; columns beyond their diagonal are left out.</summary>
    public const int Block = 8;
    const int C = ScanSize.Chunk;

    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open();
        int D = z.Dim, E = z.ValueDim, wide = 2 * TLanes.Count; var decays = Decays.Take(scratch);
        Real* kT = scratch.Take((long)D * C), p = scratch.Take(C * C), scaled = scratch.Take((long)C * D);
        for (int r = from; r < to; r++)
        {
            Real* s = state + (long)r * z.State; int filled = 0;
            for (int chunk = 0; chunk < z.Chunks; chunk++)
            {
                int t0 = chunk * C, n = Math.Min(C, z.Length - t0); long at = (long)r * z.Length + t0;
                Real* qc = q + at * D, kc = k + at * D, vc = v + at * E, oc = o + at * E;
                if (checkpoints is not null) new ReadOnlySpan<Real>(s, z.State).CopyTo(new Span<Real>(checkpoints + ((long)r * z.Chunks + chunk) * z.State, z.State));
                // Constant decays are the same in every chunk, and a shorter last chunk uses the first of them.
                if (step == 1 || filled == 0) { decays.Fill<TLanes, V>(logA is null ? null : step == 1 ? logA + at : logA + r, step, n); filled = n; }
                Panel.Transpose(kc, n, D, kT, C);
                for (int i = 0; i < n; i++) Panel.Scale<TLanes, V>(qc + (long)i * D, scaled + (long)i * D, decays.FromStart[i], D);
                for (int i = 0; i < n; i += Block)
                {
                    int m = Math.Min(Block, n - i), until = (i + m + wide - 1) / wide * wide;
                    Panel.Product<TLanes, V>(qc + (long)i * D, D, 1, kT, C, p + i * C, C, m, D, until, false);
                    decays.Mask<TLanes, V>(p, i, i + m, until, true);
                    Panel.Product<TLanes, V>(scaled + (long)i * D, D, 1, s, E, oc + (long)i * E, E, m, D, E, false);
                    Panel.Product<TLanes, V>(p + i * C, C, 1, vc, E, oc + (long)i * E, E, m, i + m, E, true);
                }
                for (int j = 0; j < n; j++) Panel.Scale<TLanes, V>(kc + (long)j * D, scaled + (long)j * D, decays.Ratio[(n - 1) * C + j], D);
                if (logA is not null) Panel.Scale<TLanes, V>(s, s, decays.FromStart[n - 1], z.State);
                Panel.Product<TLanes, V>(scaled, 1, D, vc, E, s, E, D, n, E, true);
            }
        }
    }
}
