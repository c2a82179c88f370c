using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Products of a panel of weights with two registers of positions, whose numbers for each tap lie at given distances.</summary>
static unsafe class PointLoops
{
    /// <summary>Outputs of a panel: twelve sums, two loads and a weight fill sixteen registers.</summary>
    public const int Down = 6;

    /// <summary>y[r,·] = start[r] + (add ? y : 0) + Σ_t a[t,r]·b[at[t] + ·] for the first rows of the panel; y's rows are ldy apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Tile<TLanes, V>(int rows, Real* a, Real* left, Real* right, nint* at, int taps, Real* start, Real* yLeft, Real* yRight, nint ldy, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        if (rows > 4) Six<TLanes, V>(rows, a, left, right, at, taps, start, yLeft, yRight, ldy, add);
        else Four<TLanes, V>(rows, a, left, right, at, taps, start, yLeft, yRight, ldy, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Six<TLanes, V>(int rows, Real* a, Real* left, Real* right, nint* at, int taps, Real* start, Real* yl, Real* yr, nint ldy, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(start[0]), l1 = TLanes.Set(start[1]), l2 = TLanes.Set(start[2]), l3 = TLanes.Set(start[3]), l4 = TLanes.Set(start[4]), l5 = TLanes.Set(start[5]), r0 = l0, r1 = l1, r2 = l2, r3 = l3, r4 = l4, r5 = l5;
        for (nint* end = at + taps; at < end; at++, a += Down)
        {
            V u = TLanes.Load(left + *at), v = TLanes.Load(right + *at), x;
            x = TLanes.Set(a[0]); l0 = TLanes.Fma(x, u, l0); r0 = TLanes.Fma(x, v, r0);
            x = TLanes.Set(a[1]); l1 = TLanes.Fma(x, u, l1); r1 = TLanes.Fma(x, v, r1);
            x = TLanes.Set(a[2]); l2 = TLanes.Fma(x, u, l2); r2 = TLanes.Fma(x, v, r2);
            x = TLanes.Set(a[3]); l3 = TLanes.Fma(x, u, l3); r3 = TLanes.Fma(x, v, r3);
            x = TLanes.Set(a[4]); l4 = TLanes.Fma(x, u, l4); r4 = TLanes.Fma(x, v, r4);
            x = TLanes.Set(a[5]); l5 = TLanes.Fma(x, u, l5); r5 = TLanes.Fma(x, v, r5);
        }
        Put<TLanes, V>(yl, yr, l0, r0, add); Put<TLanes, V>(yl + ldy, yr + ldy, l1, r1, add); Put<TLanes, V>(yl + 2 * ldy, yr + 2 * ldy, l2, r2, add);
        Put<TLanes, V>(yl + 3 * ldy, yr + 3 * ldy, l3, r3, add); Put<TLanes, V>(yl + 4 * ldy, yr + 4 * ldy, l4, r4, add);
        if (rows > 5) Put<TLanes, V>(yl + 5 * ldy, yr + 5 * ldy, l5, r5, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Four<TLanes, V>(int rows, Real* a, Real* left, Real* right, nint* at, int taps, Real* start, Real* yl, Real* yr, nint ldy, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(start[0]), l1 = TLanes.Set(start[1]), l2 = TLanes.Set(start[2]), l3 = TLanes.Set(start[3]), r0 = l0, r1 = l1, r2 = l2, r3 = l3;
        for (nint* end = at + taps; at < end; at++, a += Down)
        {
            V u = TLanes.Load(left + *at), v = TLanes.Load(right + *at), x;
            x = TLanes.Set(a[0]); l0 = TLanes.Fma(x, u, l0); r0 = TLanes.Fma(x, v, r0);
            x = TLanes.Set(a[1]); l1 = TLanes.Fma(x, u, l1); r1 = TLanes.Fma(x, v, r1);
            x = TLanes.Set(a[2]); l2 = TLanes.Fma(x, u, l2); r2 = TLanes.Fma(x, v, r2);
            x = TLanes.Set(a[3]); l3 = TLanes.Fma(x, u, l3); r3 = TLanes.Fma(x, v, r3);
        }
        Put<TLanes, V>(yl, yr, l0, r0, add);
        if (rows > 1) Put<TLanes, V>(yl + ldy, yr + ldy, l1, r1, add);
        if (rows > 2) Put<TLanes, V>(yl + 2 * ldy, yr + 2 * ldy, l2, r2, add);
        if (rows > 3) Put<TLanes, V>(yl + 3 * ldy, yr + 3 * ldy, l3, r3, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<TLanes, V>(Real* yl, Real* yr, V l, V r, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        if (add) { l = TLanes.Add(l, TLanes.Load(yl)); r = TLanes.Add(r, TLanes.Load(yr)); }
        TLanes.Store(yl, l); TLanes.Store(yr, r);
    }
}
