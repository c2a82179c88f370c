namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention with φ(x) = elu(x) + 1: o_t = φ(q_t) Σ_{s≤t} φ(k_s)ᵀv_s / (φ(q_t)·Σ φ(k_s)) (Eq. 7, 9–12). Positions of the configuration, if any,
/// turn q and k before φ.
/// </summary>
[From("2006.16236", "Eq. 7")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class LinearAttention(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        var (q, k, v) = (h.Q.EluPlusOne(), PerHead(h.K).EluPlusOne(), PerHead(h.V));
        return Config.Causal && h.Self ? Recurrence.Normalised(this, q, k, v, null, pass, (Real)1e-6) : Recurrence.Bidirectional(q, k, v, (Real)1e-6);
    }
}
