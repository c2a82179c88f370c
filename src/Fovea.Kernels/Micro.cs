using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
namespace Fovea.Kernels;

/// <summary>
/// The products that everything dense is made of: a tile C of some rows × two registers gets A·B, where A is read one number at a time with
/// any strides and B two registers per step of k. The tile stays in registers until the end, so its height is what the register file allows:
/// 12 rows (24 accumulators) with 32 registers, 6 rows (12) with 16. The other heights serve the remainders.
/// </summary>
static unsafe class Micro
{
    /// <summary>Rows of the tallest tile for this register type.</summary>
    public static int Rows<V>() => typeof(V) == typeof(Vector512<Real>) || typeof(V) == typeof(Vector128<Real>) && ArmBase.Arm64.IsSupported ? 12 : 6;

    /// <summary>c[r·cs + n] = (add ? c : 0) + Σ_k a[r·ars + k·aks]·b[k·bs + n] for r below rows, n below two registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Tile<TLanes, V>(Real* a, nint ars, nint aks, int rows, Real* b, nint bs, Real* c, nint cs, nint k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        if (rows == 6) K6<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, 1, 0, 0, 0);
        else if (Rows<V>() == 12 && rows == 12) K12<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, 1, 0, 0, 0);
        else Rest<TLanes, V>(a, ars, aks, rows, b, bs, c, cs, k, add);
    }

    /// <summary>As <see cref="Tile"/> for any number of rows: whole groups of the tallest tile in one call, then what is left. With several pieces, k steps follow each other in memory in each; from the end of one to the next a and b jump.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Column<TLanes, V>(Real* a, nint ars, nint aks, int rows, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        int tall = Rows<V>(), groups = rows / tall;
        // Eight rows at the end are better done as two tiles of four than as six and two.
        if (tall == 6 && groups > 0 && rows % 6 == 2) groups--;
        int done = groups * tall;
        if (groups > 0) { if (tall == 12) K12<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, groups, 12 * ars, 0, 12 * cs, 0, pieces, aJump, bJump); else K6<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, groups, 6 * ars, 0, 6 * cs, 0, pieces, aJump, bJump); }
        if (done < rows) Rest<TLanes, V>(a + done * ars, ars, aks, rows - done, b, bs, c + done * cs, cs, k, add, pieces, aJump, bJump);
    }

    /// <summary>As <see cref="Tile"/> for several tiles side by side in c, whose b stand bStep apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Across<TLanes, V>(Real* a, nint ars, nint aks, int rows, Real* b, nint bs, nint bStep, Real* c, nint cs, int tiles, nint k, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count;
        if (rows == 6) K6<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, tiles, 0, bStep, wide);
        else if (Rows<V>() == 12 && rows == 12) K12<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, tiles, 0, bStep, wide);
        else for (; tiles > 0; tiles--, b += bStep, c += wide) Rest<TLanes, V>(a, ars, aks, rows, b, bs, c, cs, k, add);
    }

    /// <summary>As <see cref="Column"/> on whole groups of the tallest tile; from group to group k grows by more, or its first steps are left out if more &lt; 0: products with a triangle.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Stairs<TLanes, V>(Real* a, nint ars, nint aks, int groups, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint more) where TLanes : struct, ILanes<V> where V : struct
    {
        int tall = Rows<V>(); nint skip = Math.Max(0, -more);
        if (tall == 12) K12<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, groups, tall * ars + skip * aks, skip * bs, tall * cs, more);
        else K6<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, groups, tall * ars + skip * aks, skip * bs, tall * cs, more);
    }

    static void Rest<TLanes, V>(Real* a, nint ars, nint aks, int rows, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int done; rows > 0; rows -= done, a += done * ars, c += done * cs)
        {
            if (rows >= 12 && Rows<V>() == 12) { K12<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, 1, 0, 0, 0, 0, pieces, aJump, bJump); done = 12; }
            else if (rows >= 8 && Rows<V>() == 12) { K8<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, pieces, aJump, bJump); done = 8; }
            else if (rows >= 6 && rows != 8) { K6<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, 1, 0, 0, 0, 0, pieces, aJump, bJump); done = 6; }
            else if (rows >= 4) { K4<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, pieces, aJump, bJump); done = 4; }
            else if (rows >= 2) { K2<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, pieces, aJump, bJump); done = 2; }
            else { K1<TLanes, V>(a, ars, aks, b, bs, c, cs, k, add, pieces, aJump, bJump); done = 1; }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<TLanes, V>(Real* c, V left, V right, bool add) where TLanes : struct, ILanes<V> where V : struct
    {
        if (add) { left = TLanes.Add(left, TLanes.Load(c)); right = TLanes.Add(right, TLanes.Load(c + TLanes.Count)); }
        TLanes.Store(c, left); TLanes.Store(c + TLanes.Count, right);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K12<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, int groups, nint aStep, nint bStep, nint cStep, nint more = 0, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; groups > 0; groups--, a += aStep, b += bStep, c += cStep, k += more)
        {
            V l0 = TLanes.Set(0), l1 = l0, l2 = l0, l3 = l0, l4 = l0, l5 = l0, l6 = l0, l7 = l0, l8 = l0, l9 = l0, l10 = l0, l11 = l0, r0 = l0, r1 = l0, r2 = l0, r3 = l0, r4 = l0, r5 = l0, r6 = l0, r7 = l0, r8 = l0, r9 = l0, r10 = l0, r11 = l0;
            Real* p0 = a, p1 = a + 3 * ars, p2 = a + 6 * ars, p3 = a + 9 * ars;
            Real* at = b;
            for (nint y0 = pieces; y0 > 0; y0--, at += bJump, p0 += aJump, p1 += aJump, p2 += aJump, p3 += aJump)
                for (nint x0 = k; x0 > 0; x0--, at += bs, p0 += aks, p1 += aks, p2 += aks, p3 += aks)
                {
                    V b0 = TLanes.Load(at), b1 = TLanes.Load(at + TLanes.Count), x;
                    x = TLanes.Set(*p0); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
                    x = TLanes.Set(p0[ars]); l1 = TLanes.Fma(x, b0, l1); r1 = TLanes.Fma(x, b1, r1);
                    x = TLanes.Set(p0[2 * ars]); l2 = TLanes.Fma(x, b0, l2); r2 = TLanes.Fma(x, b1, r2);
                    x = TLanes.Set(*p1); l3 = TLanes.Fma(x, b0, l3); r3 = TLanes.Fma(x, b1, r3);
                    x = TLanes.Set(p1[ars]); l4 = TLanes.Fma(x, b0, l4); r4 = TLanes.Fma(x, b1, r4);
                    x = TLanes.Set(p1[2 * ars]); l5 = TLanes.Fma(x, b0, l5); r5 = TLanes.Fma(x, b1, r5);
                    x = TLanes.Set(*p2); l6 = TLanes.Fma(x, b0, l6); r6 = TLanes.Fma(x, b1, r6);
                    x = TLanes.Set(p2[ars]); l7 = TLanes.Fma(x, b0, l7); r7 = TLanes.Fma(x, b1, r7);
                    x = TLanes.Set(p2[2 * ars]); l8 = TLanes.Fma(x, b0, l8); r8 = TLanes.Fma(x, b1, r8);
                    x = TLanes.Set(*p3); l9 = TLanes.Fma(x, b0, l9); r9 = TLanes.Fma(x, b1, r9);
                    x = TLanes.Set(p3[ars]); l10 = TLanes.Fma(x, b0, l10); r10 = TLanes.Fma(x, b1, r10);
                    x = TLanes.Set(p3[2 * ars]); l11 = TLanes.Fma(x, b0, l11); r11 = TLanes.Fma(x, b1, r11);
                }
            Real* to = c;
            Put<TLanes, V>(to, l0, r0, add); to += cs;
            Put<TLanes, V>(to, l1, r1, add); to += cs;
            Put<TLanes, V>(to, l2, r2, add); to += cs;
            Put<TLanes, V>(to, l3, r3, add); to += cs;
            Put<TLanes, V>(to, l4, r4, add); to += cs;
            Put<TLanes, V>(to, l5, r5, add); to += cs;
            Put<TLanes, V>(to, l6, r6, add); to += cs;
            Put<TLanes, V>(to, l7, r7, add); to += cs;
            Put<TLanes, V>(to, l8, r8, add); to += cs;
            Put<TLanes, V>(to, l9, r9, add); to += cs;
            Put<TLanes, V>(to, l10, r10, add); to += cs;
            Put<TLanes, V>(to, l11, r11, add);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K8<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(0), l1 = l0, l2 = l0, l3 = l0, l4 = l0, l5 = l0, l6 = l0, l7 = l0, r0 = l0, r1 = l0, r2 = l0, r3 = l0, r4 = l0, r5 = l0, r6 = l0, r7 = l0;
        Real* p1 = a + 3 * ars, p2 = a + 6 * ars;
        for (; pieces > 0; pieces--, b += bJump, a += aJump, p1 += aJump, p2 += aJump)
            for (nint x0 = k; x0 > 0; x0--, b += bs, a += aks, p1 += aks, p2 += aks)
            {
                V b0 = TLanes.Load(b), b1 = TLanes.Load(b + TLanes.Count), x;
                x = TLanes.Set(*a); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
                x = TLanes.Set(a[ars]); l1 = TLanes.Fma(x, b0, l1); r1 = TLanes.Fma(x, b1, r1);
                x = TLanes.Set(a[2 * ars]); l2 = TLanes.Fma(x, b0, l2); r2 = TLanes.Fma(x, b1, r2);
                x = TLanes.Set(*p1); l3 = TLanes.Fma(x, b0, l3); r3 = TLanes.Fma(x, b1, r3);
                x = TLanes.Set(p1[ars]); l4 = TLanes.Fma(x, b0, l4); r4 = TLanes.Fma(x, b1, r4);
                x = TLanes.Set(p1[2 * ars]); l5 = TLanes.Fma(x, b0, l5); r5 = TLanes.Fma(x, b1, r5);
                x = TLanes.Set(*p2); l6 = TLanes.Fma(x, b0, l6); r6 = TLanes.Fma(x, b1, r6);
                x = TLanes.Set(p2[ars]); l7 = TLanes.Fma(x, b0, l7); r7 = TLanes.Fma(x, b1, r7);
            }
        Put<TLanes, V>(c, l0, r0, add); c += cs;
        Put<TLanes, V>(c, l1, r1, add); c += cs;
        Put<TLanes, V>(c, l2, r2, add); c += cs;
        Put<TLanes, V>(c, l3, r3, add); c += cs;
        Put<TLanes, V>(c, l4, r4, add); c += cs;
        Put<TLanes, V>(c, l5, r5, add); c += cs;
        Put<TLanes, V>(c, l6, r6, add); c += cs;
        Put<TLanes, V>(c, l7, r7, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K6<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, int groups, nint aStep, nint bStep, nint cStep, nint more = 0, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        for (; groups > 0; groups--, a += aStep, b += bStep, c += cStep, k += more)
        {
            V l0 = TLanes.Set(0), l1 = l0, l2 = l0, l3 = l0, l4 = l0, l5 = l0, r0 = l0, r1 = l0, r2 = l0, r3 = l0, r4 = l0, r5 = l0;
            Real* p0 = a, p1 = a + 3 * ars;
            Real* at = b;
            for (nint y0 = pieces; y0 > 0; y0--, at += bJump, p0 += aJump, p1 += aJump)
                for (nint x0 = k; x0 > 0; x0--, at += bs, p0 += aks, p1 += aks)
                {
                    V b0 = TLanes.Load(at), b1 = TLanes.Load(at + TLanes.Count), x;
                    x = TLanes.Set(*p0); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
                    x = TLanes.Set(p0[ars]); l1 = TLanes.Fma(x, b0, l1); r1 = TLanes.Fma(x, b1, r1);
                    x = TLanes.Set(p0[2 * ars]); l2 = TLanes.Fma(x, b0, l2); r2 = TLanes.Fma(x, b1, r2);
                    x = TLanes.Set(*p1); l3 = TLanes.Fma(x, b0, l3); r3 = TLanes.Fma(x, b1, r3);
                    x = TLanes.Set(p1[ars]); l4 = TLanes.Fma(x, b0, l4); r4 = TLanes.Fma(x, b1, r4);
                    x = TLanes.Set(p1[2 * ars]); l5 = TLanes.Fma(x, b0, l5); r5 = TLanes.Fma(x, b1, r5);
                }
            Real* to = c;
            Put<TLanes, V>(to, l0, r0, add); to += cs;
            Put<TLanes, V>(to, l1, r1, add); to += cs;
            Put<TLanes, V>(to, l2, r2, add); to += cs;
            Put<TLanes, V>(to, l3, r3, add); to += cs;
            Put<TLanes, V>(to, l4, r4, add); to += cs;
            Put<TLanes, V>(to, l5, r5, add);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K4<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(0), l1 = l0, l2 = l0, l3 = l0, r0 = l0, r1 = l0, r2 = l0, r3 = l0;
        Real* p1 = a + 3 * ars;
        for (; pieces > 0; pieces--, b += bJump, a += aJump, p1 += aJump)
            for (nint x0 = k; x0 > 0; x0--, b += bs, a += aks, p1 += aks)
            {
                V b0 = TLanes.Load(b), b1 = TLanes.Load(b + TLanes.Count), x;
                x = TLanes.Set(*a); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
                x = TLanes.Set(a[ars]); l1 = TLanes.Fma(x, b0, l1); r1 = TLanes.Fma(x, b1, r1);
                x = TLanes.Set(a[2 * ars]); l2 = TLanes.Fma(x, b0, l2); r2 = TLanes.Fma(x, b1, r2);
                x = TLanes.Set(*p1); l3 = TLanes.Fma(x, b0, l3); r3 = TLanes.Fma(x, b1, r3);
            }
        Put<TLanes, V>(c, l0, r0, add); c += cs;
        Put<TLanes, V>(c, l1, r1, add); c += cs;
        Put<TLanes, V>(c, l2, r2, add); c += cs;
        Put<TLanes, V>(c, l3, r3, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K2<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(0), l1 = l0, r0 = l0, r1 = l0;
        for (; pieces > 0; pieces--, b += bJump, a += aJump)
            for (nint x0 = k; x0 > 0; x0--, b += bs, a += aks)
            {
                V b0 = TLanes.Load(b), b1 = TLanes.Load(b + TLanes.Count), x;
                x = TLanes.Set(*a); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
                x = TLanes.Set(a[ars]); l1 = TLanes.Fma(x, b0, l1); r1 = TLanes.Fma(x, b1, r1);
            }
        Put<TLanes, V>(c, l0, r0, add); c += cs;
        Put<TLanes, V>(c, l1, r1, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void K1<TLanes, V>(Real* a, nint ars, nint aks, Real* b, nint bs, Real* c, nint cs, nint k, bool add, nint pieces = 1, nint aJump = 0, nint bJump = 0) where TLanes : struct, ILanes<V> where V : struct
    {
        V l0 = TLanes.Set(0), r0 = l0;
        for (; pieces > 0; pieces--, b += bJump, a += aJump)
            for (nint x0 = k; x0 > 0; x0--, b += bs, a += aks)
            {
                V b0 = TLanes.Load(b), b1 = TLanes.Load(b + TLanes.Count), x;
                x = TLanes.Set(*a); l0 = TLanes.Fma(x, b0, l0); r0 = TLanes.Fma(x, b1, r0);
            }
        Put<TLanes, V>(c, l0, r0, add);
    }
}
