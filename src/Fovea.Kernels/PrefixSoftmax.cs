namespace Fovea.Kernels;

/// <summary>
/// Softmax averages over all prefixes, o_k = Σ_{j≤k} e^(s_j) v_j / Σ_{j≤k} e^(s_j), by a scan with the associative operator that merges partial softmax results
/// (m, u, w) = (maximum, sum, weighted sum) (aaren, §3.2): the totals of chunks of 256 at once, their prefixes one after the other, the steps of all chunks at once.
/// O(N) work, numbers of any size; a score of −∞ is masked, and a prefix that sees nothing gives zeros.
/// </summary>
public static unsafe class PrefixSoftmax
{
    const int C = 256;
    static int Chunks(int length) => (length + C - 1) / C;
    /// <summary>Numbers in one state (m, u, w).</summary>
    public static int State(int valueDim) => valueDim + 2;
    /// <summary>Writes "nothing seen" into a state.</summary>
    public static void Clear(Span<Real> state, int valueDim) { state.Clear(); for (int i = 0; i < state.Length; i += State(valueDim)) state[i] = Real.NegativeInfinity; }

    /// <summary>s [R,N], v [R,N,E] → o [R,N,E] and the log-sum-exp of each prefix lse [R,N], both overwritten. state [R,E+2] holds what came before and then all of it.</summary>
    public static void Forward(int rows, int length, int valueDim, ReadOnlySpan<Real> s, ReadOnlySpan<Real> v, Span<Real> state, Span<Real> o, Span<Real> lse) => Forward(rows, length, valueDim, s, v, state, o, lse, Width.Widest);

    internal static void Forward(int rows, int length, int valueDim, ReadOnlySpan<Real> s, ReadOnlySpan<Real> v, Span<Real> state, Span<Real> o, Span<Real> lse, Width width)
    {
        Guard.AtLeast(rows, 0); Guard.AtLeast(length, 0); Guard.AtLeast(valueDim, 1); long n = (long)rows * length;
        Guard.Holds(s, n); Guard.Holds(v, n * valueDim); Guard.Holds(o, n * valueDim); Guard.Holds(lse, n); Guard.Holds(state, (long)rows * State(valueDim));
        if (n == 0) return;
        int chunks = Chunks(length); using var scratch = Scratch.Open(); Real* before = scratch.Take((long)rows * chunks * State(valueDim));
        fixed (Real* ps = s, pv = v, pt = state, po = o, pl = lse)
        {
            var x = new Sizes(length, valueDim, chunks);
            if (chunks > 1) WideRows.For(rows * chunks, 1, new Totals(x, ps, pv, before), width);
            WideRows.For(rows, WideRows.Grain(chunks * valueDim), new Prefixes(x, before, pt), width);
            WideRows.For(rows * chunks, WideRows.Grain(Math.Min(C, length) * valueDim), new Steps(x, ps, pv, before, pt, po, pl), width);
        }
        Work.Add(n * valueDim * (chunks > 1 ? 2 : 1));
    }

    /// <summary>Adds into ds [R,N] and dv [R,N,E]; o and lse are Forward's. What came before gets no gradient.</summary>
    public static void Backward(int rows, int length, int valueDim, ReadOnlySpan<Real> s, ReadOnlySpan<Real> v, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> ds, Span<Real> dv) => Backward(rows, length, valueDim, s, v, o, lse, dO, ds, dv, Width.Widest);

    internal static void Backward(int rows, int length, int valueDim, ReadOnlySpan<Real> s, ReadOnlySpan<Real> v, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> ds, Span<Real> dv, Width width)
    {
        Guard.AtLeast(rows, 0); Guard.AtLeast(length, 0); Guard.AtLeast(valueDim, 1); long n = (long)rows * length;
        Guard.Holds(s, n); Guard.Holds(v, n * valueDim); Guard.Holds(o, n * valueDim); Guard.Holds(lse, n); Guard.Holds(dO, n * valueDim); Guard.Holds(ds, n); Guard.Holds(dv, n * valueDim);
        if (n == 0) return;
        int chunks = Chunks(length); using var scratch = Scratch.Open(); Real* after = scratch.Take((long)rows * chunks * (valueDim + 1));
        new Span<Real>(after, checked(rows * chunks * (valueDim + 1))).Clear();
        fixed (Real* ps = s, pv = v, po = o, pl = lse, pg = dO, pds = ds, pdv = dv)
        {
            var x = new Sizes(length, valueDim, chunks);
            if (chunks > 1)
            {
                WideRows.For(rows * chunks, 1, new Sums(x, ps, pv, po, pl, pg, after, null, null), width);
                WideRows.For(rows, 1, new Suffixes(x, pl, after), width);
            }
            WideRows.For(rows * chunks, WideRows.Grain(Math.Min(C, length) * valueDim), new Sums(x, ps, pv, po, pl, pg, after, pds, pdv), width);
        }
        Work.Add(n * valueDim * (chunks > 1 ? 5 : 3));
    }

    /// <summary>The operator itself: states [R,E+2] become their merge with the others.</summary>
    public static void Merge(int rows, int valueDim, Span<Real> states, ReadOnlySpan<Real> others)
    {
        Guard.AtLeast(rows, 0); Guard.AtLeast(valueDim, 1); int size = State(valueDim);
        Guard.Holds(states, (long)rows * size); Guard.Holds(others, (long)rows * size);
        fixed (Real* ps = states, po = others) WideRows.For(rows, WideRows.Grain(size), new Merges(valueDim, ps, po));
    }

    readonly struct Merges(int dim, Real* states, Real* others) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (long r = from; r < to; r++) { Real* x = others + r * State(dim); Merge<TLanes, V>(states + r * State(dim), x[0], x[1], x + 2, dim); }
        }
    }

    readonly record struct Sizes(int Length, int Dim, int Chunks)
    {
        public (long First, int Count) Of(int task) { int c = task % Chunks; return ((long)(task / Chunks) * Length + c * C, Math.Min(C, Length - c * C)); }
    }

    /// <summary>c = a c + b x.</summary>
    static void Blend<TLanes, V>(Real* c, Real a, Real b, Real* x, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V va = TLanes.Set(a), vb = TLanes.Set(b);
        for (; i <= n - w; i += w) TLanes.Store(c + i, TLanes.Fma(va, TLanes.Load(c + i), TLanes.Mul(vb, TLanes.Load(x + i))));
        for (; i < n; i++) c[i] = a * c[i] + b * x[i];
    }

    /// <summary>state ⊕ (m, u, w): the larger maximum stays, both sums are brought to it.</summary>
    static void Merge<TLanes, V>(Real* state, Real m, Real u, Real* w, int dim) where TLanes : struct, ILanes<V> where V : struct
    {
        Real max = Real.Max(state[0], m);
        if (Real.IsNegativeInfinity(max)) return;
        Real a = Real.Exp(state[0] - max), b = Real.Exp(m - max);
        (state[0], state[1]) = (max, a * state[1] + b * u);
        Blend<TLanes, V>(state + 2, a, b, w, dim);
    }

    readonly struct Totals(Sizes x, Real* s, Real* v, Real* totals) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int task = from; task < to; task++)
            {
                var (first, count) = x.Of(task); Real* state = totals + (long)task * State(x.Dim);
                Clear(new(state, State(x.Dim)), x.Dim);
                for (long i = first; i < first + count; i++) Merge<TLanes, V>(state, s[i], 1, v + i * x.Dim, x.Dim);
            }
        }
    }

    // Totals become what came before each chunk. The last chunk leaves the state of the whole.
    readonly struct Prefixes(Sizes x, Real* totals, Real* state) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int size = State(x.Dim); using var scratch = Scratch.Open(); Real* total = scratch.Take(size);
            for (int r = from; r < to; r++)
                for (int c = 0; c < x.Chunks; c++)
                {
                    Real* at = totals + ((long)r * x.Chunks + c) * size, all = state + (long)r * size;
                    if (c < x.Chunks - 1) new Span<Real>(at, size).CopyTo(new(total, size));
                    new Span<Real>(all, size).CopyTo(new(at, size));
                    if (c < x.Chunks - 1) Merge<TLanes, V>(all, total[0], total[1], total + 2, x.Dim);
                }
        }
    }

    readonly struct Steps(Sizes x, Real* s, Real* v, Real* before, Real* state, Real* o, Real* lse) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int size = State(x.Dim);
            for (int task = from; task < to; task++)
            {
                var (first, count) = x.Of(task); Real* at = before + (long)task * size;
                for (long i = first; i < first + count; i++)
                {
                    Merge<TLanes, V>(at, s[i], 1, v + i * x.Dim, x.Dim);
                    bool nothing = Real.IsNegativeInfinity(at[0]); Real* to1 = o + i * x.Dim;
                    lse[i] = nothing ? Real.NegativeInfinity : at[0] + Real.Log(at[1]);
                    new Span<Real>(to1, x.Dim).Clear();
                    if (!nothing) Blend<TLanes, V>(to1, 0, 1 / at[1], at + 2, x.Dim);
                }
                if (task % x.Chunks == x.Chunks - 1) new Span<Real>(at, size).CopyTo(new(state + (long)(task / x.Chunks) * size, size));
            }
        }
    }

    /// <summary>
    /// With L the log-sum-exp, which never falls along a row: G_i = dO_i + e^(L_i − L_{i+1}) G_{i+1} and R_i = dO_i·o_i + e^(L_i − L_{i+1}) R_{i+1}, then dv_i += e^(s_i − L_i) G_i
    /// and ds_i += e^(s_i − L_i)(v_i·G_i − R_i). All exponents are at most 0. Without ds only what a chunk hands to the one before it is made, [G, R] at its first token.
    /// </summary>
    readonly struct Sums(Sizes x, Real* s, Real* v, Real* o, Real* lse, Real* dO, Real* after, Real* ds, Real* dv) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (int task = from; task < to; task++)
            {
                var (first, count) = x.Of(task); Real* g = after + (long)task * (x.Dim + 1); bool last = task % x.Chunks == x.Chunks - 1;
                for (long i = first + count - 1; i >= first; i--)
                {
                    Real keep = i == first + count - 1 && last ? 0 : Fall(lse[i], lse[i + 1]);
                    Blend<TLanes, V>(g, keep, 1, dO + i * x.Dim, x.Dim);
                    g[x.Dim] = keep * g[x.Dim] + RowProduct.Dot<TLanes, V>(dO + i * x.Dim, o + i * x.Dim, x.Dim);
                    if (ds is null) continue;
                    Real p = Fall(s[i], lse[i]);
                    ds[i] += p * (RowProduct.Dot<TLanes, V>(v + i * x.Dim, g, x.Dim) - g[x.Dim]);
                    Blend<TLanes, V>(dv + i * x.Dim, 1, p, g, x.Dim);
                }
            }
        }
    }
    /// <summary>e^(a − b) for a ≤ b; 0 if a is −∞, whatever b.</summary>
    static Real Fall(Real a, Real b) => Real.IsNegativeInfinity(a) ? 0 : Real.Exp(a - b);

    // What each chunk hands on becomes what it gets from those after it.
    readonly struct Suffixes(Sizes x, Real* lse, Real* after) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int size = x.Dim + 1; using var scratch = Scratch.Open(); Real* carry = scratch.Take(size);
            for (int r = from; r < to; r++)
            {
                new Span<Real>(carry, size).Clear();
                for (int c = x.Chunks - 1; c >= 0; c--)
                {
                    Real* at = after + ((long)r * x.Chunks + c) * size; long first = (long)r * x.Length + c * C, next = first + C;
                    Real keep = c == x.Chunks - 1 ? 0 : Fall(lse[first], lse[next]);
                    for (int i = 0; i < size; i++) (at[i], carry[i]) = (carry[i], at[i] + keep * carry[i]);
                }
            }
        }
    }
}
