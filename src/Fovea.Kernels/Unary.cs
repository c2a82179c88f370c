using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>A scalar function and its slope, on lanes; the JIT inlines both into one loop. A NaN must stay a NaN.</summary>
public interface IUnary
{
    static abstract V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct;
    /// <summary>dy/dx written in x and y = Of(x).</summary>
    static abstract V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct;
}

/// <summary>A function whose steps are lane operations alone, and so many that two registers at a time are worth it.</summary>
interface ILong;

/// <summary>1/(1 + e^−x)</summary>
public readonly struct Sigmoid : IUnary, ILong
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.Sigmoid<TLanes, V>(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(y, TLanes.Sub(TLanes.Set(1), y));
}

/// <summary>tanh x</summary>
public readonly struct Tanh : IUnary, ILong
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.Tanh<TLanes, V>(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Sub(TLanes.Set(1), TLanes.Mul(y, y));
}

/// <summary>max(x, 0); slope 0 at 0.</summary>
public readonly struct Relu : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.IfLess(x, TLanes.Set(0), TLanes.Set(0), x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.IfLess(x, TLanes.Set(0), TLanes.Set(0), TLanes.IfLess(TLanes.Set(0), x, TLanes.Set(1), x));
}

/// <summary>log(1 + e^x) = max(x, 0) + log(1 + e^−|x|)</summary>
public readonly struct Softplus : IUnary, ILong
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Add(TLanes.IfLess(x, TLanes.Set(0), TLanes.Set(0), x), Curve.Log1P<TLanes, V>(Curve.Exp<TLanes, V>(TLanes.Sub(TLanes.Set(0), TLanes.Abs(x)))));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => Curve.Sigmoid<TLanes, V>(x);
}

/// <summary>e^x over the whole range of the type.</summary>
public readonly struct Exp : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.FullExp(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => y;
}

/// <summary>log x: −∞ at 0, NaN below.</summary>
public readonly struct Log : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.Log(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Div(TLanes.Set(1), x);
}

/// <summary>√x; slope ∞ at 0.</summary>
public readonly struct Sqrt : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Sqrt(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Div(TLanes.Set((Real)0.5), y);
}

/// <summary>x²</summary>
public readonly struct Square : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(x, x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Add(x, x);
}

/// <summary>|x|; slope 0 at 0.</summary>
public readonly struct Abs : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Abs(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.IfLess(x, TLanes.Set(0), TLanes.Set(-1), TLanes.IfLess(TLanes.Set(0), x, TLanes.Set(1), x));
}

/// <summary>x + 1 for x > 0, else e^x: the positive feature map of linear attention (2006.16236, §3.2.1).</summary>
public readonly struct EluPlusOne : IUnary, ILong
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.IfLess(TLanes.Set(0), x, TLanes.Add(x, TLanes.Set(1)), Curve.Exp<TLanes, V>(TLanes.IfLess(TLanes.Set(0), x, TLanes.Set(0), x)));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Min(TLanes.Set(1), y);
}

/// <summary>sin x</summary>
public readonly struct Sin : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.Sin(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => Curve.Cos(x);
}

/// <summary>cos x</summary>
public readonly struct Cos : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => Curve.Cos(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct => TLanes.Sub(TLanes.Set(0), Curve.Sin(x));
}

/// <summary>x·sigmoid(x), also called swish.</summary>
public readonly struct Silu : IUnary, ILong
{
    // Far below 0 the sigmoid is (all but) 0; x is held so that −∞ gives 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(TLanes.Max(TLanes.Set(-1000), x), Curve.Sigmoid<TLanes, V>(x));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct
    {
        V s = Curve.Sigmoid<TLanes, V>(x);
        x = TLanes.Max(TLanes.Set(-1000), TLanes.Min(TLanes.Set(1000), x));
        return TLanes.Fma(TLanes.Mul(x, s), TLanes.Sub(TLanes.Set(1), s), s);
    }
}

/// <summary>½ x (1 + tanh(√(2/π)(x + 0.044715 x³))), the tanh form of GELU (1606.08415, §2).</summary>
public readonly struct Gelu : IUnary, ILong
{
    const Real C = (Real)1.5957691216057308, Cubic = (Real)0.044715;     // C = 2√(2/π), because ½(1 + tanh u) = sigmoid(2u)

    // 1/(1 + e^−u) with u = C x (1 + Cubic x²), the factor of the exponent multiplied into the constants; where 2^… is ∞ this is 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Gate<TLanes, V>(V x, V square) where TLanes : struct, ILanes<V> where V : struct
        => TLanes.Div(TLanes.Set(1), TLanes.Add(TLanes.Set(1), TLanes.Exp2(TLanes.Mul(x, TLanes.Fma(TLanes.Set(-C * Cubic * Curve.Log2E), square, TLanes.Set(-C * Curve.Log2E))))));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct { x = TLanes.Max(TLanes.Set(-1000), x); return TLanes.Mul(x, Gate<TLanes, V>(x, TLanes.Mul(x, x))); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct
    {
        x = TLanes.Max(TLanes.Set(-20), TLanes.Min(TLanes.Set(20), x));     // the slope is 0 or 1 beyond, and x³ would overflow far out
        V square = TLanes.Mul(x, x), s = Gate<TLanes, V>(x, square), inner = TLanes.Fma(TLanes.Set(3 * Cubic * C), square, TLanes.Set(C));
        return TLanes.Fma(TLanes.Mul(TLanes.Mul(x, inner), s), TLanes.Sub(TLanes.Set(1), s), s);
    }
}

/// <summary>x Φ(x) with the normal distribution function Φ(x) = ½(1 + erf(x/√2)), the exact GELU (1606.08415, Eq. 1); absolute error of Φ below 2e-7 (float), 1e-15 (double).</summary>
public readonly struct GeluErf : IUnary, ILong
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Of<TLanes, V>(V x) where TLanes : struct, ILanes<V> where V : struct { x = TLanes.Max(TLanes.Set(-30), x); return TLanes.Mul(x, Curve.Normal<TLanes, V>(x)); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Slope<TLanes, V>(V x, V y) where TLanes : struct, ILanes<V> where V : struct
    {
        x = TLanes.Max(TLanes.Set(-30), TLanes.Min(TLanes.Set(30), x));
        V density = TLanes.Mul(TLanes.Set((Real)0.3989422804014327), Curve.Exp<TLanes, V>(TLanes.Mul(TLanes.Set((Real)(-0.5)), TLanes.Mul(x, x))));
        return TLanes.Fma(x, density, Curve.Normal<TLanes, V>(x));
    }
}
