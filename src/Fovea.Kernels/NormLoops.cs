using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Loops over one run of numbers that the normalisations share. n̂ = (x − mean)·rstd throughout. Pointers to gain, bias and their gradients may be
/// null; each loop comes as a range [i, n) and returns where it stopped.
/// </summary>
internal static unsafe class NormLoops
{
    /// <summary>y = n̂·gain + bias.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Affine<TLanes, V>(Real* x, Real* gain, Real* bias, Real* y, Real mean, Real rstd, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V m = TLanes.Set(mean), s = TLanes.Set(rstd);
        for (; i <= n - w; i += w)
        {
            Streams.Ahead(x + i + n, w * sizeof(Real));     // the next row
            V v = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), m), s);
            if (gain is not null) v = bias is null ? TLanes.Mul(v, TLanes.Load(gain + i)) : TLanes.Fma(v, TLanes.Load(gain + i), TLanes.Load(bias + i));
            else if (bias is not null) v = TLanes.Add(v, TLanes.Load(bias + i));
            TLanes.Store(y + i, v);
        }
        return i;
    }

    /// <summary>Adds dy·n̂ into dgain and dy into dbias, and dy·gain into sum, dy·gain·n̂ into dot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Sums<TLanes, V>(Real* x, Real* gain, Real* dy, Real* dgain, Real* dbias, Real mean, Real rstd, int i, int n, ref double sum, ref double dot) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V m = TLanes.Set(mean), s = TLanes.Set(rstd);
        while (i <= n - w)
        {
            V a = TLanes.Set(0), b = a; int end = Math.Min(n, i + 4096);
            for (; i <= end - w; i += w)
            {
                V v = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), m), s), d = TLanes.Load(dy + i), dg = gain is null ? d : TLanes.Mul(d, TLanes.Load(gain + i));
                if (dgain is not null) TLanes.Store(dgain + i, TLanes.Fma(d, v, TLanes.Load(dgain + i)));
                if (dbias is not null) TLanes.Store(dbias + i, TLanes.Add(d, TLanes.Load(dbias + i)));
                a = TLanes.Add(a, dg); b = TLanes.Fma(dg, v, b);
            }
            sum += TLanes.Sum(a); dot += TLanes.Sum(b);
        }
        return i;
    }

    /// <summary>dx += rstd·(dy·gain − shift − n̂·slope).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Back<TLanes, V>(Real* x, Real* gain, Real* dy, Real* dx, Real mean, Real rstd, Real shift, Real slope, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V m = TLanes.Set(mean), s = TLanes.Set(rstd), c = TLanes.Set(shift), e = TLanes.Set(-slope * rstd);
        for (; i <= n - w; i += w)
        {
            V d = TLanes.Load(dy + i);
            if (gain is not null) d = TLanes.Mul(d, TLanes.Load(gain + i));
            V inner = TLanes.Fma(TLanes.Sub(TLanes.Load(x + i), m), e, TLanes.Sub(d, c));
            TLanes.Store(dx + i, TLanes.Fma(inner, s, TLanes.Load(dx + i)));
        }
        return i;
    }

    /// <summary>y = a·x + b, or y += if add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Line<TLanes, V>(Real* x, Real* y, Real a, Real b, bool add, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V s = TLanes.Set(a), t = TLanes.Set(b);
        for (; i <= n - w; i += w)
        {
            V v = TLanes.Fma(s, TLanes.Load(x + i), t);
            TLanes.Store(y + i, add ? TLanes.Add(v, TLanes.Load(y + i)) : v);
        }
        return i;
    }

    /// <summary>dx += rstd·(dy·gain − shift − n̂·slope) with one gain for the whole run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BackRun<TLanes, V>(Real* x, Real* dy, Real* dx, Real mean, Real rstd, Real gain, Real shift, Real slope, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = BackRunPart<TLanes, V>(x, dy, dx, mean, rstd, gain, shift, slope, 0, n);
        if (i < n) BackRunPart<Lanes1, Real>(x, dy, dx, mean, rstd, gain, shift, slope, i, n);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int BackRunPart<TLanes, V>(Real* x, Real* dy, Real* dx, Real mean, Real rstd, Real gain, Real shift, Real slope, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V m = TLanes.Set(mean), s = TLanes.Set(rstd), g = TLanes.Set(gain), c = TLanes.Set(-shift), e = TLanes.Set(-slope * rstd);
        for (; i <= n - w; i += w)
        {
            V inner = TLanes.Fma(TLanes.Load(dy + i), g, TLanes.Fma(TLanes.Sub(TLanes.Load(x + i), m), e, c));
            TLanes.Store(dx + i, TLanes.Fma(inner, s, TLanes.Load(dx + i)));
        }
        return i;
    }
}
