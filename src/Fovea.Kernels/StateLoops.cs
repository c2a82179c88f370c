using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Loops over a state S [dim, width] that the recurrences share; each goes over the state once.</summary>
internal static unsafe class StateLoops
{
    /// <summary>o = q S; the sums stay in registers.</summary>
    public static void Read<TLanes, V>(Real* q, Real* s, Real* o, int dim, int width) where TLanes : struct, ILanes<V> where V : struct => Panel.Product<TLanes, V>(q, dim, 1, s, width, o, width, 1, dim, width, false);

    /// <summary>The adjoint of <see cref="Read"/>: dq += dO Sᵀ, dS += qᵀ dO.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ReadBack<TLanes, V>(Real* dO, Real* s, Real* ds, Real* q, Real* dq, int dim, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int d = 0; d < dim; d++, s += width, ds += width)
        {
            V x = TLanes.Set(q[d]), sum = TLanes.Set(0); Real rest = 0; int i = 0;
            for (; i <= width - w; i += w) { V g = TLanes.Load(dO + i); sum = TLanes.Fma(g, TLanes.Load(s + i), sum); TLanes.Store(ds + i, TLanes.Fma(x, g, TLanes.Load(ds + i))); }
            for (; i < width; i++) { rest += dO[i] * s[i]; ds[i] += q[d] * dO[i]; }
            dq[d] += TLanes.Sum(sum) + rest;
        }
    }

    /// <summary>x takes the state s, which becomes a s + x: n numbers of a state pass a chunk.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Swap<TLanes, V>(Real* x, Real* s, Real a, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0; V keep = TLanes.Set(a);
        for (; i <= n - w; i += w) { V old = TLanes.Load(s + i); TLanes.Store(s + i, TLanes.Fma(keep, old, TLanes.Load(x + i))); TLanes.Store(x + i, old); }
        for (; i < n; i++) { Real old = s[i]; s[i] = a * old + x[i]; x[i] = old; }
    }

    /// <summary>S = Diag(a) S + kᵀ v; with step 0 there is one a for all rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Write<TLanes, V>(Real* s, Real* a, int step, Real* k, Real* v, int dim, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int d = 0; d < dim; d++, s += width, a += step)
        {
            V keep = TLanes.Set(*a), x = TLanes.Set(k[d]); int i = 0;
            for (; i <= width - w; i += w) TLanes.Store(s + i, TLanes.Fma(keep, TLanes.Load(s + i), TLanes.Mul(x, TLanes.Load(v + i))));
            for (; i < width; i++) s[i] = *a * s[i] + k[d] * v[i];
        }
    }

    /// <summary>The adjoint of <see cref="Write"/> with one a per row: da += dS∘S, dk += dS vᵀ, dv += k dS, then dS = Diag(a) dS.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WriteBack<TLanes, V>(Real* ds, Real* s, Real* a, Real* k, Real* v, Real* da, Real* dk, Real* dv, int dim, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int d = 0; d < dim; d++, s += width, ds += width)
        {
            V keep = TLanes.Set(a[d]), x = TLanes.Set(k[d]), withV = TLanes.Set(0), withS = withV; Real restV = 0, restS = 0; int i = 0;
            for (; i <= width - w; i += w)
            {
                V g = TLanes.Load(ds + i);
                withV = TLanes.Fma(g, TLanes.Load(v + i), withV); withS = TLanes.Fma(g, TLanes.Load(s + i), withS);
                TLanes.Store(dv + i, TLanes.Fma(x, g, TLanes.Load(dv + i))); TLanes.Store(ds + i, TLanes.Mul(keep, g));
            }
            for (; i < width; i++) { restV += ds[i] * v[i]; restS += ds[i] * s[i]; dv[i] += k[d] * ds[i]; ds[i] *= a[d]; }
            dk[d] += TLanes.Sum(withV) + restV; da[d] += TLanes.Sum(withS) + restS;
        }
    }

    /// <summary>dk += dS wᵀ + S duᵀ, then dS = a dS + kᵀ du.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void CorrectBack<TLanes, V>(Real* ds, Real* s, Real a, Real* k, Real* w, Real* du, Real* dk, int dim, int width) where TLanes : struct, ILanes<V> where V : struct
    {
        int lanes = TLanes.Count; V keep = TLanes.Set(a);
        for (int d = 0; d < dim; d++, s += width, ds += width)
        {
            V x = TLanes.Set(k[d]), one = TLanes.Set(0), two = one; Real rest = 0; int i = 0;
            for (; i <= width - lanes; i += lanes)
            {
                V g = TLanes.Load(ds + i), u = TLanes.Load(du + i);
                one = TLanes.Fma(g, TLanes.Load(w + i), one); two = TLanes.Fma(u, TLanes.Load(s + i), two);
                TLanes.Store(ds + i, TLanes.Fma(keep, g, TLanes.Mul(x, u)));
            }
            for (; i < width; i++) { rest += ds[i] * w[i] + s[i] * du[i]; ds[i] = a * ds[i] + k[d] * du[i]; }
            dk[d] += TLanes.Sum(TLanes.Add(one, two)) + rest;
        }
    }
}
