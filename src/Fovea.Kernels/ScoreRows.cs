using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>What scores and normalisers do with one row of logits, in place and on one thread: the kernels call it for every query and stretch of keys.</summary>
public static unsafe class ScoreRows
{
    /// <summary>x[j] += start + step·j.</summary>
    public static void AddRamp(Span<Real> x, Real start, Real step)
    {
        fixed (Real* p = x) Each(new Ramp(start, step), p, p, x.Length);
    }

    /// <summary>x = cap · tanh(x / cap).</summary>
    public static void SoftCap(Span<Real> x, Real cap)
    {
        fixed (Real* p = x) Each(new Cap(cap), p, p, x.Length);
    }

    /// <summary>gradient[j] is multiplied with 1 − tanh²(raw[j] / cap).</summary>
    public static void SoftCapSlope(ReadOnlySpan<Real> raw, Real cap, Span<Real> gradient)
    {
        Guard.Holds(gradient, raw.Length);
        fixed (Real* p = raw, g = gradient) Each(new CapSlope(cap), p, g, raw.Length);
    }

    /// <summary>weights[j] = op(logits[j]), in place.</summary>
    public static void Apply<TOp>(Span<Real> x) where TOp : struct, IUnary
    {
        fixed (Real* p = x) Each(new Of<TOp>(), p, p, x.Length);
    }

    /// <summary>gradient[j] is multiplied with the slope of op, written in its result y[j].</summary>
    public static void SlopeOf<TOp>(ReadOnlySpan<Real> y, Span<Real> gradient) where TOp : struct, IUnary
    {
        Guard.Holds(gradient, y.Length);
        fixed (Real* p = y, g = gradient) Each(new SlopeInResult<TOp>(), p, g, y.Length);
    }

    /// <summary>What becomes of y at x, where y may be x; j is the place of the first lane.</summary>
    internal interface IStep { V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct; }

    internal static void Each<TStep>(TStep step, ReadOnlySpan<Real> x, Span<Real> y) where TStep : struct, IStep
    {
        Guard.Holds(y, x.Length);
        fixed (Real* p = x, q = y) Each(step, p, q, x.Length);
    }

    static void Each<TStep>(TStep step, Real* x, Real* y, int n) where TStep : struct, IStep
    {
        var body = new Loop<TStep>(step, x, y, n);
        Wide.Run(ref body);
    }

    readonly struct Loop<TStep>(TStep step, Real* x, Real* y, int n) : IWide where TStep : struct, IStep
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            int done = Part<TLanes, V>(0);
            if (done < n) Part<Lanes1, Real>(done);
        }

        // Two registers at a time: one after the other, the second would wait for the first one's chain of steps.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        int Part<TLanes, V>(int j) where TLanes : struct, ILanes<V> where V : struct
        {
            int w = TLanes.Count; Real* first = stackalloc Real[w];
            for (int i = 0; i < w; i++) first[i] = j + i;
            V at = TLanes.Load(first), next = TLanes.Set(w);
            for (; j + 2 * w <= n; j += 2 * w)
            {
                V other = TLanes.Add(at, next), a = step.Of<TLanes, V>(TLanes.Load(x + j), TLanes.Load(y + j), at), b = step.Of<TLanes, V>(TLanes.Load(x + j + w), TLanes.Load(y + j + w), other);
                TLanes.Store(y + j, a); TLanes.Store(y + j + w, b); at = TLanes.Add(other, next);
            }
            for (; j + w <= n; j += w) { TLanes.Store(y + j, step.Of<TLanes, V>(TLanes.Load(x + j), TLanes.Load(y + j), at)); at = TLanes.Add(at, next); }
            return j;
        }
    }

    readonly struct Ramp(Real start, Real step) : IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => TLanes.Add(x, TLanes.Fma(j, TLanes.Set(step), TLanes.Set(start)));
    }
    readonly struct Cap(Real cap) : IStep
    {
        readonly Real cap = cap, inverse = 1 / cap;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(TLanes.Set(cap), Curve.Tanh<TLanes, V>(TLanes.Mul(x, TLanes.Set(inverse))));
    }
    readonly struct CapSlope(Real cap) : IStep
    {
        readonly Real inverse = 1 / cap;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct
        {
            V t = Curve.Tanh<TLanes, V>(TLanes.Mul(x, TLanes.Set(inverse)));
            return TLanes.Mul(y, TLanes.Sub(TLanes.Set(1), TLanes.Mul(t, t)));
        }
    }
    readonly struct Of<TOp> : IStep where TOp : struct, IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        V IStep.Of<TLanes, V>(V x, V y, V j) => TOp.Of<TLanes, V>(x);
    }
    readonly struct SlopeInResult<TOp> : IStep where TOp : struct, IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(y, TOp.Slope<TLanes, V>(x, x));
    }
}
