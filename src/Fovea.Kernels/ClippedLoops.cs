using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>The sweeps over one row that <see cref="ClippedSoftmax"/> is made of, after the exponentials.</summary>
static unsafe class ClippedLoops
{
    /// <summary>Logits x become weights; if g is not null, d loss / d weight becomes d loss / d logit: p·(g′ − Σ p g′), g′ = (ζ − γ)·g where nothing was clipped, else 0.</summary>
    public static void Run<TLanes, V>(Real low, Real high, Real* x, Real* g, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Real sum = SoftmaxLoops.MaxAndSum<TLanes, V>(x, x, n).Sum;
        if (sum == 0) { new Span<Real>(x, n).Clear(); if (g is not null) new Span<Real>(g, n).Clear(); return; }
        Real inverse = 1 / sum; var clip = new Clip((high - low) * inverse, low, low == 0 && high == 1);
        int done;
        if (g is null)
        {
            done = Weights<TLanes, V>(x, clip, 0, n);
            if (done < n) Weights<Lanes1, Real>(x, clip, done, n);
            return;
        }
        Real dot = 0; done = Dot<TLanes, V>(x, g, clip, 0, n, ref dot);
        if (done < n) Dot<Lanes1, Real>(x, g, clip, done, n, ref dot);
        done = Slopes<TLanes, V>(x, g, clip, dot * inverse, 0, n);
        if (done < n) Slopes<Lanes1, Real>(x, g, clip, dot * inverse, done, n);
    }

    /// <summary>e·size + low, e an exponential, is what is clipped; size holds one over their sum. Softmax as it is has weights of 0 and 1 too, but clips nothing.</summary>
    readonly struct Clip(Real size, Real low, bool free)
    {
        readonly Real from = free ? -1 : 0, to = free ? 2 : 1;
        public Real Size => size;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V e) where TLanes : struct, ILanes<V> where V : struct => TLanes.Fma(e, TLanes.Set(size), TLanes.Set(low));
        /// <summary>g where t lies between the limits, else 0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Inside<TLanes, V>(V t, V g) where TLanes : struct, ILanes<V> where V : struct { V zero = TLanes.Set(0); return TLanes.IfLess(TLanes.Set(from), t, TLanes.IfLess(t, TLanes.Set(to), g, zero), zero); }
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Between<TLanes, V>(V t) where TLanes : struct, ILanes<V> where V : struct => TLanes.Min(TLanes.Set(1), TLanes.Max(TLanes.Set(0), t));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Weights<TLanes, V>(Real* x, Clip clip, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (; i <= n - w; i += w) TLanes.Store(x + i, Clip.Between<TLanes, V>(clip.Of<TLanes, V>(TLanes.Load(x + i))));
        return i;
    }

    // Σ e g over what was not clipped.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Dot<TLanes, V>(Real* x, Real* g, Clip clip, int i, int n, ref Real dot) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V a = TLanes.Set(0), b = a;
        for (; i <= n - 2 * w; i += 2 * w)
        {
            V e = TLanes.Load(x + i), f = TLanes.Load(x + i + w);
            a = TLanes.Fma(e, clip.Inside<TLanes, V>(clip.Of<TLanes, V>(e), TLanes.Load(g + i)), a); b = TLanes.Fma(f, clip.Inside<TLanes, V>(clip.Of<TLanes, V>(f), TLanes.Load(g + i + w)), b);
        }
        for (; i <= n - w; i += w) { V e = TLanes.Load(x + i); a = TLanes.Fma(e, clip.Inside<TLanes, V>(clip.Of<TLanes, V>(e), TLanes.Load(g + i)), a); }
        dot += TLanes.Sum(TLanes.Add(a, b));
        return i;
    }

    // p·(g′ − Σ p g′) with (ζ − γ) drawn out of the brackets: e·size·(g − dot), dot = Σ e g / Σ e over what was not clipped.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Slopes<TLanes, V>(Real* x, Real* g, Clip clip, Real dot, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V size = TLanes.Set(clip.Size), d = TLanes.Set(dot);
        for (; i <= n - w; i += w)
        {
            V e = TLanes.Load(x + i), t = clip.Of<TLanes, V>(e);
            TLanes.Store(g + i, TLanes.Mul(TLanes.Mul(e, size), TLanes.Sub(clip.Inside<TLanes, V>(t, TLanes.Load(g + i)), d)));
            TLanes.Store(x + i, Clip.Between<TLanes, V>(t));
        }
        return i;
    }
}
