using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Adds −m_h |i − j| to each score, with m_h = 2^(−8(h+1)/H) (§3). The paper is causal, where |i − j| = i − j; without a causal mask the distance is symmetric.
/// Needs no other positions and ignores those of the configuration.
/// </summary>
[From("2108.12409", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class AlibiAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Alibi>(c with { Position = null }, w, new(c.Heads));

/// <summary>s − m_h |i − j|</summary>
public readonly record struct Alibi(int Heads) : IScore
{
    Real Slope(int head) => Real.Exp2(-8 * (Real)(head + 1) / Heads);
    public Real Of(Real raw, int head, int query, int key) => raw - Slope(head) * Math.Abs(query - key);
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey)
    {
        // Keys up to the query are the nearer the later they come, those after it the other way round.
        Real m = Slope(head); int before = Math.Clamp(query - firstKey, 0, raw.Length);
        ScoreRows.AddRamp(raw[..before], -m * (query - firstKey), m);
        ScoreRows.AddRamp(raw[before..], -m * (firstKey + before - query), -m);
    }
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
}
