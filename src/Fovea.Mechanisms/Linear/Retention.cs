namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention with a fixed decay per head, o_t = Σ_{s≤t} λ^{t−s} (q_t·k_s) v_s, computed in blocks: inside a block by a masked product, between blocks by the state
/// (lightning-attention-2, Algorithm 1; retention, arXiv 2307.08621 Eq. 6). λ_h = 1 − 2^(−5−7h/(H−1)), retention's range with its last head at 1 − 2^−12; q is scaled by 1/√D
/// and the heads are RMS-normalised, as retention's group norm does.
/// </summary>
[From("lightning-attention-2", "Algorithm 1"), From("2307.08621", "Eq. 6")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class RetentionAttention(AttentionConfig c, Weights w) : HeadAttention(c, w)
{
    protected override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        int heads = Config.Heads;
        var decay = Tensor.Empty([heads]);
        for (int i = 0; i < heads; i++) decay.Span[i] = (Real)Math.Log(1 - Math.Pow(2, -5 - 7.0 * i / Math.Max(1, heads - 1)));
        return Recurrence.Attend(this, h.Q * (1 / Real.Sqrt(h.Q.Shape[3])), PerHead(h.K), PerHead(h.V), decay, pass).RmsNorm(null, (Real)1e-6);
    }
}
