using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>Linear attention with a feature map of its own, as a baseline; 2D features per head.</summary>
abstract class MappedAttention(AttentionConfig c, Weights w) : HeadAttention(c, w), IFeatureMap
{
    public abstract (Tensor Q, Tensor K) Features(Tensor q, Tensor k);
    protected override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        var (q, k) = Features(h.Q, h.K);
        return Recurrence.Normalised(this, q, PerHead(k), PerHead(h.V), null, pass, (Real)1e-6);
    }
}

/// <summary>relu(W x + b), trained (T2R, arXiv 2103.13076).</summary>
sealed class ReluMap(AttentionConfig c, Weights w) : MappedAttention(c, w)
{
    readonly Tensor wq = w.Get("map_q", [c.Heads, 2 * c.HeadDim, c.HeadDim]), bq = w.Get("map_q_bias", [c.Heads, 1, 2 * c.HeadDim], Init.Zeros);
    readonly Tensor wk = w.Get("map_k", [c.Groups, 2 * c.HeadDim, c.HeadDim]), bk = w.Get("map_k_bias", [c.Groups, 1, 2 * c.HeadDim], Init.Zeros);
    static Tensor Map(Tensor x, Tensor weight, Tensor bias) { var (b, h, _, d) = x.Shape; return (x.MatMulT(weight.Expand([b, h, 2 * d, d])) + bias).Relu(); }
    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (Map(q, wq, bq), Map(k, wk, bk));
}

/// <summary>exp(ω·x − |x|²/2) for fixed random ω, an unbiased estimate of softmax's kernel (FAVOR+, arXiv 2009.14794).</summary>
sealed class FavorMap(AttentionConfig c, Weights w) : MappedAttention(c, w)
{
    readonly Tensor omega = Tensor.Normal(w.Rng["omega"], [2 * c.HeadDim, c.HeadDim]);
    Tensor Map(Tensor x)
    {
        x *= 1 / Real.Sqrt(Real.Sqrt(x.Shape[3]));
        var log = x.MatMulT(omega) - x.Square().Sum(3) * (Real)0.5;
        // A factor common to all features of all tokens falls out of the quotient.
        return (log - System.Numerics.Tensors.TensorPrimitives.Max<Real>(log.Span)).Exp();
    }
    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (Map(q), Map(k));
}
