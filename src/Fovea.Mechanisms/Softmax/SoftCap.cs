using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Keeps every score within ±cap: s ← cap · tanh(s / cap) (§2).</summary>
[From("2408.00118", "§2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class SoftCapAttention(AttentionConfig c, Weights w, double cap = 50) : SoftmaxAttention<SoftCap>(c, w, new((Real)cap));

/// <summary>cap · tanh(s / cap)</summary>
public readonly record struct SoftCap(Real Cap) : IScore
{
    public Real Of(Real raw, int head, int query, int key) => Cap * Real.Tanh(raw / Cap);
    public Real Slope(Real raw, int head, int query, int key) { Real t = Real.Tanh(raw / Cap); return 1 - t * t; }
    public void Row(Span<Real> raw, int head, int query, int firstKey) => ScoreRows.SoftCap(raw, Cap);
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) => ScoreRows.SoftCapSlope(raw, Cap, gradient);
}
