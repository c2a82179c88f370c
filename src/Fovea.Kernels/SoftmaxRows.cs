using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Loops over one row that the softmax family shares. Each comes as a range [i, n), so that the same code with <see cref="Lanes1"/> does what is left over.</summary>
internal static unsafe class SoftmaxLoops
{
    /// <summary>Σ e^(x − m); also stores the terms if y is not null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Real ExpSum<TLanes, V>(Real* x, Real* y, Real m, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Real sum = 0; int i = Part<TLanes, V>(x, y, m, 0, n, ref sum);
        if (i < n) Part<Lanes1, Real>(x, y, m, i, n, ref sum);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int Part<TLanes, V>(Real* x, Real* y, Real m, int i, int n, ref Real sum) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V top = TLanes.Set(m), scale = TLanes.Set(Curve.Log2E), a = TLanes.Set(0), b = a;
        for (; i <= n - 4 * w; i += 4 * w)
        {
            Streams.Ahead(x + i + Block, 4 * w * sizeof(Real));
            V e = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), top), scale), f = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + w), top), scale);
            V g = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + 2 * w), top), scale), h = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + 3 * w), top), scale);
            FastExp2.Four<TLanes, V>(ref e, ref f, ref g, ref h);
            if (y is not null) { TLanes.Store(y + i, e); TLanes.Store(y + i + w, f); TLanes.Store(y + i + 2 * w, g); TLanes.Store(y + i + 3 * w, h); }
            a = TLanes.Add(a, TLanes.Add(e, f)); b = TLanes.Add(b, TLanes.Add(g, h));
        }
        for (; i <= n - w; i += w)
        {
            V e = TLanes.Exp2(TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), top), scale));
            if (y is not null) TLanes.Store(y + i, e);
            a = TLanes.Add(a, e);
        }
        sum += TLanes.Sum(TLanes.Add(a, b));
        return i;
    }

    // Numbers of a block, which is read once from memory and then from L1.
    const int Block = 2048;

    /// <summary>The largest x and Σ e^(x − max); with y, which then becomes the terms. A row of −∞ gives −∞ and 0; a NaN anywhere gives a NaN sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Real Max, Real Sum) MaxAndSum<TLanes, V>(Real* x, Real* y, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Real m = Reduce.Max<TLanes, V>(x, n);
        if (m == Real.NegativeInfinity)     // nothing is visible, or there are only −∞ and NaN, which a maximum need not show
            return (m, double.IsNaN(Reduce.Sum<TLanes, V>(x, n)) ? Real.NaN : 0);
        return (m, ExpSum<TLanes, V>(x, y, m, n));
    }

    /// <summary>As <see cref="MaxAndSum{TLanes, V}(Real*, Real*, int)"/> without the terms, in one pass over memory: what was summed up to a block is scaled to its maximum.</summary>
    public static (Real Max, Real Sum) MaxAndSum<TLanes, V>(Real* x, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        Real max = Real.NegativeInfinity; double sum = 0;
        for (int at = 0; at < n; at += Block)
        {
            int count = Math.Min(Block, n - at); Real m = Reduce.Max<TLanes, V>(x + at, count);
            if (m > max) { sum *= Math.Exp((double)max - m); max = m; }
            if (max == Real.NegativeInfinity) { if (double.IsNaN(Reduce.Sum<TLanes, V>(x + at, count))) sum = double.NaN; }
            else sum += ExpSum<TLanes, V>(x + at, null, max, count);
        }
        return (max, (Real)sum);
    }

    /// <summary>dx += y·(dy − dot).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int BackPart<TLanes, V>(Real* y, Real* dy, Real* dx, Real dot, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V d = TLanes.Set(dot);
        for (; i <= n - w; i += w) TLanes.Store(dx + i, TLanes.Fma(TLanes.Load(y + i), TLanes.Sub(TLanes.Load(dy + i), d), TLanes.Load(dx + i)));
        return i;
    }

    /// <summary>dx += s·e^(x − lse).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int AddExp<TLanes, V>(Real* x, Real* dx, Real lse, Real s, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V top = TLanes.Set(lse), scale = TLanes.Set(Curve.Log2E), factor = TLanes.Set(s);
        for (; i <= n - 4 * w; i += 4 * w)
        {
            V a = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), top), scale), b = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + w), top), scale);
            V c = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + 2 * w), top), scale), d = TLanes.Mul(TLanes.Sub(TLanes.Load(x + i + 3 * w), top), scale);
            FastExp2.Four<TLanes, V>(ref a, ref b, ref c, ref d);
            TLanes.Store(dx + i, TLanes.Fma(factor, a, TLanes.Load(dx + i))); TLanes.Store(dx + i + w, TLanes.Fma(factor, b, TLanes.Load(dx + i + w)));
            TLanes.Store(dx + i + 2 * w, TLanes.Fma(factor, c, TLanes.Load(dx + i + 2 * w))); TLanes.Store(dx + i + 3 * w, TLanes.Fma(factor, d, TLanes.Load(dx + i + 3 * w)));
        }
        for (; i <= n - w; i += w) TLanes.Store(dx + i, TLanes.Fma(factor, TLanes.Exp2(TLanes.Mul(TLanes.Sub(TLanes.Load(x + i), top), scale)), TLanes.Load(dx + i)));
        return i;
    }

    /// <summary>y = s·x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Scale<TLanes, V>(Real* x, Real* y, Real s, int i, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count; V factor = TLanes.Set(s);
        for (; i <= n - w; i += w) TLanes.Store(y + i, TLanes.Mul(TLanes.Load(x + i), factor));
        return i;
    }
}

internal readonly unsafe struct SoftmaxRows(Real* x, Real* y, int cols, bool stream) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        using var scratch = Scratch.Open(); Real* row = stream ? scratch.Take(cols) : null;
        for (long r = from; r < to; r++)
        {
            Real* xr = x + r * cols, yr = stream ? row : y + r * cols;
            var (m, sum) = SoftmaxLoops.MaxAndSum<TLanes, V>(xr, yr, cols);
            if (m == Real.NegativeInfinity) { new Span<Real>(y + r * cols, cols).Fill(sum); continue; }
            int i = SoftmaxLoops.Scale<TLanes, V>(yr, yr, 1 / sum, 0, cols);
            if (i < cols) SoftmaxLoops.Scale<Lanes1, Real>(yr, yr, 1 / sum, i, cols);
            if (stream) Streams.Copy<TLanes, V>(row, y + r * cols, cols);
        }
        if (stream) Streams.End();
    }
}

internal readonly unsafe struct SoftmaxBackRows(Real* y, Real* dy, Real* dx, int cols) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            Real* yr = y + r * cols, dyr = dy + r * cols, dxr = dx + r * cols; Real dot = (Real)Reduce.Dot<TLanes, V>(yr, dyr, cols);
            int i = SoftmaxLoops.BackPart<TLanes, V>(yr, dyr, dxr, dot, 0, cols);
            if (i < cols) SoftmaxLoops.BackPart<Lanes1, Real>(yr, dyr, dxr, dot, i, cols);
        }
    }
}

internal readonly unsafe struct LogSumExpRows(Real* x, Real* y, int cols) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            var (m, sum) = SoftmaxLoops.MaxAndSum<TLanes, V>(x + r * cols, cols);
            y[r] = m + Real.Log(sum);
        }
    }
}

internal readonly unsafe struct CrossEntropyRows(Real* logits, int* targets, Real* losses, Real* lse, int cols) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            var (m, sum) = SoftmaxLoops.MaxAndSum<TLanes, V>(logits + r * cols, cols);
            Real log = Real.Log(sum); int target = targets[r];
            lse[r] = m + log;
            if (target < 0) { losses[r] = 0; continue; }
            Real x = logits[r * cols + target];
            losses[r] = x == Real.NegativeInfinity && !Real.IsNaN(sum) ? Real.PositiveInfinity : m - x + log;    // in this order no digits of log are lost to a large m
        }
    }
}

internal readonly unsafe struct CrossEntropyBackRows(Real* logits, int* targets, Real* lse, Real* dLoss, Real* dlogits, int cols) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        for (long r = from; r < to; r++)
        {
            if (targets[r] < 0 || dLoss[r] == 0) continue;
            Real* x = logits + r * cols, dx = dlogits + r * cols;
            dx[targets[r]] -= dLoss[r];
            if (lse[r] == Real.NegativeInfinity) continue;
            int i = SoftmaxLoops.AddExp<TLanes, V>(x, dx, lse[r], dLoss[r], 0, cols);
            if (i < cols) SoftmaxLoops.AddExp<Lanes1, Real>(x, dx, lse[r], dLoss[r], i, cols);
        }
    }
}
