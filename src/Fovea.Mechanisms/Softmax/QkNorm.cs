using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Cosine attention: queries and keys have length 1, and the logit is their cosine times a learned temperature per layer, which starts at log₂(L² − L) for length L (§3).
/// The temperature is applied to the queries, so the fused kernel needs no parameter.
/// </summary>
[From("2010.04245", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class QkNormAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Tensor temperature = w.Get("temperature", [1], t => t.Span[0] = (Real)Math.Log2((double)c.Length * c.Length - c.Length + 1));
    protected override Real? Scale => 1;
    protected override Heads Prepare(Heads h) => h with { Q = h.Q.L2Normalise((Real)1e-6) * temperature, K = h.K.L2Normalise((Real)1e-6) };
}
