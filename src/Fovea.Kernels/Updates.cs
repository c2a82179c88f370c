using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Updates of parameters in place, and the norm that gradient clipping needs.</summary>
public static unsafe class Updates
{
    /// <summary>
    /// Adam with decoupled decay (1711.05101, Alg. 2): m = β₁m + (1 − β₁)g, v = β₂v + (1 − β₂)g², w −= lr·(m̂/(√v̂ + eps) + decay·w) with
    /// m̂ = m/(1 − β₁^step), v̂ = v/(1 − β₂^step); step counts from 1.
    /// </summary>
    public static void AdamW(Span<Real> weight, ReadOnlySpan<Real> grad, Span<Real> m, Span<Real> v, double lr, double beta1, double beta2, double eps, double decay, int step)
    {
        int n = weight.Length; Guard.Holds(grad, n); Guard.Holds(m, n); Guard.Holds(v, n); Guard.AtLeast(step, 1);
        double first = 1 - Math.Pow(beta1, step), second = Math.Sqrt(1 - Math.Pow(beta2, step));
        fixed (Real* pw = weight, pg = grad, pm = m, pv = v)
            WideRows.For(n, Map.Grain, new AdamRows(pw, pg, pm, pv, (Real)(lr / first), (Real)beta1, (Real)(1 - beta1), (Real)beta2, (Real)(1 - beta2), (Real)eps, (Real)(1 / second), (Real)(1 - lr * decay)));
    }

    /// <summary>velocity = momentum·velocity + grad + decay·weight, weight −= lr·velocity; with momentum 0 velocity may be empty.</summary>
    public static void Sgd(Span<Real> weight, ReadOnlySpan<Real> grad, Span<Real> velocity, double lr, double momentum, double decay)
    {
        int n = weight.Length; Guard.Holds(grad, n);
        if (momentum != 0 || !velocity.IsEmpty) Guard.Holds(velocity, n);
        fixed (Real* pw = weight, pg = grad, pv = velocity) WideRows.For(n, Map.Grain, new SgdRows(pw, pg, pv, (Real)lr, (Real)momentum, (Real)decay));
    }

    /// <summary>Σ x² in double, summed in fixed blocks.</summary>
    public static double SumOfSquares(ReadOnlySpan<Real> x)
    {
        int blocks = (x.Length + Map.Grain - 1) / Map.Grain; double total = 0;
        using var scratch = Scratch.Open();
        double* sums = (double*)scratch.TakeInts(2L * blocks);
        fixed (Real* px = x) Threads.For(x.Length, Map.Grain, new SquareRows(px, sums));
        for (int b = 0; b < blocks; b++) total += sums[b];
        return total;
    }

    readonly struct SquareRows(Real* x, double* sums) : IRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            double a = 0, b = 0, c = 0, d = 0; int i = from;
            for (; i <= to - 4; i += 4)
            {
                double p = x[i], q = x[i + 1], r = x[i + 2], s = x[i + 3];
                a += p * p; b += q * q; c += r * r; d += s * s;
            }
            for (; i < to; i++) a += (double)x[i] * x[i];
            sums[from / Map.Grain] = a + b + (c + d);
        }
    }
}

/// <summary>One AdamW step; rate is lr/(1 − β₁^t), root is 1/√(1 − β₂^t), keep is 1 − lr·decay, rest is 1 − β taken in double.</summary>
internal readonly unsafe struct AdamRows(Real* w, Real* g, Real* m, Real* v, Real rate, Real beta1, Real rest1, Real beta2, Real rest2, Real eps, Real root, Real keep) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = Part<TLanes, V>(from, to);
        if (i < to) Part<Lanes1, Real>(i, to);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Part<TLanes, V>(int i, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int width = TLanes.Count; V b1 = TLanes.Set(beta1), c1 = TLanes.Set(rest1), b2 = TLanes.Set(beta2), c2 = TLanes.Set(rest2), e = TLanes.Set(eps), r = TLanes.Set(root), k = TLanes.Set(keep), minus = TLanes.Set(-rate);
        for (; i <= to - width; i += width)
        {
            V grad = TLanes.Load(g + i), first = TLanes.Fma(b1, TLanes.Load(m + i), TLanes.Mul(c1, grad)), second = TLanes.Fma(b2, TLanes.Load(v + i), TLanes.Mul(c2, TLanes.Mul(grad, grad)));
            TLanes.Store(m + i, first); TLanes.Store(v + i, second);
            V ratio = TLanes.Div(first, TLanes.Fma(TLanes.Sqrt(second), r, e));
            TLanes.Store(w + i, TLanes.Fma(minus, ratio, TLanes.Mul(k, TLanes.Load(w + i))));
        }
        return i;
    }
}

/// <summary>One step of SGD; v may be null.</summary>
internal readonly unsafe struct SgdRows(Real* w, Real* g, Real* v, Real lr, Real momentum, Real decay) : IWideRows
{
    public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int i = Part<TLanes, V>(from, to);
        if (i < to) Part<Lanes1, Real>(i, to);
    }
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Part<TLanes, V>(int i, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int width = TLanes.Count; V rate = TLanes.Set(-lr), mu = TLanes.Set(momentum), d = TLanes.Set(decay);
        for (; i <= to - width; i += width)
        {
            V weight = TLanes.Load(w + i), step = TLanes.Fma(d, weight, TLanes.Load(g + i));
            if (v is not null) { step = TLanes.Fma(mu, TLanes.Load(v + i), step); TLanes.Store(v + i, step); }
            TLanes.Store(w + i, TLanes.Fma(rate, step, weight));
        }
        return i;
    }
}
