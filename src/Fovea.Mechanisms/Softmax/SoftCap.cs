using System.Numerics.Tensors;
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
    public void Row(Span<Real> raw, int head, int query, int firstKey)
    {
        TensorPrimitives.Multiply(raw, 1 / Cap, raw);
        Map.Apply<Tanh>(raw, raw);
        TensorPrimitives.Multiply(raw, Cap, raw);
    }
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey)
    {
        Span<Real> t = stackalloc Real[64];
        for (int j = 0; j < raw.Length; j += t.Length)
        {
            var part = t[..Math.Min(t.Length, raw.Length - j)]; var g = gradient.Slice(j, part.Length);
            TensorPrimitives.Multiply(raw.Slice(j, part.Length), 1 / Cap, part);
            Map.Apply<Tanh>(part, part);
            TensorPrimitives.Multiply(part, part, part);
            TensorPrimitives.Subtract(1, part, part);
            TensorPrimitives.Multiply(g, part, g);
        }
    }
}
