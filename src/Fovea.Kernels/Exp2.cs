using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>
/// 2^x for the softmax range. Float: x = n + f with n the nearest integer (found by adding a number so large that what is below 1 is rounded away), a degree-5 polynomial on |f| ≤ ½ (error 9e-8 before rounding,
/// at most 1.7e-7 after; exactly 1 at 0), times 2^n made by writing n into the exponent bits. Below −126 the result is 0, at 127.5 and above it is ∞.
/// Double: exp(x ln 2) from the runtime; used only where gradients are checked.
/// </summary>
public static class FastExp2
{
    internal const float C1 = 0.693146978f, C2 = 0.240222421f, C3 = 0.0555073374f, C4 = 0.00967151269f, C5 = 0.00132647272f;
    /// <summary>Added to a number it leaves the nearest whole number, plus the bias of the exponent, in its lowest bits; <see cref="ILanes{V}.Raise"/> shifts them to where a float has its exponent.</summary>
    internal const float Magic = (3 << 22) + 127;
    const double Ln2 = 0.6931471805599453;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        x = Vector512.MinNative(Vector512.Create(128f), Vector512.MaxNative(Vector512.Create(-127f), x));   // the operand order keeps a NaN
        var z = x + Vector512.Create(Magic); var f = x - (z - Vector512.Create(Magic));
        var p = Vector512.MultiplyAddEstimate(Vector512.Create(C5), f, Vector512.Create(C4)); p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C3));
        p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C2)); p = Vector512.MultiplyAddEstimate(p, f, Vector512.Create(C1));
        p = Vector512.MultiplyAddEstimate(p, f, Vector512<float>.One);
        return p * Raise(z);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Raise(Vector512<float> z) => (z.AsInt32() << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<double> Raise(Vector512<double> z) => (z.AsInt64() << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<double> Of(Vector512<double> x) => Vector512.Exp(x * Vector512.Create(Ln2));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Of(Vector256<float> x)
    {
        x = Vector256.MinNative(Vector256.Create(128f), Vector256.MaxNative(Vector256.Create(-127f), x));   // the operand order keeps a NaN
        var z = x + Vector256.Create(Magic); var f = x - (z - Vector256.Create(Magic));
        var p = Vector256.MultiplyAddEstimate(Vector256.Create(C5), f, Vector256.Create(C4)); p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C3));
        p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C2)); p = Vector256.MultiplyAddEstimate(p, f, Vector256.Create(C1));
        p = Vector256.MultiplyAddEstimate(p, f, Vector256<float>.One);
        return p * Raise(z);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Raise(Vector256<float> z) => (z.AsInt32() << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<double> Raise(Vector256<double> z) => (z.AsInt64() << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Of(Vector256<double> x) => Vector256.Exp(x * Vector256.Create(Ln2));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Of(Vector128<float> x)
    {
        x = Vector128.MinNative(Vector128.Create(128f), Vector128.MaxNative(Vector128.Create(-127f), x));   // the operand order keeps a NaN
        var z = x + Vector128.Create(Magic); var f = x - (z - Vector128.Create(Magic));
        var p = Vector128.MultiplyAddEstimate(Vector128.Create(C5), f, Vector128.Create(C4)); p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C3));
        p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C2)); p = Vector128.MultiplyAddEstimate(p, f, Vector128.Create(C1));
        p = Vector128.MultiplyAddEstimate(p, f, Vector128<float>.One);
        return p * Raise(z);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<float> Raise(Vector128<float> z) => (z.AsInt32() << 23).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<double> Raise(Vector128<double> z) => (z.AsInt64() << 52).AsDouble();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<double> Of(Vector128<double> x) => Vector128.Exp(x * Vector128.Create(Ln2));
    public static float Of(float x)
    {
        if (!(x >= -127f)) return float.IsNaN(x) ? x : 0;
        if (x > 127.4f) return float.PositiveInfinity;
        float n = MathF.Floor(x + 0.5f), f = x - n;
        float p = ((((C5 * f + C4) * f + C3) * f + C2) * f + C1) * f + 1;
        return p * BitConverter.Int32BitsToSingle(((int)n + 127) << 23);
    }
    internal static float Raise(float z) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(z) << 23);
    internal static double Raise(double z) => BitConverter.Int64BitsToDouble(BitConverter.DoubleToInt64Bits(z) << 52);
    public static double Of(double x) => Math.Exp(x * Ln2);

    /// <summary>As the others for lanes that have no more of their own: float, in lane operations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Steps<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct
    {
        V magic = TLanes.Set((Real)Magic);
        x = TLanes.Min(TLanes.Set(128), TLanes.Max(TLanes.Set(-127), x));
        V z = TLanes.Add(x, magic), f = TLanes.Sub(x, TLanes.Sub(z, magic)), p = TLanes.Fma(TLanes.Set((Real)C5), f, TLanes.Set((Real)C4));
        p = TLanes.Fma(p, f, TLanes.Set((Real)C3)); p = TLanes.Fma(p, f, TLanes.Set((Real)C2));
        return TLanes.Mul(TLanes.Fma(TLanes.Fma(p, f, TLanes.Set((Real)C1)), f, TLanes.Set(1)), TLanes.Raise(z));
    }

    /// <summary>
    /// Four registers at once, none above 127, step by step: one after the other, each would wait in the processor's queues for its own chain of a dozen operations.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Four<TLanes, V>(ref V a, ref V b, ref V c, ref V d) where TLanes : struct, ILanes<V> where V : struct
    {
        if (typeof(Real) == typeof(double)) { a = TLanes.Exp2(a); b = TLanes.Exp2(b); c = TLanes.Exp2(c); d = TLanes.Exp2(d); return; }
        V low = TLanes.Set(-127), magic = TLanes.Set((Real)Magic);
        a = TLanes.Max(low, a); b = TLanes.Max(low, b); c = TLanes.Max(low, c); d = TLanes.Max(low, d);
        V k = TLanes.Add(a, magic), l = TLanes.Add(b, magic), m = TLanes.Add(c, magic), n = TLanes.Add(d, magic);
        a = TLanes.Sub(a, TLanes.Sub(k, magic)); b = TLanes.Sub(b, TLanes.Sub(l, magic)); c = TLanes.Sub(c, TLanes.Sub(m, magic)); d = TLanes.Sub(d, TLanes.Sub(n, magic));
        V x = TLanes.Set((Real)C4), y = TLanes.Set((Real)C5);
        V p = TLanes.Fma(y, a, x), q = TLanes.Fma(y, b, x), r = TLanes.Fma(y, c, x), s = TLanes.Fma(y, d, x);
        x = TLanes.Set((Real)C3); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set((Real)C2); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set((Real)C1); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        x = TLanes.Set(1); p = TLanes.Fma(p, a, x); q = TLanes.Fma(q, b, x); r = TLanes.Fma(r, c, x); s = TLanes.Fma(s, d, x);
        a = TLanes.Mul(p, TLanes.Raise(k)); b = TLanes.Mul(q, TLanes.Raise(l)); c = TLanes.Mul(r, TLanes.Raise(m)); d = TLanes.Mul(s, TLanes.Raise(n));
    }
}
