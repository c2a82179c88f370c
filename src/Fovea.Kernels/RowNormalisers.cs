using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Clipped softmax (arXiv 2306.12929, Eq. 4): clip((ζ − γ)·softmax(s) + γ, 0, 1), so that finite logits reach weights of exactly 0 and 1. γ ≤ 0 and ζ ≥ 1.</summary>
public readonly struct ClippedSoftmax(Real low, Real high) : IRowNormaliser
{
    readonly Real low = low <= 0 ? low : throw new ArgumentOutOfRangeException(nameof(low), low, "γ must not be positive, or masked entries would get weight"), high = high >= 1 ? high : throw new ArgumentOutOfRangeException(nameof(high), high, "ζ must be at least 1");

    public Real Weights(Span<Real> row, int seen) { Sweep(row, default); return 1; }
    public void Backward(Span<Real> row, Span<Real> gradient, int seen) => Sweep(row, gradient);

    unsafe void Sweep(Span<Real> row, Span<Real> gradient)
    {
        if (row.IsEmpty) return;
        if (!gradient.IsEmpty) Guard.Holds(gradient, row.Length);
        fixed (Real* x = row, g = gradient) { var body = new Body(low, high, x, g, row.Length); Wide.Run(ref body); }
    }

    readonly unsafe struct Body(Real low, Real high, Real* x, Real* g, int n) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => ClippedLoops.Run<TLanes, V>(low, high, x, g, n);
    }
}

/// <summary>
/// Softplus in place of the exponential, and re-weighting (arXiv 2501.13428): with N keys in sight, a = softplus(ln N · s) / Σ, and then b = max(N·a − O, 0)^power / Σ, O = 1 but 0 for N ≤ 3: what is above the
/// average of its row survives. Power 0 leaves out the second step. The row is divided by its largest entry before the power, so that it does not overflow;
/// the paper adds 1e-8 to the sum instead, which would outweigh rows that are nearly even.
/// </summary>
public readonly struct SoftplusWeights(int power) : IRowNormaliser
{
    readonly int power = power >= 0 ? power : throw new ArgumentOutOfRangeException(nameof(power), power, "must not be negative");

    // ln N in powers of two. Not 0 for a single key: −∞ of masked ones must stay what it is.
    static Real Factor(int seen) => seen > 1 ? Real.Log2(seen) : Real.Epsilon;
    static Real Offset(int seen) => seen > 3 ? 1 : 0;

    public unsafe Real Weights(Span<Real> row, int seen)
    {
        fixed (Real* x = row) { var body = new Forward(power, x, row.Length, seen); Wide.Run(ref body); return body.Factor; }
    }

    public unsafe void Backward(Span<Real> row, Span<Real> gradient, int seen)
    {
        Guard.Holds(gradient, row.Length);
        fixed (Real* x = row, g = gradient) { var body = new Both(power, x, g, row.Length, seen); Wide.Run(ref body); }
    }

    unsafe struct Forward(int power, Real* x, int n, int seen) : IWide
    {
        public Real Factor = 1;
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => Factor = Weigh<TLanes, V>(power, x, n, seen);
    }
    readonly unsafe struct Both(int power, Real* x, Real* g, int n, int seen) : IWide
    {
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct => Turn<TLanes, V>(power, x, g, n, seen);
    }

    /// <summary>As <see cref="Weights"/>, at any width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static unsafe Real Weigh<TLanes, V>(int power, Real* x, int n, int seen) where TLanes : struct, ILanes<V> where V : struct
    {
        Real offset = Offset(seen); Span<Real> row = new(x, n);
        if (seen == 0) { row.Clear(); return 1; }
        var (sum, top) = SoftplusLoops.Positive<TLanes, V>(x, Factor(seen), n);
        if (sum == 0) { row.Clear(); return 1; }
        if (power == 0) return 1 / sum;
        Real max = seen / sum * top - offset;
        // Nothing is above the average; or nothing can be said.
        if (!(max > 0)) { row.Fill(Real.IsNaN(max) ? max : 0); return 1; }
        return 1 / SoftplusLoops.Above<TLanes, V>(x, new(seen / sum, offset, 1 / max), power, n);
    }

    /// <summary>
    /// As <see cref="Backward"/>, at any width. With a = softplus in units of ln 2, A = Σa, c = N/A, u = max(c·a − O, 0)/max, B = Σuᵖ and dot = Σ g uᵖ / B, d loss / d a is κ·h − mean, h = (g − dot)·uᵖ⁻¹ where u &gt; 0, κ = p·c/(B·max).
    /// mean = κ/A · Σ h a needs no sweep of its own: there a = (u·max + O)/c, and Σ (g − dot)·uᵖ = 0.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static unsafe void Turn<TLanes, V>(int power, Real* x, Real* g, int n, int seen) where TLanes : struct, ILanes<V> where V : struct
    {
        Real factor = Factor(seen), offset = Offset(seen); Span<Real> row = new(x, n), gradient = new(g, n);
        if (seen == 0) { row.Clear(); gradient.Clear(); return; }
        var (sum, top) = SoftplusLoops.Positive<TLanes, V>(x, factor, n);
        if (sum == 0) { row.Clear(); gradient.Clear(); return; }
        if (power == 0)
        {
            Real even = (Real)Reduce.Dot<TLanes, V>(x, g, n) / sum;
            SoftplusLoops.Slopes<TLanes, V>(x, g, default, 0, 1 / sum, 0, factor / sum, even * (factor / sum), n);
            return;
        }
        Real scale = seen / sum, max = scale * top - offset;
        if (!(max > 0)) { Real nothing = Real.IsNaN(max) ? max : 0; row.Fill(nothing); gradient.Fill(nothing); return; }
        var excess = new SoftplusLoops.Excess(scale, offset, 1 / max);
        var (all, dot, less, lessDot) = SoftplusLoops.Sums<TLanes, V>(x, g, excess, power, n);
        dot /= all;
        Real size = power / (all * max) * scale, mean = size * offset / seen * (lessDot - dot * less);
        SoftplusLoops.Slopes<TLanes, V>(x, g, excess, power, 1 / all, dot, size * factor, mean * factor, n);
    }
}
