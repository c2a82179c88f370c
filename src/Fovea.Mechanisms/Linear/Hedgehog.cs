namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention whose feature map is learned (Eq. 6): f(x) = W x + b per head, W starting at the identity, and φ(x) = softmax([c f(x); −c f(x)]) over the 2D entries with c = 2,
/// the overflow-safe form of [exp f; exp −f] that later libraries use. Queries and keys have maps of their own. Positions of the configuration turn q and k before the map.
/// </summary>
[From("hedgehog", "Eq. 6")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class HedgehogAttention(AttentionConfig c, Weights w) : FeatureMapAttention(c, w)
{
    readonly Tensor wq = w.Get("map_q", [c.Heads, c.HeadDim, c.HeadDim], Init.Identity), bq = w.Get("map_q_bias", [c.Heads, 1, c.HeadDim], Init.Zeros);
    readonly Tensor wk = w.Get("map_k", [c.Groups, c.HeadDim, c.HeadDim], Init.Identity), bk = w.Get("map_k_bias", [c.Groups, 1, c.HeadDim], Init.Zeros);

    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (Features(q, wq, bq), Features(k, wk, bk));

    /// <summary>φ(x) [B,H,N,2D] for x [B,H,N,D] with maps weight [H,D,D] (applied as x Wᵀ) and bias [H,1,D].</summary>
    public static Tensor Features(Tensor x, Tensor weight, Tensor bias)
    {
        var (b, h, n, d) = x.Shape;
        var f = (x.MatMulT(weight.Expand([b, h, d, d])) + bias) * 2;
        return Tensor.Concat(-1, f, -f).Softmax();
    }
}
