using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Clipped softmax (arXiv 2306.12929, Eq. 4): clip((ζ − γ)·softmax(s) + γ, 0, 1), so that finite logits reach weights of exactly 0 and 1. γ ≤ 0 and ζ ≥ 1.</summary>
public readonly struct ClippedSoftmax(Real low, Real high) : IRowNormaliser
{
    readonly Real low = low <= 0 ? low : throw new ArgumentOutOfRangeException(nameof(low), low, "γ must not be positive, or masked entries would get weight"), high = high >= 1 ? high : throw new ArgumentOutOfRangeException(nameof(high), high, "ζ must be at least 1");

    public void Weights(Span<Real> row)
    {
        // Exponentials first; one more sweep divides and clips.
        Real sum = Exponentials.Of(row);
        if (sum == 0) row.Clear(); else ScoreRows.Each(new Clip(low, (high - low) / sum), row, row);
    }

    /// <summary>Logits of one row become e^(s − max), and their sum is known.</summary>
    unsafe struct Exponentials(Real* x, int n) : IWide
    {
        Real sum;
        public static Real Of(Span<Real> row) { fixed (Real* p = row) { var body = new Exponentials(p, row.Length); Wide.Run(ref body); return body.sum; } }
        public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
        {
            Real max = TensorPrimitives.Max<Real>(new ReadOnlySpan<Real>(x, n));
            sum = Real.IsNegativeInfinity(max) ? 0 : SoftmaxLoops.ExpSum<TLanes, V>(x, x, max, n);
        }
    }

    public void Slope(Span<Real> logits, ReadOnlySpan<Real> weights, Span<Real> gradient)
    {
        Rows.Softmax(logits, logits, 1, logits.Length);
        // Clipped entries pass nothing; with γ = 0 and ζ = 1 nothing is clipped.
        if (low != 0 || high != 1) ScoreRows.Each(new Inside(high - low), weights, gradient);
        Real dot = TensorPrimitives.Dot<Real>(logits, gradient);
        ScoreRows.Each(new Centred(dot), logits, gradient);
    }

    readonly struct Clip(Real low, Real size) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => TLanes.Min(TLanes.Set(1), TLanes.Max(TLanes.Set(0), TLanes.Fma(x, TLanes.Set(size), TLanes.Set(low))));
    }
    readonly struct Inside(Real size) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct { V zero = TLanes.Set(0); return TLanes.IfLess(zero, x, TLanes.IfLess(x, TLanes.Set(1), TLanes.Mul(y, TLanes.Set(size)), zero), zero); }
    }
    readonly struct Centred(Real dot) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(x, TLanes.Sub(y, TLanes.Set(dot)));
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

    static int Seen(ReadOnlySpan<Real> row) => row.Length - row.Count(Real.NegativeInfinity);
    // Not 0 for a single key: −∞ of masked ones must stay what it is.
    static Real Factor(int seen) => seen > 1 ? Real.Log(seen) : Real.Epsilon;
    static Real Offset(int seen) => seen > 3 ? 1 : 0;

    public void Weights(Span<Real> row)
    {
        int seen = Seen(row);
        if (seen == 0) { row.Clear(); return; }
        var (sum, max) = ScoreRows.Fold(new Positive(Factor(seen)), row, row);
        if (sum == 0) { row.Clear(); return; }
        if (power == 0) { TensorPrimitives.Multiply(row, 1 / sum, row); return; }
        max = seen / sum * max - Offset(seen);
        if (!(max > 0)) { if (Real.IsNaN(max)) row.Fill(max); else row.Clear(); return; }
        (sum, _) = ScoreRows.Fold(new Above(seen / sum, Offset(seen), 1 / max, power), row, row);
        TensorPrimitives.Multiply(row, 1 / sum, row);
    }

    public void Slope(Span<Real> logits, ReadOnlySpan<Real> weights, Span<Real> gradient)
    {
        int seen = Seen(logits);
        if (seen == 0) { gradient.Clear(); return; }
        Real factor = Factor(seen);
        var (sum, top) = ScoreRows.Fold(new Positive(factor), logits, logits);
        if (sum == 0) { gradient.Clear(); return; }
        if (power > 0)
        {
            Real max = seen / sum * top - Offset(seen);
            if (!(max > 0)) { gradient.Clear(); return; }
            // The largest entry is 1 before the last division, so the sum is one over its weight.
            Real dot = TensorPrimitives.Dot<Real>(gradient, weights), share = TensorPrimitives.Max<Real>(weights);
            ScoreRows.Each(new AboveSlope(seen / sum, Offset(seen), 1 / max, power - 1, dot, share * power / max * seen), logits, gradient);
        }
        Real mean = TensorPrimitives.Dot<Real>(gradient, logits) / sum;
        ScoreRows.Each(new PositiveSlope(mean, factor / sum), logits, gradient);
    }

    readonly struct Positive(Real factor) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => Softplus.Of<TLanes, V>(TLanes.Mul(x, TLanes.Set(factor)));
    }
    // d softplus = σ = 1 − e^−softplus.
    readonly struct PositiveSlope(Real mean, Real scale) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct =>
            TLanes.Mul(TLanes.Mul(TLanes.Sub(y, TLanes.Set(mean)), TLanes.Set(scale)), TLanes.Sub(TLanes.Set(1), Curve.Exp<TLanes, V>(TLanes.Sub(TLanes.Set(0), x))));
    }
    readonly struct Above(Real scale, Real offset, Real inverse, int power) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct => Power<TLanes, V>(Excess<TLanes, V>(x, scale, offset, inverse), power);
    }
    readonly struct AboveSlope(Real scale, Real offset, Real inverse, int power, Real dot, Real size) : ScoreRows.IStep
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<TLanes, V>(V x, V y, V j) where TLanes : struct, ILanes<V> where V : struct
        {
            V u = Excess<TLanes, V>(x, scale, offset, inverse), zero = TLanes.Set(0);
            return TLanes.IfLess(zero, u, TLanes.Mul(TLanes.Mul(TLanes.Sub(y, TLanes.Set(dot)), TLanes.Set(size)), Power<TLanes, V>(u, power)), zero);
        }
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Excess<TLanes, V>(V x, Real scale, Real offset, Real inverse) where TLanes : struct, ILanes<V> where V : struct => TLanes.Mul(TLanes.Set(inverse), TLanes.Max(TLanes.Set(0), TLanes.Sub(TLanes.Mul(x, TLanes.Set(scale)), TLanes.Set(offset))));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static V Power<TLanes, V>(V x, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        V y = TLanes.Set(1);
        for (; n > 0; n >>= 1) { if ((n & 1) != 0) y = TLanes.Mul(y, x); x = TLanes.Mul(x, x); }
        return y;
    }
}
