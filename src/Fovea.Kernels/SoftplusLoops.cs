using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// The sweeps over one row that <see cref="SoftplusWeights"/> is made of. Four registers go step by step, as one after the other each would wait for its own chain of thirty operations; what is left at the end of a row
/// goes through a small buffer in one register, since single numbers would cost as much.
/// </summary>
static unsafe class SoftplusLoops
{
    /// <summary>x becomes log2(1 + 2^(factor·x)), softplus in units of ln 2, which cancel where a row is divided by its sum; the sum and the largest of what it becomes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (Real Sum, Real Max) Positive<TLanes, V>(Real* x, Real factor, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; Real* rest = stackalloc Real[w]; V f = TLanes.Set(factor), sum = TLanes.Set(0), more = sum, max = sum;
        for (; i <= n - 4 * w; i += 4 * w)
        {
            V a = TLanes.Mul(f, TLanes.Load(x + i)), b = TLanes.Mul(f, TLanes.Load(x + i + w)), c = TLanes.Mul(f, TLanes.Load(x + i + 2 * w)), d = TLanes.Mul(f, TLanes.Load(x + i + 3 * w));
            TLanes.Store(x + i, a); TLanes.Store(x + i + w, b); TLanes.Store(x + i + 2 * w, c); TLanes.Store(x + i + 3 * w, d);
            Fall<TLanes, V>(ref a); Fall<TLanes, V>(ref b); Fall<TLanes, V>(ref c); Fall<TLanes, V>(ref d);
            FastExp2.Four<TLanes, V>(ref a, ref b, ref c, ref d);
            Rise<TLanes, V>(ref a, ref b, ref c, ref d, x + i);
            TLanes.Store(x + i, a); TLanes.Store(x + i + w, b); TLanes.Store(x + i + 2 * w, c); TLanes.Store(x + i + 3 * w, d);
            sum = TLanes.Add(sum, TLanes.Add(a, b)); more = TLanes.Add(more, TLanes.Add(c, d)); max = TLanes.Max(max, TLanes.Max(TLanes.Max(a, b), TLanes.Max(c, d)));
        }
        for (; i < n; i += w)
        {
            Real* at = Whole<TLanes, V>(x + i, n - i, rest, Real.NegativeInfinity);
            V y = TLanes.Mul(f, TLanes.Load(at)), a = y; Fall<TLanes, V>(ref a);
            a = Rise<TLanes, V>(y, TLanes.Exp2(a));
            TLanes.Store(at, a); Back<TLanes, V>(at, x + i, n - i);
            sum = TLanes.Add(sum, a); max = TLanes.Max(max, a);
        }
        return (TLanes.Sum(TLanes.Add(sum, more)), TLanes.MaxAcross(max));
    }

    /// <summary>a becomes b = uᵖ, u = max(scale·a − offset, 0)·inverse; their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real Above<TLanes, V>(Real* x, in Excess e, int power, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; Real* rest = stackalloc Real[w]; V sum = TLanes.Set(0), more = sum;
        for (; i <= n - 4 * w; i += 4 * w)
        {
            V a = e.Of<TLanes, V>(x + i), b = e.Of<TLanes, V>(x + i + w), c = e.Of<TLanes, V>(x + i + 2 * w), d = e.Of<TLanes, V>(x + i + 3 * w);
            Power<TLanes, V>(ref a, ref b, ref c, ref d, out V p, out V q, out V r, out V t, power);
            TLanes.Store(x + i, p); TLanes.Store(x + i + w, q); TLanes.Store(x + i + 2 * w, r); TLanes.Store(x + i + 3 * w, t);
            sum = TLanes.Add(sum, TLanes.Add(p, q)); more = TLanes.Add(more, TLanes.Add(r, t));
        }
        for (; i < n; i += w)
        {
            Real* at = Whole<TLanes, V>(x + i, n - i, rest, 0);
            V p = Power<TLanes, V>(e.Of<TLanes, V>(at), power);
            TLanes.Store(at, p); Back<TLanes, V>(at, x + i, n - i);
            sum = TLanes.Add(sum, p);
        }
        return TLanes.Sum(TLanes.Add(sum, more));
    }

    /// <summary>Of u as in <see cref="Above"/>, where it is above 0: Σ uᵖ, Σ g uᵖ, Σ uᵖ⁻¹ and Σ g uᵖ⁻¹.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (Real Sum, Real Dot, Real LessSum, Real LessDot) Sums<TLanes, V>(Real* x, Real* g, in Excess e, int power, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; Real* rest = stackalloc Real[w], other = stackalloc Real[w]; V sum = TLanes.Set(0), dot = sum, less = sum, lessDot = sum;
        for (; i <= n - 2 * w; i += 2 * w)
        {
            V a = e.Of<TLanes, V>(x + i), b = e.Of<TLanes, V>(x + i + w), y = TLanes.Load(g + i), z = TLanes.Load(g + i + w);
            V p = Less<TLanes, V>(a, power), q = Less<TLanes, V>(b, power);
            less = TLanes.Add(less, TLanes.Add(p, q)); lessDot = TLanes.Fma(p, y, TLanes.Fma(q, z, lessDot));
            p = TLanes.Mul(p, a); q = TLanes.Mul(q, b);
            sum = TLanes.Add(sum, TLanes.Add(p, q)); dot = TLanes.Fma(p, y, TLanes.Fma(q, z, dot));
        }
        for (; i < n; i += w)
        {
            V a = e.Of<TLanes, V>(Whole<TLanes, V>(x + i, n - i, rest, 0)), y = TLanes.Load(Whole<TLanes, V>(g + i, n - i, other, 0));
            V p = Less<TLanes, V>(a, power);
            less = TLanes.Add(less, p); lessDot = TLanes.Fma(p, y, lessDot);
            p = TLanes.Mul(p, a);
            sum = TLanes.Add(sum, p); dot = TLanes.Fma(p, y, dot);
        }
        return (TLanes.Sum(sum), TLanes.Sum(dot), TLanes.Sum(less), TLanes.Sum(lessDot));
    }

    /// <summary>
    /// a becomes uᵖ·share, and g, with h = (g − dot)·uᵖ⁻¹ where u is above 0, becomes (h·size − mean)·(1 − 2^−a): the last factor is the slope of softplus, written in its value.
    /// Power 0: a becomes a·share and h = g.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Slopes<TLanes, V>(Real* x, Real* g, in Excess e, int power, Real share, Real dot, Real size, Real mean, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; Real* rest = stackalloc Real[w], other = stackalloc Real[w];
        V zero = TLanes.Set(0), m = TLanes.Set(-mean), one = TLanes.Set(1);
        for (; i <= n - 4 * w; i += 4 * w)
        {
            V a = TLanes.Sub(zero, TLanes.Load(x + i)), b = TLanes.Sub(zero, TLanes.Load(x + i + w)), c = TLanes.Sub(zero, TLanes.Load(x + i + 2 * w)), d = TLanes.Sub(zero, TLanes.Load(x + i + 3 * w));
            FastExp2.Four<TLanes, V>(ref a, ref b, ref c, ref d);
            Slope<TLanes, V>(x + i, g + i, e, power, share, dot, size, m, TLanes.Sub(one, a)); Slope<TLanes, V>(x + i + w, g + i + w, e, power, share, dot, size, m, TLanes.Sub(one, b));
            Slope<TLanes, V>(x + i + 2 * w, g + i + 2 * w, e, power, share, dot, size, m, TLanes.Sub(one, c)); Slope<TLanes, V>(x + i + 3 * w, g + i + 3 * w, e, power, share, dot, size, m, TLanes.Sub(one, d));
        }
        for (; i < n; i += w)
        {
            Real* at = Whole<TLanes, V>(x + i, n - i, rest, 0), to = Whole<TLanes, V>(g + i, n - i, other, 0);
            Slope<TLanes, V>(at, to, e, power, share, dot, size, m, TLanes.Sub(one, TLanes.Exp2(TLanes.Sub(zero, TLanes.Load(at)))));
            Back<TLanes, V>(at, x + i, n - i); Back<TLanes, V>(to, g + i, n - i);
        }
    }

    // One register of Slopes; slope is that of softplus.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Slope<TLanes, V>(Real* x, Real* g, in Excess e, int power, Real share, Real dot, Real size, V minusMean, V slope) where TLanes : struct, ILanes<V> where V : struct
    {
        V h = TLanes.Load(g), to;
        if (power == 0) to = TLanes.Load(x);
        else
        {
            V u = e.Of<TLanes, V>(x), p = Less<TLanes, V>(u, power);
            h = TLanes.Mul(TLanes.Sub(h, TLanes.Set(dot)), p); to = TLanes.Mul(p, u);
        }
        TLanes.Store(x, TLanes.Mul(to, TLanes.Set(share)));
        TLanes.Store(g, TLanes.Mul(TLanes.Fma(h, TLanes.Set(size), minusMean), slope));
    }

    /// <summary>max(scale·a − offset, 0)·inverse: how far an entry is above the average of its row.</summary>
    public readonly struct Excess(Real scale, Real offset, Real inverse)
    {
        readonly Real scale = scale * inverse, offset = -offset * inverse;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(Real* x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Max(TLanes.Set(0), TLanes.Fma(TLanes.Load(x), TLanes.Set(scale), TLanes.Set(offset)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fall<TLanes, V>(ref V x) where TLanes : struct, ILanes<V> where V : struct => x = TLanes.Sub(TLanes.Set(0), TLanes.Abs(x));

    // max(0, y) + log2(1 + t)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Rise<TLanes, V>(V y, V t) where TLanes : struct, ILanes<V> where V : struct => TLanes.Fma(TLanes.Set(Curve.Log2E), Curve.Log1P<TLanes, V>(t), TLanes.Max(TLanes.Set(0), y));

    // The same of four registers, y as it lies in memory; see Curve.Log1P.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Rise<TLanes, V>(ref V a, ref V b, ref V c, ref V d, Real* y) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V zero = TLanes.Set(0);
        if (!Curve.Single)
        {
            a = Rise<TLanes, V>(TLanes.Load(y), a); b = Rise<TLanes, V>(TLanes.Load(y + w), b); c = Rise<TLanes, V>(TLanes.Load(y + 2 * w), c); d = Rise<TLanes, V>(TLanes.Load(y + 3 * w), d);
            return;
        }
        V k = TLanes.Set(2); a = TLanes.Div(a, TLanes.Add(a, k)); b = TLanes.Div(b, TLanes.Add(b, k)); c = TLanes.Div(c, TLanes.Add(c, k)); d = TLanes.Div(d, TLanes.Add(d, k));
        V p = TLanes.Mul(a, a), q = TLanes.Mul(b, b), r = TLanes.Mul(c, c), s = TLanes.Mul(d, d), l = TLanes.Set(Curve.L4 * Curve.Log2E); k = TLanes.Set(Curve.L3 * Curve.Log2E);
        V e = TLanes.Fma(l, p, k), f = TLanes.Fma(l, q, k), g = TLanes.Fma(l, r, k), h = TLanes.Fma(l, s, k);
        k = TLanes.Set(Curve.L2 * Curve.Log2E); e = TLanes.Fma(e, p, k); f = TLanes.Fma(f, q, k); g = TLanes.Fma(g, r, k); h = TLanes.Fma(h, s, k);
        k = TLanes.Set(Curve.L1 * Curve.Log2E); e = TLanes.Fma(e, p, k); f = TLanes.Fma(f, q, k); g = TLanes.Fma(g, r, k); h = TLanes.Fma(h, s, k);
        k = TLanes.Set(Curve.L0 * Curve.Log2E); e = TLanes.Fma(e, p, k); f = TLanes.Fma(f, q, k); g = TLanes.Fma(g, r, k); h = TLanes.Fma(h, s, k);
        a = TLanes.Fma(a, e, TLanes.Max(zero, TLanes.Load(y))); b = TLanes.Fma(b, f, TLanes.Max(zero, TLanes.Load(y + w)));
        c = TLanes.Fma(c, g, TLanes.Max(zero, TLanes.Load(y + 2 * w))); d = TLanes.Fma(d, h, TLanes.Max(zero, TLanes.Load(y + 3 * w)));
    }

    // n is above 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Power<TLanes, V>(V x, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; (n & 1) == 0; n >>= 1) x = TLanes.Mul(x, x);
        for (; n % 3 == 0; n /= 3) x = TLanes.Mul(x, TLanes.Mul(x, x));
        V y = x;
        for (n >>= 1; n > 0; n >>= 1) { x = TLanes.Mul(x, x); if ((n & 1) != 0) y = TLanes.Mul(y, x); }
        return y;
    }

    // uᵖ⁻¹ where u is above 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Less<TLanes, V>(V u, int power) where TLanes : struct, ILanes<V> where V : struct => power == 1 ? TLanes.IfLess(TLanes.Set(0), u, TLanes.Set(1), TLanes.Set(0)) : Power<TLanes, V>(u, power - 1);

    // p, q, r and t become the n-th powers, n above 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Power<TLanes, V>(ref V a, ref V b, ref V c, ref V d, out V p, out V q, out V r, out V t, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; (n & 1) == 0; n >>= 1) { a = TLanes.Mul(a, a); b = TLanes.Mul(b, b); c = TLanes.Mul(c, c); d = TLanes.Mul(d, d); }
        // Fewer products than by squares alone: five for the fifteenth power, not six.
        for (; n % 3 == 0; n /= 3) { a = TLanes.Mul(a, TLanes.Mul(a, a)); b = TLanes.Mul(b, TLanes.Mul(b, b)); c = TLanes.Mul(c, TLanes.Mul(c, c)); d = TLanes.Mul(d, TLanes.Mul(d, d)); }
        (p, q, r, t) = (a, b, c, d);
        for (n >>= 1; n > 0; n >>= 1)
        {
            a = TLanes.Mul(a, a); b = TLanes.Mul(b, b); c = TLanes.Mul(c, c); d = TLanes.Mul(d, d);
            if ((n & 1) != 0) { p = TLanes.Mul(p, a); q = TLanes.Mul(q, b); r = TLanes.Mul(r, c); t = TLanes.Mul(t, d); }
        }
    }

    // The next register of a row: where it lies, or if fewer than that many are left a copy filled up; Back brings what has become of the copy to the row.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Real* Whole<TLanes, V>(Real* x, int left, Real* rest, Real fill) where TLanes : struct, ILanes<V> where V : struct
    {
        if (left >= TLanes.Count) return x;
        for (int i = 0; i < TLanes.Count; i++) rest[i] = i < left ? x[i] : fill;
        return rest;
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Back<TLanes, V>(Real* rest, Real* x, int left) where TLanes : struct, ILanes<V> where V : struct
    {
        if (left < TLanes.Count) for (int i = 0; i < left; i++) x[i] = rest[i];
    }
}
