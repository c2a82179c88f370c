using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>
/// Element-wise loops, in tasks of 32 k numbers. Where an operand b is shorter than the others, its length divides theirs and it repeats (a suffix of
/// the shape). The destination may be the same memory as an operand of the same length, not partly overlapping.
/// </summary>
public static unsafe class Map
{
    internal const int Grain = 32768;

    /// <summary>y[i] = op(x[i]).</summary>
    public static void Apply<TOp>(ReadOnlySpan<Real> x, Span<Real> y) where TOp : struct, IUnary
    {
        Guard.Fits(x, y);
        fixed (Real* px = x, py = y) WideRows.For(x.Length, Grain, new UnaryRows<TOp>(px, py));
    }

    /// <summary>dx[i] += dy[i] · op′(x[i]), where y[i] = op(x[i]).</summary>
    public static void Backward<TOp>(ReadOnlySpan<Real> x, ReadOnlySpan<Real> y, ReadOnlySpan<Real> dy, Span<Real> dx) where TOp : struct, IUnary
    {
        Guard.Holds(y, x.Length); Guard.Holds(dy, x.Length); Guard.Holds(dx, x.Length);
        fixed (Real* px = x, py = y, pdy = dy, pdx = dx) WideRows.For(x.Length, Grain, new UnaryBackRows<TOp>(px, py, pdy, pdx));
    }

    /// <summary>y = silu(gate) · up, all of one length (2002.05202, Eq. 5).</summary>
    public static void SwiGlu(ReadOnlySpan<Real> gate, ReadOnlySpan<Real> up, Span<Real> y)
    {
        Guard.Holds(up, gate.Length); Guard.Holds(y, gate.Length);
        fixed (Real* pg = gate, pu = up, py = y) WideRows.For(gate.Length, Grain, new SwiGluRows(pg, pu, py));
    }

    /// <summary>Adds dy · up · silu′(gate) into dgate and dy · silu(gate) into dup.</summary>
    public static void SwiGluBackward(ReadOnlySpan<Real> gate, ReadOnlySpan<Real> up, ReadOnlySpan<Real> dy, Span<Real> dgate, Span<Real> dup)
    {
        Guard.Holds(up, gate.Length); Guard.Holds(dy, gate.Length); Guard.Holds(dgate, gate.Length); Guard.Holds(dup, gate.Length);
        fixed (Real* pg = gate, pu = up, pdy = dy, pdg = dgate, pdu = dup) WideRows.For(gate.Length, Grain, new SwiGluBackRows(pg, pu, pdy, pdg, pdu));
    }

    /// <summary>y = a + b, b repeated.</summary>
    public static void Add(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => Repeat.Apply<Repeat.Plus>(a, b, y);
    /// <summary>y = a − b, b repeated.</summary>
    public static void Sub(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => Repeat.Apply<Repeat.Minus>(a, b, y);
    /// <summary>y = a · b, b repeated.</summary>
    public static void Mul(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => Repeat.Apply<Repeat.Times>(a, b, y);
    /// <summary>y = a / b, b repeated.</summary>
    public static void Div(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => Repeat.Apply<Repeat.Over>(a, b, y);
    /// <summary>y += a · b, b repeated.</summary>
    public static void MulAdd(ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> y) => Repeat.Apply<Repeat.TimesPlus>(a, b, y);

    /// <summary>y += x.</summary>
    public static void AddTo(ReadOnlySpan<Real> x, Span<Real> y)
    {
        Guard.Fits(x, y);
        fixed (Real* px = x, py = y) WideRows.For(x.Length, Grain, new AddScaledRows(px, 1, py));
    }

    /// <summary>y += s · x.</summary>
    public static void AddScaled(ReadOnlySpan<Real> x, Real s, Span<Real> y)
    {
        Guard.Fits(x, y);
        fixed (Real* px = x, py = y) WideRows.For(x.Length, Grain, new AddScaledRows(px, s, py));
    }

    /// <summary>y[j] += Σ of a[j], a[j + y.Length] …: the reverse of repeating y. Summed in fixed blocks, so the result does not depend on the thread count.</summary>
    public static void SumTo(ReadOnlySpan<Real> a, Span<Real> y) => Columns.Sum(a, default, y);

    /// <summary>y[j] += Σ of a·c over repeats, a and c of one length: the gradient of a repeated factor.</summary>
    public static void MulSumTo(ReadOnlySpan<Real> a, ReadOnlySpan<Real> c, Span<Real> y)
    {
        if (a.Length != c.Length) throw new ArgumentException($"c holds {c.Length} numbers, expected as many as a, {a.Length}");
        if (!a.IsEmpty) Columns.Sum(a, c, y);
    }

    readonly struct AddScaledRows(Real* x, Real s, Real* y) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct => Panel.AddScaled<TLanes, V>(x + from, y + from, s, to - from);
    }
}

/// <summary>
/// y = op(x). What is left after the last full register goes through a register on the stack, not through scalar code: a number's image then does
/// not depend on where in the span it stands.
/// </summary>
internal readonly unsafe struct UnaryRows<TOp>(Real* x, Real* y) : IWideRows where TOp : struct, IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = from;
        if (default(TOp) is ILong && w > 1)
            for (; i <= to - 2 * w; i += 2 * w) Pairs<TLanes, V>.Store(y + i, TOp.Of<Pairs<TLanes, V>, Pair<V>>(Pairs<TLanes, V>.Load(x + i)));
        for (; i <= to - w; i += w) TLanes.Store(y + i, TOp.Of<TLanes, V>(TLanes.Load(x + i)));
        if (i == to) return;
        Real* t = stackalloc Real[16];
        for (int j = 0; j < to - i; j++) t[j] = x[i + j];
        TLanes.Store(t, TOp.Of<TLanes, V>(TLanes.Load(t)));
        for (int j = 0; j < to - i; j++) y[i + j] = t[j];
    }
}

/// <summary>dx += dy · op′.</summary>
internal readonly unsafe struct UnaryBackRows<TOp>(Real* x, Real* y, Real* dy, Real* dx) : IWideRows where TOp : struct, IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = from;
        if (default(TOp) is ILong && w > 1)
            for (; i <= to - 2 * w; i += 2 * w) Pairs<TLanes, V>.Store(dx + i, Pairs<TLanes, V>.Fma(Pairs<TLanes, V>.Load(dy + i), TOp.Slope<Pairs<TLanes, V>, Pair<V>>(Pairs<TLanes, V>.Load(x + i), Pairs<TLanes, V>.Load(y + i)), Pairs<TLanes, V>.Load(dx + i)));
        for (; i <= to - w; i += w) TLanes.Store(dx + i, TLanes.Fma(TLanes.Load(dy + i), TOp.Slope<TLanes, V>(TLanes.Load(x + i), TLanes.Load(y + i)), TLanes.Load(dx + i)));
        if (i == to) return;
        Real* t = stackalloc Real[64];
        for (int j = 0; j < to - i; j++) (t[j], t[j + 16], t[j + 32], t[j + 48]) = (x[i + j], y[i + j], dy[i + j], dx[i + j]);
        TLanes.Store(t, TLanes.Fma(TLanes.Load(t + 32), TOp.Slope<TLanes, V>(TLanes.Load(t), TLanes.Load(t + 16)), TLanes.Load(t + 48)));
        for (int j = 0; j < to - i; j++) dx[i + j] = t[j];
    }
}

/// <summary>y = silu(gate) · up.</summary>
internal readonly unsafe struct SwiGluRows(Real* gate, Real* up, Real* y) : IWideRows
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = from;
        for (; i <= to - w; i += w) TLanes.Store(y + i, TLanes.Mul(Silu.Of<TLanes, V>(TLanes.Load(gate + i)), TLanes.Load(up + i)));
        if (i == to) return;
        Real* t = stackalloc Real[32];
        for (int j = 0; j < to - i; j++) (t[j], t[j + 16]) = (gate[i + j], up[i + j]);
        TLanes.Store(t, TLanes.Mul(Silu.Of<TLanes, V>(TLanes.Load(t)), TLanes.Load(t + 16)));
        for (int j = 0; j < to - i; j++) y[i + j] = t[j];
    }
}

/// <summary>The adjoint of <see cref="SwiGluRows"/>.</summary>
internal readonly unsafe struct SwiGluBackRows(Real* gate, Real* up, Real* dy, Real* dgate, Real* dup) : IWideRows
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = from;
        for (; i <= to - w; i += w) Add<TLanes, V>(gate + i, up + i, dy + i, dgate + i, dup + i);
        if (i == to) return;
        Real* t = stackalloc Real[80];
        for (int j = 0; j < to - i; j++) (t[j], t[j + 16], t[j + 32], t[j + 48], t[j + 64]) = (gate[i + j], up[i + j], dy[i + j], dgate[i + j], dup[i + j]);
        Add<TLanes, V>(t, t + 16, t + 32, t + 48, t + 64);
        for (int j = 0; j < to - i; j++) (dgate[i + j], dup[i + j]) = (t[j + 48], t[j + 64]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Add<TLanes, V>(Real* gate, Real* up, Real* dy, Real* dgate, Real* dup) where TLanes : struct, ILanes<V> where V : struct
    {
        V g = TLanes.Load(gate), d = TLanes.Load(dy), s = Silu.Of<TLanes, V>(g);
        TLanes.Store(dgate, TLanes.Fma(TLanes.Mul(d, TLanes.Load(up)), Silu.Slope<TLanes, V>(g, s), TLanes.Load(dgate)));
        TLanes.Store(dup, TLanes.Fma(d, s, TLanes.Load(dup)));
    }
}
