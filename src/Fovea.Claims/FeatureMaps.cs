using Fovea.Mechanisms;
namespace Fovea.Claims;

/// <summary>relu(W x + b), trained (T2R, arXiv 2103.13076).</summary>
sealed class ReluMap(AttentionConfig c, Weights w) : FeatureMapAttention(c, w)
{
    readonly Tensor wq = w.Get("map_q", [c.Heads, 2 * c.HeadDim, c.HeadDim]), bq = w.Get("map_q_bias", [c.Heads, 1, 2 * c.HeadDim], Init.Zeros);
    readonly Tensor wk = w.Get("map_k", [c.Groups, 2 * c.HeadDim, c.HeadDim]), bk = w.Get("map_k_bias", [c.Groups, 1, 2 * c.HeadDim], Init.Zeros);
    static Tensor Map(Tensor x, Tensor weight, Tensor bias) { var (b, h, _, d) = x.Shape; return (x.MatMulT(weight.Expand([b, h, 2 * d, d])) + bias).Relu(); }
    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (Map(q, wq, bq), Map(k, wk, bk));
}
