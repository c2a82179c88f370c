using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>
/// Elementary functions on lanes. A NaN stays a NaN: where a bound is applied the bound is the first operand of Min and Max, which then
/// return the second one if it is NaN.
/// </summary>
internal static class Curve
{
    /// <summary>log2 e</summary>
    public const Real Log2E = (Real)1.4426950408889634;
    /// <summary>True in the build that computes in float; a constant for the JIT, not for the compiler.</summary>
    public static bool Single => typeof(Real) == typeof(float);

    /// <summary>e^x for x ≤ 80, held there; 0 where it underflows. Relative error about 1e-7·(1 + |x|).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct
        => TLanes.Exp2(TLanes.Mul(TLanes.Min(TLanes.Set(Single ? 80 : 700), x), TLanes.Set(Log2E)));

    /// <summary>1/(1 + e^−x)</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct
        => TLanes.Div(TLanes.Set(1), TLanes.Add(TLanes.Set(1), Exp<TLanes, V>(TLanes.Sub(TLanes.Set(0), x))));

    /// <summary>
    /// tanh x. Float: x·p(x²)/q(x²) up to |x| = 8.2 and ±1 from there, fitted to the least relative error (6e-9, 3e-7 after rounding).
    /// Double: (1 − e^−2|x|)/(1 + e^−2|x|), below |x| = 0.6 Lambert's continued fraction, which keeps the relative error small.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct
    {
        V one = TLanes.Set(1), s;
        if (Single)
        {
            s = TLanes.Mul(x, x);
            V p = TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Set((Real)1.5230338e-08), s, TLanes.Set((Real)2.189461e-05)), s, TLanes.Set((Real)0.0035715951)), s, TLanes.Set((Real)0.13444495)), s, one);
            V q = TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Fma(TLanes.Set((Real)8.5224156e-07), s, TLanes.Set((Real)0.00034112870)), s, TLanes.Set((Real)0.026164431)), s, TLanes.Set((Real)0.46777824)), s, one);
            V fit = TLanes.Div(TLanes.Mul(x, p), q), end = TLanes.Set((Real)8.2), minus = TLanes.Set((Real)(-8.2));
            return TLanes.IfLess(end, x, one, TLanes.IfLess(x, minus, TLanes.Set(-1), fit));
        }
        V size = TLanes.Abs(x), t = Exp<TLanes, V>(TLanes.Mul(TLanes.Set(-2), size)), below = TLanes.Set(19);
        s = TLanes.Mul(x, x);
        for (int odd = 17; odd >= 1; odd -= 2) below = TLanes.Add(TLanes.Set(odd), TLanes.Div(s, below));
        V y = TLanes.IfLess(size, TLanes.Set((Real)0.6), TLanes.Div(size, below), TLanes.Div(TLanes.Sub(one, t), TLanes.Add(one, t)));
        return TLanes.IfLess(x, TLanes.Set(0), TLanes.Sub(TLanes.Set(0), y), y);
    }

    /// <summary>2/35, 2/33 … 2/1: the series of 2 artanh.</summary>
    static ReadOnlySpan<Real> Artanh => [(Real)2 / 35, (Real)2 / 33, (Real)2 / 31, (Real)2 / 29, (Real)2 / 27, (Real)2 / 25, (Real)2 / 23, (Real)2 / 21, (Real)2 / 19, (Real)2 / 17, (Real)2 / 15, (Real)2 / 13, (Real)2 / 11, (Real)2 / 9, (Real)2 / 7, (Real)2 / 5, (Real)2 / 3, 2];

    /// <summary>Coefficients of <see cref="Log1P"/> in float.</summary>
    internal const Real L0 = (Real)2.00000000792, L1 = (Real)0.66666314712, L2 = (Real)0.40024909531, L3 = (Real)0.27960607575, L4 = (Real)0.28178332677;
    /// <summary>
    /// log(1 + t) for 0 ≤ t ≤ 1: 2 artanh z, z = t/(2 + t) ≤ 1/3. Float: z·p(z²), p of degree 4 fitted to the least relative error (4e-9 before rounding). Double: the series.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log1P<TLanes, V>(V t) where TLanes : struct, ILanes<V> where V : struct
    {
        V z = TLanes.Div(t, TLanes.Add(t, TLanes.Set(2))), s = TLanes.Mul(z, z), p;
        if (Single)
        {
            p = TLanes.Fma(TLanes.Set(L4), s, TLanes.Set(L3));
            p = TLanes.Fma(p, s, TLanes.Set(L2));
            p = TLanes.Fma(p, s, TLanes.Set(L1));
            return TLanes.Mul(TLanes.Fma(p, s, TLanes.Set(L0)), z);
        }
        p = TLanes.Set(Artanh[0]);
        for (int i = 1; i < Artanh.Length; i++) p = TLanes.Fma(p, s, TLanes.Set(Artanh[i]));
        return TLanes.Mul(p, z);
    }

    /// <summary>
    /// Φ(x), the normal distribution function. Float: ½ erfc(−x/√2) by the Chebyshev fit erfcc of Numerical Recipes (§6.2), relative error of erfc 1.2e-7
    /// plus rounding, so absolute error of Φ below 2e-7. Double: the series erf z = 2/√π e^(−z²) Σ 2ⁿ z^(2n+1)/(2n+1)!!, absolute error 1e-15.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Normal<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct
    {
        V one = TLanes.Set(1), half = TLanes.Set((Real)0.5);
        V z = TLanes.Mul(TLanes.Min(TLanes.Set(30), TLanes.Abs(x)), TLanes.Set((Real)0.70710678118654752));
        V tail;
        if (Single)
        {
            V t = TLanes.Div(one, TLanes.Fma(half, z, one));
            V p = TLanes.Fma(TLanes.Set((Real)0.17087277), t, TLanes.Set((Real)(-0.82215223)));
            p = TLanes.Fma(p, t, TLanes.Set((Real)1.48851587)); p = TLanes.Fma(p, t, TLanes.Set((Real)(-1.13520398)));
            p = TLanes.Fma(p, t, TLanes.Set((Real)0.27886807)); p = TLanes.Fma(p, t, TLanes.Set((Real)(-0.18628806)));
            p = TLanes.Fma(p, t, TLanes.Set((Real)0.09678418)); p = TLanes.Fma(p, t, TLanes.Set((Real)0.37409196));
            p = TLanes.Fma(p, t, TLanes.Set((Real)1.00002368)); p = TLanes.Fma(p, t, TLanes.Set((Real)(-1.26551223)));
            tail = TLanes.Mul(TLanes.Mul(half, t), Exp<TLanes, V>(TLanes.Sub(p, TLanes.Mul(z, z))));
        }
        else
        {
            z = TLanes.Min(TLanes.Set(6), z);
            V s = TLanes.Mul(TLanes.Set(2), TLanes.Mul(z, z)), term = z, sum = z;
            for (int n = 1; n <= 150; n++) { term = TLanes.Mul(term, TLanes.Mul(s, TLanes.Set((Real)1 / (2 * n + 1)))); sum = TLanes.Add(sum, term); }
            V erf = TLanes.Mul(TLanes.Mul(sum, TLanes.Set((Real)1.1283791670955126)), Exp<TLanes, V>(TLanes.Sub(TLanes.Set(0), TLanes.Mul(z, z))));
            tail = TLanes.Mul(half, TLanes.Sub(one, erf));
        }
        return TLanes.IfLess(x, TLanes.Set(0), tail, TLanes.Sub(one, tail));
    }

    /// <summary>e^x over the whole range of the type, by the runtime; slower than <see cref="Exp"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V FullExp<V>(V x) where V : struct
    {
        if (typeof(V) == typeof(Vector512<Real>)) return Unsafe.BitCast<Vector512<Real>, V>(Vector512.Exp(Unsafe.BitCast<V, Vector512<Real>>(x)));
        if (typeof(V) == typeof(Vector256<Real>)) return Unsafe.BitCast<Vector256<Real>, V>(Vector256.Exp(Unsafe.BitCast<V, Vector256<Real>>(x)));
        if (typeof(V) == typeof(Vector128<Real>)) return Unsafe.BitCast<Vector128<Real>, V>(Vector128.Exp(Unsafe.BitCast<V, Vector128<Real>>(x)));
        return Unsafe.BitCast<Real, V>(Real.Exp(Unsafe.BitCast<V, Real>(x)));
    }

    /// <summary>log x: −∞ at 0, NaN below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log<V>(V x) where V : struct
    {
        if (typeof(V) == typeof(Vector512<Real>)) return Unsafe.BitCast<Vector512<Real>, V>(Vector512.Log(Unsafe.BitCast<V, Vector512<Real>>(x)));
        if (typeof(V) == typeof(Vector256<Real>)) return Unsafe.BitCast<Vector256<Real>, V>(Vector256.Log(Unsafe.BitCast<V, Vector256<Real>>(x)));
        if (typeof(V) == typeof(Vector128<Real>)) return Unsafe.BitCast<Vector128<Real>, V>(Vector128.Log(Unsafe.BitCast<V, Vector128<Real>>(x)));
        return Unsafe.BitCast<Real, V>(Real.Log(Unsafe.BitCast<V, Real>(x)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sin<V>(V x) where V : struct
    {
        if (typeof(V) == typeof(Vector512<Real>)) return Unsafe.BitCast<Vector512<Real>, V>(Vector512.Sin(Unsafe.BitCast<V, Vector512<Real>>(x)));
        if (typeof(V) == typeof(Vector256<Real>)) return Unsafe.BitCast<Vector256<Real>, V>(Vector256.Sin(Unsafe.BitCast<V, Vector256<Real>>(x)));
        if (typeof(V) == typeof(Vector128<Real>)) return Unsafe.BitCast<Vector128<Real>, V>(Vector128.Sin(Unsafe.BitCast<V, Vector128<Real>>(x)));
        return Unsafe.BitCast<Real, V>(Real.Sin(Unsafe.BitCast<V, Real>(x)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Cos<V>(V x) where V : struct
    {
        if (typeof(V) == typeof(Vector512<Real>)) return Unsafe.BitCast<Vector512<Real>, V>(Vector512.Cos(Unsafe.BitCast<V, Vector512<Real>>(x)));
        if (typeof(V) == typeof(Vector256<Real>)) return Unsafe.BitCast<Vector256<Real>, V>(Vector256.Cos(Unsafe.BitCast<V, Vector256<Real>>(x)));
        if (typeof(V) == typeof(Vector128<Real>)) return Unsafe.BitCast<Vector128<Real>, V>(Vector128.Cos(Unsafe.BitCast<V, Vector128<Real>>(x)));
        return Unsafe.BitCast<Real, V>(Real.Cos(Unsafe.BitCast<V, Real>(x)));
    }
}
