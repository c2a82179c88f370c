using System.Numerics.Tensors;
using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// o_i = Σ_j σ(q_i·k_j/√D + b) v_j (Eq. 3): each weight stands alone, rows do not sum to one. b = −ln n with n the configured length, so that the output
/// starts with the size that softmax gives it; <paramref name="bias"/> sets another. Queries and keys are RMS-normalised per head, with a learned gain per
/// channel, as the paper advises (§4.3); <paramref name="normalise"/> = false leaves that out.
/// </summary>
[From("sigmoid-attention", "Eq. 3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class SigmoidAttention(AttentionConfig c, Weights w, double? bias = null, bool normalise = true)
    : SoftmaxAttention<Shifted, Causal, SigmoidWeights>(c, w, new((Real)(bias ?? -Math.Log(c.Length))), new())
{
    readonly Tensor? q = normalise ? w["q_norm"].Get("weight", [c.HeadDim], Init.Ones) : null, k = normalise ? w["k_norm"].Get("weight", [c.HeadDim], Init.Ones) : null;
    protected override Heads Prepare(Heads h) => normalise ? h with { Q = h.Q.RmsNorm(q, (Real)1e-6), K = h.K.RmsNorm(k, (Real)1e-6) } : h;
}

/// <summary>s + b</summary>
public readonly record struct Shifted(Real Bias) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => raw + Bias;
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey) => TensorPrimitives.Add(raw, Bias, raw);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
}

/// <summary>σ(s), each entry alone.</summary>
public readonly struct SigmoidWeights : INormaliser
{
    public static void Weights(Span<Real> logits) => ScoreRows.Apply<Kernels.Sigmoid>(logits);
    public static void Slope(ReadOnlySpan<Real> weights, Span<Real> gradient) => ScoreRows.SlopeOf<Kernels.Sigmoid>(weights, gradient);
}
