namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention with φ(x) = elu(x) + 1: o_t = φ(q_t) Σ_{s≤t} φ(k_s)ᵀv_s / (φ(q_t)·Σ φ(k_s)) (Eq. 7, 9–12). Positions of the configuration, if any,
/// turn q and k before φ.
/// </summary>
[From("2006.16236", "Eq. 7")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class LinearAttention(AttentionConfig c, Weights w) : FeatureMapAttention(c, w)
{
    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (q.EluPlusOne(), k.EluPlusOne());
}
