namespace Fovea.Kernels;

/// <summary>h_t = a_t ∘ h_{t−1} + b_t, every channel for itself: the recurrence of gated networks and diagonal state spaces. Channels are the lanes, so a step is one multiply-add.</summary>
public static unsafe class ElementScan
{
    const int Block = 64;

    /// <summary>a, b [R,N,C] → h [R,N,C], overwritten. state [R,C] holds what came before and becomes the last h.</summary>
    public static void Forward(int rows, int length, int channels, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> state, Span<Real> h) => Forward(rows, length, channels, a, b, state, h, Width.Widest);

    internal static void Forward(int rows, int length, int channels, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> state, Span<Real> h, Width width)
    {
        long n = Check(rows, length, channels); Guard.Holds(a, n); Guard.Holds(b, n); Guard.Holds(h, n); Guard.Holds(state, (long)rows * channels);
        fixed (Real* pa = a, pb = b, ps = state, ph = h) WideRows.For(Tasks(rows, channels), WideRows.Grain(Block * length), new Steps(length, channels, pa, pb, ps, ph), width);
        Work.Add(n);
    }

    /// <summary>Adds into da, db [R,N,C]; h is Forward's, before [R,C] what came before it (empty: zeros).</summary>
    public static void Backward(int rows, int length, int channels, ReadOnlySpan<Real> a, ReadOnlySpan<Real> h, ReadOnlySpan<Real> before, ReadOnlySpan<Real> dh, Span<Real> da, Span<Real> db) => Backward(rows, length, channels, a, h, before, dh, da, db, Width.Widest);

    internal static void Backward(int rows, int length, int channels, ReadOnlySpan<Real> a, ReadOnlySpan<Real> h, ReadOnlySpan<Real> before, ReadOnlySpan<Real> dh, Span<Real> da, Span<Real> db, Width width)
    {
        long n = Check(rows, length, channels); Guard.Holds(a, n); Guard.Holds(h, n); Guard.Holds(dh, n); Guard.Holds(da, n); Guard.Holds(db, n); if (!before.IsEmpty) Guard.Holds(before, (long)rows * channels);
        fixed (Real* pa = a, ph = h, p0 = before, pg = dh, pda = da, pdb = db) WideRows.For(Tasks(rows, channels), WideRows.Grain(Block * length), new Adjoint(length, channels, pa, ph, p0, pg, pda, pdb), width);
        Work.Add(2 * n);
    }

    static long Check(int rows, int length, int channels) { Guard.AtLeast(rows, 0); Guard.AtLeast(length, 0); Guard.AtLeast(channels, 1); return (long)rows * length * channels; }
    static int Tasks(int rows, int channels) => rows * ((channels + Block - 1) / Block);

    readonly struct Steps(int length, int channels, Real* a, Real* b, Real* state, Real* h) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int blocks = (channels + Block - 1) / Block, w = TLanes.Count;
            for (int task = from; task < to; task++)
            {
                int first = task % blocks * Block, end = Math.Min(first + Block, channels); Real* last = state + (long)(task / blocks) * channels;
                for (int t = 0; t < length; t++)
                {
                    long at = ((long)(task / blocks) * length + t) * channels; int c = first;
                    for (; c <= end - w; c += w) { V x = TLanes.Fma(TLanes.Load(a + at + c), TLanes.Load(last + c), TLanes.Load(b + at + c)); TLanes.Store(h + at + c, x); TLanes.Store(last + c, x); }
                    for (; c < end; c++) h[at + c] = last[c] = a[at + c] * last[c] + b[at + c];
                }
            }
        }
    }

    // g_t = dh_t + a_{t+1} g_{t+1}; db_t += g_t, da_t += g_t h_{t−1}.
    readonly struct Adjoint(int length, int channels, Real* a, Real* h, Real* before, Real* dh, Real* da, Real* db) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int blocks = (channels + Block - 1) / Block, w = TLanes.Count; using var scratch = Scratch.Open(); Real* g = scratch.Take(Block), zeros = scratch.Take(Block);
            new Span<Real>(zeros, Block).Clear();
            for (int task = from; task < to; task++)
            {
                int first = task % blocks * Block, n = Math.Min(Block, channels - first), row = task / blocks; new Span<Real>(g, Block).Clear();
                for (int t = length - 1; t >= 0; t--)
                {
                    long at = ((long)row * length + t) * channels + first; int c = 0; Real* past = t > 0 ? h + at - channels : before is null ? zeros : before + (long)row * channels + first;
                    for (; c <= n - w; c += w)
                    {
                        V x = TLanes.Add(TLanes.Load(g + c), TLanes.Load(dh + at + c));
                        TLanes.Store(db + at + c, TLanes.Add(TLanes.Load(db + at + c), x)); TLanes.Store(da + at + c, TLanes.Fma(x, TLanes.Load(past + c), TLanes.Load(da + at + c)));
                        TLanes.Store(g + c, TLanes.Mul(x, TLanes.Load(a + at + c)));
                    }
                    for (; c < n; c++) { Real x = g[c] + dh[at + c]; db[at + c] += x; da[at + c] += x * past[c]; g[c] = x * a[at + c]; }
                }
            }
        }
    }
}
