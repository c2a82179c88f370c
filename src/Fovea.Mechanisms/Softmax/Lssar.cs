using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Length-scaled softplus attention (§3): queries and keys of length 1 (cosines), s = ln d · ln N · q·k for a row that sees N keys, weights softplus(s) divided by their sum.
/// </summary>
[From("lssar", "§3.1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class LssaAttention(AttentionConfig c, Weights w) : RowAttention<SoftplusWeights>(c, w, new(0), (Real)Math.Log(c.HeadDim))
{
    // Before positions, which turn but do not stretch.
    protected override Heads Prepare(Heads h) => h with { Q = h.Q.L2Normalise((Real)1e-6), K = h.K.L2Normalise((Real)1e-6) };
}

/// <summary>
/// The same with re-weighting: b = max(N·a − 1, 0)^<paramref name="power"/> divided by its sum, so that only what is above the average of its row counts, the more the larger the power. The paper takes 3
/// at the length of training and 15 for long texts; it may change without training again.
/// </summary>
[From("lssar", "§3.2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class LssarAttention(AttentionConfig c, Weights w, int power = 3) : RowAttention<SoftplusWeights>(c, w, new(power), (Real)Math.Log(c.HeadDim))
{
    protected override Heads Prepare(Heads h) => h with { Q = h.Q.L2Normalise((Real)1e-6), K = h.K.L2Normalise((Real)1e-6) };
}
