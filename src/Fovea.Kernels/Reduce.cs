using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Sums and maxima of runs of numbers: registers inside blocks of 4,096, double between blocks, so that long runs lose nothing.</summary>
internal static unsafe class Reduce
{
    const int Block = 4096;

    /// <summary>Σ x</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Sum<TLanes, V>(Real* x, long n) where TLanes : struct, ILanes<V> where V : struct
    {
        double total = 0; int w = TLanes.Count;
        for (long start = 0; start < n; start += Block)
        {
            V a = TLanes.Set(0), b = a, c = a, d = a; Real rest = 0;
            long i = start, end = Math.Min(n, start + Block);
            for (; i <= end - 4 * w; i += 4 * w)
            {
                a = TLanes.Add(a, TLanes.Load(x + i)); b = TLanes.Add(b, TLanes.Load(x + i + w));
                c = TLanes.Add(c, TLanes.Load(x + i + 2 * w)); d = TLanes.Add(d, TLanes.Load(x + i + 3 * w));
            }
            for (; i <= end - w; i += w) a = TLanes.Add(a, TLanes.Load(x + i));
            for (; i < end; i++) rest += x[i];
            total += TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d))) + rest;
        }
        return total;
    }

    /// <summary>Σ x·y</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Dot<TLanes, V>(Real* x, Real* y, long n) where TLanes : struct, ILanes<V> where V : struct
    {
        double total = 0; int w = TLanes.Count;
        for (long start = 0; start < n; start += Block)
        {
            V a = TLanes.Set(0), b = a, c = a, d = a; Real rest = 0;
            long i = start, end = Math.Min(n, start + Block);
            for (; i <= end - 4 * w; i += 4 * w)
            {
                a = TLanes.Fma(TLanes.Load(x + i), TLanes.Load(y + i), a); b = TLanes.Fma(TLanes.Load(x + i + w), TLanes.Load(y + i + w), b);
                c = TLanes.Fma(TLanes.Load(x + i + 2 * w), TLanes.Load(y + i + 2 * w), c); d = TLanes.Fma(TLanes.Load(x + i + 3 * w), TLanes.Load(y + i + 3 * w), d);
            }
            for (; i <= end - w; i += w) a = TLanes.Fma(TLanes.Load(x + i), TLanes.Load(y + i), a);
            for (; i < end; i++) rest += x[i] * y[i];
            total += TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d))) + rest;
        }
        return total;
    }

    /// <summary>Σ (x − centre)²</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Spread<TLanes, V>(Real* x, Real centre, long n) where TLanes : struct, ILanes<V> where V : struct
    {
        double total = 0; int w = TLanes.Count; V m = TLanes.Set(centre);
        for (long start = 0; start < n; start += Block)
        {
            V a = TLanes.Set(0), b = a, c = a, d = a; Real rest = 0;
            long i = start, end = Math.Min(n, start + Block);
            for (; i <= end - 4 * w; i += 4 * w)
            {
                V p = TLanes.Sub(TLanes.Load(x + i), m), q = TLanes.Sub(TLanes.Load(x + i + w), m), r = TLanes.Sub(TLanes.Load(x + i + 2 * w), m), s = TLanes.Sub(TLanes.Load(x + i + 3 * w), m);
                a = TLanes.Fma(p, p, a); b = TLanes.Fma(q, q, b); c = TLanes.Fma(r, r, c); d = TLanes.Fma(s, s, d);
            }
            for (; i <= end - w; i += w) { V p = TLanes.Sub(TLanes.Load(x + i), m); a = TLanes.Fma(p, p, a); }
            for (; i < end; i++) rest += (x[i] - centre) * (x[i] - centre);
            total += TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d))) + rest;
        }
        return total;
    }

    /// <summary>Σ y·(x − centre)</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double DotAround<TLanes, V>(Real* y, Real* x, Real centre, long n) where TLanes : struct, ILanes<V> where V : struct
    {
        double total = 0; int w = TLanes.Count; V m = TLanes.Set(centre);
        for (long start = 0; start < n; start += Block)
        {
            V a = TLanes.Set(0), b = a; Real rest = 0;
            long i = start, end = Math.Min(n, start + Block);
            for (; i <= end - 2 * w; i += 2 * w)
            {
                a = TLanes.Fma(TLanes.Load(y + i), TLanes.Sub(TLanes.Load(x + i), m), a);
                b = TLanes.Fma(TLanes.Load(y + i + w), TLanes.Sub(TLanes.Load(x + i + w), m), b);
            }
            for (; i <= end - w; i += w) a = TLanes.Fma(TLanes.Load(y + i), TLanes.Sub(TLanes.Load(x + i), m), a);
            for (; i < end; i++) rest += y[i] * (x[i] - centre);
            total += TLanes.Sum(TLanes.Add(a, b)) + rest;
        }
        return total;
    }

    /// <summary>The largest x, −∞ if n = 0. If x holds a NaN the result may be any number: callers see it in the sum that follows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Real Max<TLanes, V>(Real* x, long n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; long i = 0; Real m = Real.NegativeInfinity;
        if (n >= w)
        {
            V a = TLanes.Load(x), b = a;
            for (i = w; i <= n - 2 * w; i += 2 * w) { a = TLanes.Max(a, TLanes.Load(x + i)); b = TLanes.Max(b, TLanes.Load(x + i + w)); }
            for (; i <= n - w; i += w) a = TLanes.Max(a, TLanes.Load(x + i));
            m = TLanes.MaxAcross(TLanes.Max(a, b));
        }
        for (; i < n; i++) m = x[i] > m ? x[i] : m;
        return m;
    }
}
