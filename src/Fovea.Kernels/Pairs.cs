using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Two registers; the JIT keeps both in registers where everything is inlined.</summary>
struct Pair<V>(V a, V b) where V : struct { public V A = a, B = b; }

/// <summary>
/// Two registers as one set of lanes, step by step: for functions with a long chain of operations per number, which one register after the other would
/// wait in the processor's queues for each of its steps.
/// </summary>
readonly struct Pairs<TLanes, V> : ILanes<Pair<V>> where TLanes : struct, ILanes<V> where V : struct
{
    public static int Count => 2 * TLanes.Count;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe Pair<V> Load(Real* p) => new(TLanes.Load(p), TLanes.Load(p + TLanes.Count));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Store(Real* p, Pair<V> v) { TLanes.Store(p, v.A); TLanes.Store(p + TLanes.Count, v.B); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static unsafe void Stream(Real* p, Pair<V> v) { TLanes.Stream(p, v.A); TLanes.Stream(p + TLanes.Count, v.B); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Set(Real x) { V v = TLanes.Set(x); return new(v, v); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Add(Pair<V> a, Pair<V> b) => new(TLanes.Add(a.A, b.A), TLanes.Add(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Sub(Pair<V> a, Pair<V> b) => new(TLanes.Sub(a.A, b.A), TLanes.Sub(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Mul(Pair<V> a, Pair<V> b) => new(TLanes.Mul(a.A, b.A), TLanes.Mul(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Div(Pair<V> a, Pair<V> b) => new(TLanes.Div(a.A, b.A), TLanes.Div(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Max(Pair<V> a, Pair<V> b) => new(TLanes.Max(a.A, b.A), TLanes.Max(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Min(Pair<V> a, Pair<V> b) => new(TLanes.Min(a.A, b.A), TLanes.Min(a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Fma(Pair<V> a, Pair<V> b, Pair<V> c) => new(TLanes.Fma(a.A, b.A, c.A), TLanes.Fma(a.B, b.B, c.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Sqrt(Pair<V> a) => new(TLanes.Sqrt(a.A), TLanes.Sqrt(a.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Floor(Pair<V> a) => new(TLanes.Floor(a.A), TLanes.Floor(a.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Abs(Pair<V> a) => new(TLanes.Abs(a.A), TLanes.Abs(a.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Raise(Pair<V> a) => new(TLanes.Raise(a.A), TLanes.Raise(a.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> IfLess(Pair<V> x, Pair<V> y, Pair<V> a, Pair<V> b) => new(TLanes.IfLess(x.A, y.A, a.A, b.A), TLanes.IfLess(x.B, y.B, a.B, b.B));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Pair<V> Exp2(Pair<V> x) => typeof(Real) == typeof(float) ? FastExp2.Steps<Pairs<TLanes, V>, Pair<V>>(x) : new(TLanes.Exp2(x.A), TLanes.Exp2(x.B));
    public static Real Sum(Pair<V> a) => TLanes.Sum(TLanes.Add(a.A, a.B));
    public static Real MaxAcross(Pair<V> a) => TLanes.MaxAcross(TLanes.Max(a.A, a.B));
}
