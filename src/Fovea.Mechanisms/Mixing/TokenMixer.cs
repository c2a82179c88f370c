using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// One template for sequence layers: Y = A · V, where the T×T matrix A of each head is all that layers differ in; V = X W_v. A mixer says how A is made, and computes A · V without making it. q and k are [B,H,T,D], v is [B,H,T,E].
/// The paper writes the template with other letters; heads and projections are the caller's.
/// </summary>
[From("unified-token-mixing", "the template")]
public abstract class TokenMixer
{
    /// <summary>Whether A depends on the input.</summary>
    public abstract bool DataDependent { get; }
    /// <summary>A · V in the fast form.</summary>
    public abstract Tensor Forward(Tensor q, Tensor k, Tensor v);
    /// <summary>A [B,H,T,T].</summary>
    public abstract Tensor Materialise(Tensor q, Tensor k);
    /// <summary>Multiply-adds of Forward per head for T tokens, D = E channels, as far as they grow with T.</summary>
    public abstract double Cost(int tokens, int dim);

    /// <summary>0 where key s may be seen by query t, −∞ elsewhere, [T,T].</summary>
    protected static Tensor Mask(int n, Func<int, int, bool> sees)
    {
        var m = Tensor.Empty([n, n]);
        for (int i = 0; i < n * n; i++) m.Span[i] = sees(i / n, i % n) ? 0 : Real.NegativeInfinity;
        return m;
    }
    protected static Tensor Scores(Tensor q, Tensor k) => q.MatMulT(k) * (1 / Real.Sqrt(q.Shape[3]));
}

/// <summary>A = softmax(QKᵀ/√D + causal mask).</summary>
[From("unified-token-mixing", "dense")]
public sealed class DenseMixer : TokenMixer
{
    public override bool DataDependent => true;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v) => Softmax.Fused<Plain, Causal, SoftmaxWeights>(q, k, v, new(), new(), new());
    public override Tensor Materialise(Tensor q, Tensor k) => (Scores(q, k) + Mask(q.Shape[2], (t, s) => s <= t)).Softmax();
    public override double Cost(int tokens, int dim) => (double)tokens * tokens * dim;
}

/// <summary>The same within the last <paramref name="window"/> tokens.</summary>
[From("unified-token-mixing", "local mask")]
public sealed class LocalMixer(int window = 16) : TokenMixer
{
    public override bool DataDependent => true;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v) => Softmax.Fused<Plain, Window, SoftmaxWeights>(q, k, v, new(), new(window), new());
    public override Tensor Materialise(Tensor q, Tensor k) => (Scores(q, k) + Mask(q.Shape[2], (t, s) => s <= t && t - s < window)).Softmax();
    public override double Cost(int tokens, int dim) => 2.0 * tokens * window * dim;
}

/// <summary>The same at every <paramref name="stride"/>-th token before, the token itself included; <paramref name="count"/> of them.</summary>
[From("unified-token-mixing", "strided mask")]
public sealed class StridedMixer(int stride = 4, int count = 16) : TokenMixer
{
    public override bool DataDependent => true;
    // Tokens of one remainder form a sequence of their own, with a window.
    public override Tensor Forward(Tensor q, Tensor k, Tensor v)
    {
        var (b, h, n, _) = q.Shape; int rest = (stride - n % stride) % stride, m = (n + rest) / stride;
        Tensor Deal(Tensor x)
        {
            int d = x.Shape[3];
            if (rest > 0) x = Tensor.Concat(2, x, Tensor.Zeros([b, h, rest, d]));
            return x.Reshape([b * h, m, stride, d]).SwapMiddle();
        }
        var y = Softmax.Fused<Plain, Window, SoftmaxWeights>(Deal(q), Deal(k), Deal(v), new(), new(count), new());
        return y.SwapMiddle().Reshape([b, h, m * stride, v.Shape[3]]).Slice(2, 0, n);
    }
    public override Tensor Materialise(Tensor q, Tensor k) => (Scores(q, k) + Mask(q.Shape[2], (t, s) => s <= t && (t - s) % stride == 0 && t - s < stride * count)).Softmax();
    public override double Cost(int tokens, int dim) => 2.0 * tokens * count * dim;
}

/// <summary>A = softmax(Q(EK)ᵀ/√D) E with E [r,T] (Linformer, arXiv 2006.04768): all tokens are seen, through r sums of them.</summary>
[From("unified-token-mixing", "low rank")]
public sealed class LowRankMixer(Tensor e) : TokenMixer
{
    public override bool DataDependent => true;
    Tensor Few(Tensor x) { var (b, h, n, _) = x.Shape; Check.Shape(e, [-1, n]); return e.Expand([b, h, e.Shape[0], n]).MatMul(x); }
    public override Tensor Forward(Tensor q, Tensor k, Tensor v) => Scores(q, Few(k)).Softmax().MatMul(Few(v));
    public override Tensor Materialise(Tensor q, Tensor k) { var (b, h, n, _) = q.Shape; return Scores(q, Few(k)).Softmax().MatMul(e.Expand([b, h, e.Shape[0], n])); }
    public override double Cost(int tokens, int dim) => 4.0 * tokens * e.Shape[0] * dim;
}

/// <summary>A = D⁻¹(φ(Q)φ(K)ᵀ ∘ M) with φ = elu + 1 and M causal, D the sums of rows.</summary>
[From("unified-token-mixing", "kernelised")]
public sealed class KernelMixer : TokenMixer
{
    const double Eps = 1e-6;
    public override bool DataDependent => true;
    public override Tensor Forward(Tensor q, Tensor k, Tensor v) => Recurrence.Normalised(this, q.EluPlusOne(), k.EluPlusOne(), v, null, Pass.Eval, (Real)Eps);
    public override Tensor Materialise(Tensor q, Tensor k)
    {
        var a = q.EluPlusOne().MatMulT(k.EluPlusOne()) * Mask(q.Shape[2], (t, s) => s <= t).Exp();
        return a / (a.Sum(3) + (Real)Eps);
    }
    public override double Cost(int tokens, int dim) => 2.0 * tokens * (dim + ScanSize.Chunk) * dim;
}
