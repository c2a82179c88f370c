using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>q and k [R,N,D], v [R,N,E], gate [R,N,A], state [R,D,E], o [R,N,E], where R = batch × heads.</summary>
public readonly record struct ScanSize(int Rows, int Length, int Dim, int ValueDim, int GateDim)
{
    /// <summary>Numbers in one state.</summary>
    public int State => Dim * ValueDim;
    /// <summary>Steps of a chunk; the forms in chunks keep the state before each for Backward.</summary>
    public const int Chunk = 64;
    public int Chunks => (Length + Chunk - 1) / Chunk;
    /// <summary>Numbers that a form in chunks writes into checkpoints: the state before each, [R,⌈N/Chunk⌉,D,E].</summary>
    public long Checkpoints => (long)Rows * Chunks * State;
}

/// <summary>One step of a matrix-valued memory S [D,E], and its adjoint. The definition of a recurrent mechanism.</summary>
public interface IRecurrence
{
    /// <summary>S_{t−1} becomes S_t.</summary>
    void Step(Span<Real> s, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate);
    /// <summary>Adds into dk, dv, dgate; dS_t becomes dS_{t−1}. before is S_{t−1}.</summary>
    void Back(Span<Real> ds, ReadOnlySpan<Real> before, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, Span<Real> dk, Span<Real> dv, Span<Real> dgate);
}

/// <summary>
/// o_t = q_t S_t for any recurrence, step by step. Forward keeps a state for Backward every √N steps or so, and Backward makes those in between anew: √N states for a row and √N for a thread instead of N.
/// </summary>
public static unsafe class Scan
{
    /// <summary>Steps between two stored states: the power of two at √N or above.</summary>
    static int Stride(int length) => 1 << (System.Numerics.BitOperations.Log2((uint)Math.Max(1, length) * 2 - 1) + 1) / 2;
    static int Strides(in ScanSize z) => (z.Length + Stride(z.Length) - 1) / Stride(z.Length);
    /// <summary>Numbers that Forward writes into checkpoints, about R·√N·D·E.</summary>
    public static long Checkpoints(in ScanSize z) => (long)z.Rows * Strides(z) * z.State;

    /// <summary>state holds S_0 and becomes S_N. o is overwritten, checkpoints (may be empty) too.</summary>
    public static void Forward<T>(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, T step, Span<Real> state, Span<Real> o, Span<Real> checkpoints) where T : struct, IRecurrence
    {
        Guard.Holds(q, (long)z.Rows * z.Length * z.Dim); Guard.Holds(k, (long)z.Rows * z.Length * z.Dim); Guard.Holds(v, (long)z.Rows * z.Length * z.ValueDim);
        Guard.Holds(gate, (long)z.Rows * z.Length * z.GateDim); Guard.Holds(state, (long)z.Rows * z.State); Guard.Holds(o, (long)z.Rows * z.Length * z.ValueDim);
        if (!checkpoints.IsEmpty) Guard.Holds(checkpoints, Checkpoints(z));
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, ps = state, po = o, pc = checkpoints)
            WideRows.For(z.Rows, 1, new ForwardRows<T>(z, pq, pk, pv, pg, step, ps, po, pc));
        Work.Add(2L * z.Rows * z.Length * z.State);
    }

    readonly struct ForwardRows<T>(ScanSize z, Real* q, Real* k, Real* v, Real* gate, T step, Real* state, Real* o, Real* checkpoints) : IWideRows where T : struct, IRecurrence
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int stride = Stride(z.Length), strides = Strides(z);
            for (int r = from; r < to; r++)
            {
                var s = new Span<Real>(state + (long)r * z.State, z.State);
                for (int t = 0; t < z.Length; t++)
                {
                    long i = (long)r * z.Length + t;
                    if (checkpoints is not null && t % stride == 0) s.CopyTo(new Span<Real>(checkpoints + ((long)r * strides + t / stride) * z.State, z.State));
                    step.Step(s, new(k + i * z.Dim, z.Dim), new(v + i * z.ValueDim, z.ValueDim), new(gate + i * z.GateDim, z.GateDim));
                    StateLoops.Read<TLanes, V>(q + i * z.Dim, state + (long)r * z.State, o + i * z.ValueDim, z.Dim, z.ValueDim);
                }
            }
        }
    }

    /// <summary>Adds into dq, dk, dv, dgate. dState holds the gradient of S_N (zeros if nothing follows) and becomes that of S_0.</summary>
    public static void Backward<T>(in ScanSize z, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> gate, T step, ReadOnlySpan<Real> checkpoints, ReadOnlySpan<Real> dO,
        Span<Real> dState, Span<Real> dq, Span<Real> dk, Span<Real> dv, Span<Real> dgate) where T : struct, IRecurrence
    {
        long steps = (long)z.Rows * z.Length;
        Guard.Holds(q, steps * z.Dim); Guard.Holds(k, steps * z.Dim); Guard.Holds(v, steps * z.ValueDim); Guard.Holds(gate, steps * z.GateDim); Guard.Holds(checkpoints, Checkpoints(z)); Guard.Holds(dO, steps * z.ValueDim);
        Guard.Holds(dState, (long)z.Rows * z.State); Guard.Holds(dq, steps * z.Dim); Guard.Holds(dk, steps * z.Dim); Guard.Holds(dv, steps * z.ValueDim); Guard.Holds(dgate, steps * z.GateDim);
        fixed (Real* pq = q, pk = k, pv = v, pg = gate, pc = checkpoints, pdo = dO, pds = dState, pdq = dq, pdk = dk, pdv = dv, pdg = dgate)
            WideRows.For(z.Rows, 1, new BackwardRows<T>(z, pq, pk, pv, pg, step, pc, pdo, pds, pdq, pdk, pdv, pdg));
        Work.Add(5L * z.Rows * z.Length * z.State);
    }

    readonly struct BackwardRows<T>(ScanSize z, Real* q, Real* k, Real* v, Real* gate, T step, Real* checkpoints, Real* dO, Real* dState, Real* dq, Real* dk, Real* dv, Real* dgate) : IWideRows where T : struct, IRecurrence
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open();
            int stride = Stride(z.Length), strides = Strides(z);
            Real* history = scratch.Take((long)(stride + 1) * z.State);     // S before each step from one checkpoint to the next, and after the last
            for (int r = from; r < to; r++)
            {
                var ds = new Span<Real>(dState + (long)r * z.State, z.State);
                for (int chunk = strides - 1; chunk >= 0; chunk--)
                {
                    int t0 = chunk * stride, n = Math.Min(stride, z.Length - t0);
                    new ReadOnlySpan<Real>(checkpoints + ((long)r * strides + chunk) * z.State, z.State).CopyTo(new Span<Real>(history, z.State));
                    for (int t = 0; t < n; t++)
                    {
                        long i = (long)r * z.Length + t0 + t;
                        var next = new Span<Real>(history + (long)(t + 1) * z.State, z.State);
                        new ReadOnlySpan<Real>(history + (long)t * z.State, z.State).CopyTo(next);
                        step.Step(next, new(k + i * z.Dim, z.Dim), new(v + i * z.ValueDim, z.ValueDim), new(gate + i * z.GateDim, z.GateDim));
                    }
                    for (int t = n - 1; t >= 0; t--)
                    {
                        long i = (long)r * z.Length + t0 + t;
                        StateLoops.ReadBack<TLanes, V>(dO + i * z.ValueDim, history + (long)(t + 1) * z.State, dState + (long)r * z.State, q + i * z.Dim, dq + i * z.Dim, z.Dim, z.ValueDim);
                        step.Back(ds, new(history + (long)t * z.State, z.State), new(k + i * z.Dim, z.Dim), new(v + i * z.ValueDim, z.ValueDim), new(gate + i * z.GateDim, z.GateDim),
                            new(dk + i * z.Dim, z.Dim), new(dv + i * z.ValueDim, z.ValueDim), new(dgate + i * z.GateDim, z.GateDim));
                    }
                }
            }
        }
    }
}
