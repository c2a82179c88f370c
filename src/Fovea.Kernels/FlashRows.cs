using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>What forward and backward do with single rows.</summary>
static unsafe class FlashRows
{
    public const Real Log2E = (Real)1.4426950408889634, Ln2 = (Real)0.6931471805599453;

    /// <summary>
    /// One step of the online softmax: s[n] becomes 2^(s·log₂e − max), sum its sum, both over all steps so far. Returns what earlier results must be multiplied with.
    /// n is a multiple of the register width, −∞ where masked; max starts at −∞ and counts in powers of two.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real Online<TLanes, V>(Real* s, int n, ref Real max, ref Real sum) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, j = 0;
        V a = TLanes.Set(Real.NegativeInfinity), b = a;
        for (; j + 2 * w <= n; j += 2 * w) { a = TLanes.Max(a, TLanes.Load(s + j)); b = TLanes.Max(b, TLanes.Load(s + j + w)); }
        if (j < n) a = TLanes.Max(a, TLanes.Load(s + j));
        Real top = TLanes.MaxAcross(TLanes.Max(a, b)) * Log2E, next = top <= max ? max : top;        // a NaN goes on
        if (Real.IsNegativeInfinity(next))
        {
            // Nothing is seen so far, unless Max has lost a NaN.
            for (j = 0; j < n; j++) { if (Real.IsNaN(s[j])) sum = Real.NaN; s[j] = 0; }
            return 1;
        }
        V minus = TLanes.Set(-next), u = TLanes.Set(Log2E), x = TLanes.Set(0);
        for (j = 0; j + 4 * w <= n; j += 4 * w)
        {
            V p = TLanes.Fma(TLanes.Load(s + j), u, minus), q = TLanes.Fma(TLanes.Load(s + j + w), u, minus), r = TLanes.Fma(TLanes.Load(s + j + 2 * w), u, minus), t = TLanes.Fma(TLanes.Load(s + j + 3 * w), u, minus);
            FastExp2.Four<TLanes, V>(ref p, ref q, ref r, ref t);
            TLanes.Store(s + j, p); TLanes.Store(s + j + w, q); TLanes.Store(s + j + 2 * w, r); TLanes.Store(s + j + 3 * w, t);
            x = TLanes.Add(x, TLanes.Add(TLanes.Add(p, q), TLanes.Add(r, t)));
        }
        for (; j < n; j += w) { V p = TLanes.Exp2(TLanes.Fma(TLanes.Load(s + j), u, minus)); TLanes.Store(s + j, p); x = TLanes.Add(x, p); }
        Real keep = next == max ? 1 : FastExp2.Of(max - next);
        sum = sum * keep + TLanes.Sum(x); max = next;
        return keep;
    }

    /// <summary>y = factor·x, and zeros from n to padded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale<TLanes, V>(Real* x, Real factor, Real* y, int n, int padded) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, j = 0; V f = TLanes.Set(factor);
        for (; j + w <= n; j += w) TLanes.Store(y + j, TLanes.Mul(f, TLanes.Load(x + j)));
        for (; j < n; j++) y[j] = factor * x[j];
        for (; j < padded; j++) y[j] = 0;
    }

    /// <summary>s becomes the weights 2^((s − lse)·log₂e), g their gradients times weights: p·(g − delta). n is a multiple of the register width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Recompute<TLanes, V>(Real* s, Real* g, int n, Real lse, Real delta) where TLanes : struct, ILanes<V> where V : struct
    {
        V minus = TLanes.Set(-lse * Log2E), u = TLanes.Set(Log2E), d = TLanes.Set(delta);
        int w = TLanes.Count, j = 0;
        for (; j + 4 * w <= n; j += 4 * w)
        {
            V p = TLanes.Fma(TLanes.Load(s + j), u, minus), q = TLanes.Fma(TLanes.Load(s + j + w), u, minus), r = TLanes.Fma(TLanes.Load(s + j + 2 * w), u, minus), t = TLanes.Fma(TLanes.Load(s + j + 3 * w), u, minus);
            FastExp2.Four<TLanes, V>(ref p, ref q, ref r, ref t);
            TLanes.Store(s + j, p); TLanes.Store(s + j + w, q); TLanes.Store(s + j + 2 * w, r); TLanes.Store(s + j + 3 * w, t);
            TLanes.Store(g + j, TLanes.Mul(p, TLanes.Sub(TLanes.Load(g + j), d))); TLanes.Store(g + j + w, TLanes.Mul(q, TLanes.Sub(TLanes.Load(g + j + w), d)));
            TLanes.Store(g + j + 2 * w, TLanes.Mul(r, TLanes.Sub(TLanes.Load(g + j + 2 * w), d))); TLanes.Store(g + j + 3 * w, TLanes.Mul(t, TLanes.Sub(TLanes.Load(g + j + 3 * w), d)));
        }
        for (; j < n; j += w)
        {
            V p = TLanes.Exp2(TLanes.Fma(TLanes.Load(s + j), u, minus));
            TLanes.Store(s + j, p); TLanes.Store(g + j, TLanes.Mul(p, TLanes.Sub(TLanes.Load(g + j), d)));
        }
    }

    /// <summary>o = acc / sum and lse = ln(sum·2^max); zeros and −∞ if nothing was seen.</summary>
    public static void Finish<TLanes, V>(Real* acc, Real max, Real sum, Real* o, int n, Real* lse) where TLanes : struct, ILanes<V> where V : struct
    {
        if (sum == 0) { new Span<Real>(o, n).Clear(); *lse = Real.NegativeInfinity; return; }
        Scale<TLanes, V>(acc, 1 / sum, o, n, n);
        *lse = (max + Real.Log2(sum)) * Ln2;
    }
}
