using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Adds a learned number per head and bucket of distance to each score (arXiv 1910.10683 §2.1): half of the buckets hold one distance each, the other half
/// distances in growing steps up to <paramref name="farthest"/>. Without a causal mask half of them are for keys after the query. Buckets start small.
/// The positions of the configuration are ignored.
/// </summary>
[From("1910.10683", "§2.1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class RelativeBiasAttention(AttentionConfig c, Weights w, int buckets = 32, int farthest = 128)
    : SoftmaxAttention<RelativeBias>(c with { Position = null }, w, default)
{
    readonly Tensor table = w.Get("relative_bias", [c.Heads, buckets], Init.Normal02);

    protected override RelativeBias Score(int batch)
    {
        // One copy per row of the batch: the kernel fills their gradients in parallel, and the tape adds them up.
        var rows = table.Expand([batch, table.Shape[0], buckets]);
        if (rows.RequiresGrad) _ = rows.Grad;
        return new(rows, farthest, Config.Causal);
    }
}

/// <summary>s + bias[head, bucket(query − key)]; bias [B,H,buckets], equal in all rows of the batch.</summary>
public readonly struct RelativeBias(Tensor bias, int farthest, bool causal) : ILearnedScore
{
    int Buckets => bias.Shape[2];

    /// <summary>The bucket of a distance query − key.</summary>
    public int Bucket(int distance)
    {
        int count = Buckets, first = 0;
        if (!causal) { count /= 2; if (distance < 0) { first = count; distance = -distance; } }
        distance = Math.Max(0, distance);
        int exact = count / 2;
        if (distance < exact || exact == 0) return first + Math.Min(distance, count - 1);
        int far = exact + (int)(Math.Log((double)distance / exact) / Math.Log((double)Math.Max(farthest, exact + 1) / exact) * (count - exact));
        return first + Math.Min(far, count - 1);
    }

    public Real Of(Real raw, int head, int query, int key) => raw + bias.Span[head * Buckets + Bucket(query - key)];
    public Real Slope(Real raw, int head, int query, int key) => 1;
    public void Row(Span<Real> raw, int head, int query, int firstKey)
    {
        var b = bias.Span.Slice(head * Buckets, Buckets);
        for (int j = 0; j < raw.Length; j++) raw[j] += b[Bucket(query - firstKey - j)];
    }
    public void SlopeRow(ReadOnlySpan<Real> raw, Span<Real> gradient, int head, int query, int firstKey) { }
    public void GradRow(ReadOnlySpan<Real> raw, ReadOnlySpan<Real> dLogit, int batch, int head, int query, int firstKey)
    {
        var g = bias.Grad.Slice((batch * bias.Shape[1] + head) * Buckets, Buckets);
        for (int j = 0; j < raw.Length; j++) g[Bucket(query - firstKey - j)] += dLogit[j];
    }
}
