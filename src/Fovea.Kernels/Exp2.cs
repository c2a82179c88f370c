using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>
/// 2^x for the softmax range. Float: x = n + f with n the nearest integer, a degree-6 polynomial on |f| ≤ ½ (error 5e-9 before rounding,
/// about 1e-7 after), times 2^n made by writing n into the exponent bits. Below −126 the result is 0, at 127.5 and above it is ∞.
/// Double: exp(x ln 2) from the runtime; used only where gradients are checked.
/// </summary>
public static class FastExp2
{
    internal const float C1 = 0.693147188f, C2 = 0.240226508f, C3 = 0.0555035711f, C4 = 0.00961808256f, C5 = 0.00133908634f, C6 = 0.000154531629f;
    const double Ln2 = 0.6931471805599453;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        x = Vector512.MinNative(Vector512.Create(128f), Vector512.MaxNative(Vector512.Create(-127f), x));   // the operand order keeps a NaN
        var n = Vector512.Floor(x + Vector512.Create(0.5f)); var f = x - n;
        var p = Vector512.MultiplyAddEstimate(Vector512.Create(C6), f, Vector512.Create(C5));
        p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C4)); p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C3));
        p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C2)); p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C1));
        p = Vector512.MultiplyAddEstimate(p, f, Vector512<float>.One);
        return p * Power(n);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Power(Vector512<float> n) => ((Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<double> Power(Vector512<double> n) => ((Vector512.ConvertToInt64Native(n) + Vector512.Create(1023L)) << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Of(Vector512<double> x) => Vector512.Exp(x * Vector512.Create(Ln2));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Of(Vector256<float> x)
    {
        x = Vector256.MinNative(Vector256.Create(128f), Vector256.MaxNative(Vector256.Create(-127f), x));   // the operand order keeps a NaN
        var n = Vector256.Floor(x + Vector256.Create(0.5f)); var f = x - n;
        var p = Vector256.MultiplyAddEstimate(Vector256.Create(C6), f, Vector256.Create(C5));
        p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C4)); p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C3));
        p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C2)); p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C1));
        p = Vector256.MultiplyAddEstimate(p, f, Vector256<float>.One);
        return p * Power(n);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Power(Vector256<float> n) => ((Vector256.ConvertToInt32Native(n) + Vector256.Create(127)) << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<double> Power(Vector256<double> n) => ((Vector256.ConvertToInt64Native(n) + Vector256.Create(1023L)) << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Of(Vector256<double> x) => Vector256.Exp(x * Vector256.Create(Ln2));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Of(Vector128<float> x)
    {
        x = Vector128.MinNative(Vector128.Create(128f), Vector128.MaxNative(Vector128.Create(-127f), x));   // the operand order keeps a NaN
        var n = Vector128.Floor(x + Vector128.Create(0.5f)); var f = x - n;
        var p = Vector128.MultiplyAddEstimate(Vector128.Create(C6), f, Vector128.Create(C5));
        p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C4)); p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C3));
        p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C2)); p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C1));
        p = Vector128.MultiplyAddEstimate(p, f, Vector128<float>.One);
        return p * Power(n);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<float> Power(Vector128<float> n) => ((Vector128.ConvertToInt32Native(n) + Vector128.Create(127)) << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<double> Power(Vector128<double> n) => ((Vector128.ConvertToInt64Native(n) + Vector128.Create(1023L)) << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Of(Vector128<double> x) => Vector128.Exp(x * Vector128.Create(Ln2));
    public static float Of(float x)
    {
        if (!(x >= -127f)) return float.IsNaN(x) ? x : 0;
        if (x > 127.4f) return float.PositiveInfinity;
        float n = MathF.Floor(x + 0.5f), f = x - n;
        float p = (((((C6 * f + C5) * f + C4) * f + C3) * f + C2) * f + C1) * f + 1;
        return p * BitConverter.Int32BitsToSingle(((int)n + 127) << 23);
    }
    public static double Of(double x) => Math.Exp(x * Ln2);

    /// <summary>
    /// Four registers at once, none above 127, step by step: one after the other, each would wait in the processor's queues for its own chain of a dozen operations.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Four<TLanes, V>(ref V a, ref V b, ref V c, ref V d) where TLanes : struct, ILanes<V> where V : struct
    {
        if (typeof(Real) == typeof(double)) { a = TLanes.Exp2(a); b = TLanes.Exp2(b); c = TLanes.Exp2(c); d = TLanes.Exp2(d); return; }
        V low = TLanes.Set(-127), half = TLanes.Set((Real)0.5);
        a = TLanes.Max(low, a); b = TLanes.Max(low, b); c = TLanes.Max(low, c); d = TLanes.Max(low, d);
        V k = TLanes.Floor(TLanes.Add(a, half)), l = TLanes.Floor(TLanes.Add(b, half)), m = TLanes.Floor(TLanes.Add(c, half)), n = TLanes.Floor(TLanes.Add(d, half));
        a = TLanes.Sub(a, k); b = TLanes.Sub(b, l); c = TLanes.Sub(c, m); d = TLanes.Sub(d, n);
        V x = TLanes.Set((Real)C5), y = TLanes.Set((Real)C6);
        V p = TLanes.Fma(y, a, x), q = TLanes.Fma(y, b, x), r = TLanes.Fma(y, c, x), s = TLanes.Fma(y, d, x);
        x = TLanes.Set((Real)C4); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set((Real)C3); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set((Real)C2); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set((Real)C1); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set(1); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        a = TLanes.Mul(p, TLanes.Power(k)); b = TLanes.Mul(q, TLanes.Power(l)); c = TLanes.Mul(r, TLanes.Power(m)); d = TLanes.Mul(s, TLanes.Power(n));
    }
}
