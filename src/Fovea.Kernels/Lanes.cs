using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>
/// The few vector operations that the kernels are made of, for one register width. A kernel is written once as a generic method over
/// (TLanes, V); the JIT compiles one version per width with everything inlined, and <see cref="Wide"/> picks the widest that the machine has.
/// V is the register itself (Vector512, Vector256, Vector128) or a plain number, never a wrapper, so that values stay in registers.
/// </summary>
public interface ILanes<V> where V : struct
{
    /// <summary>How many numbers one V holds.</summary>
    static abstract int Count { get; }
    static abstract unsafe V Load(Real* p);
    static abstract unsafe void Store(Real* p, V v);
    /// <summary>As <see cref="Store"/> to an address that a register's size divides, past the caches where the machine can.</summary>
    static abstract unsafe void Stream(Real* p, V v);
    /// <summary>The same number in every lane.</summary>
    static abstract V Set(Real x);
    static abstract V Add(V a, V b);
    static abstract V Sub(V a, V b);
    static abstract V Mul(V a, V b);
    static abstract V Div(V a, V b);
    /// <summary>a·b + c, in one rounding where the machine can.</summary>
    static abstract V Fma(V a, V b, V c);
    /// <summary>The larger one; if either is NaN the result may be either of them.</summary>
    static abstract V Max(V a, V b);
    static abstract V Min(V a, V b);
    static abstract V Sqrt(V a);
    static abstract V Floor(V a);
    static abstract V Abs(V a);
    /// <summary>a where x is less than y, else b.</summary>
    static abstract V IfLess(V x, V y, V a, V b);
    /// <summary>2^x for x ≤ 127; 0 below −126 (float) or where the type underflows (double); NaN stays NaN. Relative error in docs/numerics.md.</summary>
    static abstract V Exp2(V x);
    /// <summary>In float, 2^n from z = n + <see cref="FastExp2.Magic"/> for whole n from −127 (0) to 128 (∞); NaN may become anything.</summary>
    static abstract V Raise(V z);
    static abstract Real Sum(V a);
    static abstract Real MaxAcross(V a);
}

/// <summary>Sixteen floats or eight doubles.</summary>
public readonly struct Lanes512 : ILanes<Vector512<Real>>
{
    public static int Count => Vector512<Real>.Count;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe Vector512<Real> Load(Real* p) => Vector512.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Store(Real* p, Vector512<Real> v) => Vector512.Store(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Stream(Real* p, Vector512<Real> v) => Vector512.StoreAlignedNonTemporal(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Set(Real x) => Vector512.Create(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Add(Vector512<Real> a, Vector512<Real> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Sub(Vector512<Real> a, Vector512<Real> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Mul(Vector512<Real> a, Vector512<Real> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Div(Vector512<Real> a, Vector512<Real> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Fma(Vector512<Real> a, Vector512<Real> b, Vector512<Real> c) => Vector512.MultiplyAddEstimate(a, b, c);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Max(Vector512<Real> a, Vector512<Real> b) => Vector512.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Min(Vector512<Real> a, Vector512<Real> b) => Vector512.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Sqrt(Vector512<Real> a) => Vector512.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Floor(Vector512<Real> a) => Vector512.Floor(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Abs(Vector512<Real> a) => Vector512.Abs(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> IfLess(Vector512<Real> x, Vector512<Real> y, Vector512<Real> a, Vector512<Real> b) => Vector512.ConditionalSelect(Vector512.LessThan(x, y), a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Exp2(Vector512<Real> x) => FastExp2.Of(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<Real> Raise(Vector512<Real> z) => FastExp2.Raise(z);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Real Sum(Vector512<Real> a) => Lanes256.Sum(a.GetLower() + a.GetUpper());
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Real MaxAcross(Vector512<Real> a) => Lanes256.MaxAcross(Vector256.MaxNative(a.GetLower(), a.GetUpper()));
}

/// <summary>Eight floats or four doubles.</summary>
public readonly struct Lanes256 : ILanes<Vector256<Real>>
{
    public static int Count => Vector256<Real>.Count;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe Vector256<Real> Load(Real* p) => Vector256.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Store(Real* p, Vector256<Real> v) => Vector256.Store(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Stream(Real* p, Vector256<Real> v) => Vector256.StoreAlignedNonTemporal(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Set(Real x) => Vector256.Create(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Add(Vector256<Real> a, Vector256<Real> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Sub(Vector256<Real> a, Vector256<Real> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Mul(Vector256<Real> a, Vector256<Real> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Div(Vector256<Real> a, Vector256<Real> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Fma(Vector256<Real> a, Vector256<Real> b, Vector256<Real> c) => Vector256.MultiplyAddEstimate(a, b, c);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Max(Vector256<Real> a, Vector256<Real> b) => Vector256.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Min(Vector256<Real> a, Vector256<Real> b) => Vector256.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Sqrt(Vector256<Real> a) => Vector256.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Floor(Vector256<Real> a) => Vector256.Floor(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Abs(Vector256<Real> a) => Vector256.Abs(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> IfLess(Vector256<Real> x, Vector256<Real> y, Vector256<Real> a, Vector256<Real> b) => Vector256.ConditionalSelect(Vector256.LessThan(x, y), a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Exp2(Vector256<Real> x) => FastExp2.Of(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<Real> Raise(Vector256<Real> z) => FastExp2.Raise(z);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Real Sum(Vector256<Real> a) => Vector128.Sum(a.GetLower() + a.GetUpper());
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Real MaxAcross(Vector256<Real> a) => Lanes128.MaxAcross(Vector128.MaxNative(a.GetLower(), a.GetUpper()));
}

/// <summary>Four floats or two doubles: SSE, and NEON on Arm.</summary>
public readonly struct Lanes128 : ILanes<Vector128<Real>>
{
    public static int Count => Vector128<Real>.Count;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe Vector128<Real> Load(Real* p) => Vector128.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Store(Real* p, Vector128<Real> v) => Vector128.Store(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Stream(Real* p, Vector128<Real> v) => Vector128.StoreAlignedNonTemporal(v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Set(Real x) => Vector128.Create(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Add(Vector128<Real> a, Vector128<Real> b) => a + b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Sub(Vector128<Real> a, Vector128<Real> b) => a - b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Mul(Vector128<Real> a, Vector128<Real> b) => a * b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Div(Vector128<Real> a, Vector128<Real> b) => a / b;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Fma(Vector128<Real> a, Vector128<Real> b, Vector128<Real> c) => Vector128.MultiplyAddEstimate(a, b, c);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Max(Vector128<Real> a, Vector128<Real> b) => Vector128.MaxNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Min(Vector128<Real> a, Vector128<Real> b) => Vector128.MinNative(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Sqrt(Vector128<Real> a) => Vector128.Sqrt(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Floor(Vector128<Real> a) => Vector128.Floor(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Abs(Vector128<Real> a) => Vector128.Abs(a);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> IfLess(Vector128<Real> x, Vector128<Real> y, Vector128<Real> a, Vector128<Real> b) => Vector128.ConditionalSelect(Vector128.LessThan(x, y), a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Exp2(Vector128<Real> x) => FastExp2.Of(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<Real> Raise(Vector128<Real> z) => FastExp2.Raise(z);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Real Sum(Vector128<Real> a) => Vector128.Sum(a);
    // By shuffles: comparing numbers one by one costs a mispredicted branch or two.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Real MaxAcross(Vector128<Real> a)
    {
        if (Vector128<Real>.Count == 4)
        {
            var x = a.AsSingle();
            x = Vector128.MaxNative(x, Vector128.Shuffle(x, Vector128.Create(2, 3, 0, 1)));
            x = Vector128.MaxNative(x, Vector128.Shuffle(x, Vector128.Create(1, 0, 3, 2)));
            return (Real)x.ToScalar();
        }
        return a[0] > a[1] ? a[0] : a[1];
    }
}

/// <summary>One number at a time: the path of machines without vectors, and of the tests with intrinsics off.</summary>
public readonly struct Lanes1 : ILanes<Real>
{
    public static int Count => 1;
    public static unsafe Real Load(Real* p) => *p;
    public static unsafe void Store(Real* p, Real v) => *p = v;
    public static unsafe void Stream(Real* p, Real v) => *p = v;
    public static Real Set(Real x) => x;
    public static Real Add(Real a, Real b) => a + b;
    public static Real Sub(Real a, Real b) => a - b;
    public static Real Mul(Real a, Real b) => a * b;
    public static Real Div(Real a, Real b) => a / b;
    public static Real Fma(Real a, Real b, Real c) => a * b + c;
    public static Real Max(Real a, Real b) => a > b ? a : b;
    public static Real Min(Real a, Real b) => a < b ? a : b;
    public static Real Sqrt(Real a) => Real.Sqrt(a);
    public static Real Floor(Real a) => Real.Floor(a);
    public static Real Abs(Real a) => Real.Abs(a);
    public static Real IfLess(Real x, Real y, Real a, Real b) => x < y ? a : b;
    public static Real Exp2(Real x) => FastExp2.Of(x);
    public static Real Raise(Real z) => FastExp2.Raise(z);
    public static Real Sum(Real a) => a;
    public static Real MaxAcross(Real a) => a;
}

/// <summary>A kernel body that can run at any width; see <see cref="Wide"/>.</summary>
public interface IWide { void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct; }

/// <summary>Runs a body at the widest register size of this machine. The conditions are constants for the JIT.</summary>
public static class Wide
{
    /// <summary>Lanes of the width that <see cref="Run{TBody}"/> uses.</summary>
    public static int Count => Vector512.IsHardwareAccelerated ? Lanes512.Count : Vector256.IsHardwareAccelerated ? Lanes256.Count : Vector128.IsHardwareAccelerated ? Lanes128.Count : 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<TBody>(ref TBody body) where TBody : struct, IWide
    {
        if (Vector512.IsHardwareAccelerated) body.Run<Lanes512, Vector512<Real>>();
        else if (Vector256.IsHardwareAccelerated) body.Run<Lanes256, Vector256<Real>>();
        else if (Vector128.IsHardwareAccelerated) body.Run<Lanes128, Vector128<Real>>();
        else body.Run<Lanes1, Real>();
    }
}
