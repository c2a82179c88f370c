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
    const float C1 = 0.693147188f, C2 = 0.240226508f, C3 = 0.0555035711f, C4 = 0.00961808256f, C5 = 0.00133908634f, C6 = 0.000154531629f;
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
        return p * ((Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23).AsSingle();
    }
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
        return p * ((Vector256.ConvertToInt32Native(n) + Vector256.Create(127)) << 23).AsSingle();
    }
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
        return p * ((Vector128.ConvertToInt32Native(n) + Vector128.Create(127)) << 23).AsSingle();
    }
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
}
