using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Relative attention with learned distance vectors: S_ij = (q_i·k_j + q_i·e_{i−j})/√D, j ≤ i, one vector per head and distance 0 … L − 1 with L the configured length; longer
/// distances use the last one (§3.3). The fused form keeps nothing of size N×N; the plain one is the paper's skew (§3.4.1). Positions of the configuration are ignored.
/// </summary>
[From("music-transformer", "§3.4")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class RelativeAttention(AttentionConfig c, Weights w) : HeadAttention(c with { Position = null }, w)
{
    readonly int length = c.Causal ? c.Length : throw new ArgumentException("relative attention looks back only; it needs Causal = true");
    // Row L − 1 − t is distance t, as the skew wants it. Small, so that training starts near plain attention.
    readonly Tensor table = w.Get("distances", [c.Heads, c.Length, c.HeadDim], Init.Normal02);

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self) throw new ArgumentException("distances to another sequence mean nothing; relative attention reads its own input only");
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        int[]? positions = kv?.Positions.ToArray(); int keys = kv?.Count ?? h.K.Shape[2];
        var o = pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern) ? Plain(h, keys, positions, pass) : Fused(h.Q, h.K, h.V, table, h.Start, keys, positions);
        kv?.Attended(h.Q);
        kv?.Settle();
        return o;
    }

    /// <summary>q [B,H,N,D], k [B,G,R,D], v [B,G,R,E] of whose rows the first <paramref name="keys"/> count, table [H,L,D] with distance t in row L − 1 − t → o [B,H,N,E]. Query 0 stands at start, keys at 0, 1, 2 … or at positions.</summary>
    public static Tensor Fused(Tensor q, Tensor k, Tensor v, Tensor table, int start = 0, int? keys = null, int[]? positions = null)
    {
        var (b, h, n, d) = q.Shape; var (_, g, rows, _) = k.Shape; int length = table.Shape[1];
        Check.Shape(k, [b, g, rows, d]); Check.Shape(v, [b, g, rows, -1]); Check.Shape(table, [h, length, d]);
        // Keys that stand side by side from 0 need no list, and are read without looking each of them up.
        if (positions is not null && positions.AsSpan().SequenceEqual(HeadAttention.Consecutive(0, positions.Length))) positions = null;
        var size = new AttentionSize(b, h, g, n, keys ?? rows, d, v.Shape[3]) { KeyRows = rows };
        var o = Tensor.Empty([b, h, n, v.Shape[3]]); var lse = Tensor.Empty([b, h, n]).Exactly();
        RelativeFlash.Forward(size, q.Span, k.Span, v.Span, table.Span, length, start, positions, o.Span, lse.Span);
        return Tensor.Record(o, [q, k, v, table], o =>
            RelativeFlash.Backward(size, q.Span, k.Span, v.Span, table.Span, length, start, positions, o.Span, lse.Span, o.Grad, q.Grad, k.Grad, v.Grad, table.Grad));
    }

    Tensor Plain(Heads h, int keys, int[]? positions, Pass pass)
    {
        var (q, k, v) = (h.Q, PerHead(h.K.Slice(2, 0, keys)), PerHead(h.V.Slice(2, 0, keys))); var (b, heads, n, d) = q.Shape;
        // The skew is for a square, so it serves where queries and keys are the same tokens; elsewhere each row is looked up.
        bool square = n == keys && n <= length && h.Start == 0;
        var relative = square ? RelativeShift.Skew(q.MatMulT(table.Slice(1, length - n, length).Expand([b, heads, n, d])))
            : RelativeShift.Pick(q.MatMulT(table.Expand([b, heads, length, d])), keys, (i, j) => length - 1 - Math.Clamp(h.Start + i - (positions?[j] ?? j), 0, length - 1));
        var mask = Tensor.Zeros([n, keys]);
        for (int i = 0; i < n; i++) for (int j = 0; j < keys; j++) if ((positions?[j] ?? j) > h.Start + i) mask.Span[i * keys + j] = Real.NegativeInfinity;
        var scores = pass.At(Part.Scores, (q.MatMulT(k) + relative) * (1 / Real.Sqrt(d)) + mask);
        return pass.At(Part.Pattern, scores.Softmax()).MatMul(v);
    }
}

/// <summary>From products with distance vectors to products with keys, by shape changes alone, and the gather that they replace.</summary>
[From("music-transformer", "§3.4.1, §3.5")]
public static class RelativeShift
{
    /// <summary>
    /// x [B,H,N,N] with column e for distance N − 1 − e → [B,H,N,N] with column j for key j: a zero column on the left, reshape, drop the first row. Above the diagonal stands
    /// what belongs to other rows; the causal mask covers it.
    /// </summary>
    public static Tensor Skew(Tensor x)
    {
        var (b, h, n, _) = x.Shape;
        Check.Shape(x, [b, h, n, n]);
        return Tensor.Concat(-1, Tensor.Zeros([b, h, n, 1]), x).Reshape([b, h, n + 1, n]).Slice(2, 1, n + 1);
    }

    /// <summary>x [B,H,N,2N−1] with column N − 1 + j − i for query i and key j of the block before → [B,H,N,N]: a zero column on the right, N − 1 zeros, reshape, cut (§3.5).</summary>
    public static Tensor SkewPrevious(Tensor x)
    {
        var (b, h, n, w) = x.Shape;
        Check.Shape(x, [b, h, n, 2 * n - 1]);
        var flat = Tensor.Concat(-1, x, Tensor.Zeros([b, h, n, 1])).Reshape([b, h, 2 * n * n]);
        return Tensor.Concat(-1, flat, Tensor.Zeros([b, h, n - 1])).Reshape([b, h, n + 1, w]).Slice(2, 0, n).Slice(3, n - 1, w);
    }

    /// <summary>y[b,h,i,j] = x[b,h,i,column(i,j)], x [B,H,N,·] → [B,H,N,M].</summary>
    public static Tensor Pick(Tensor x, int keys, Func<int, int, int> column)
    {
        var (b, h, n, e) = x.Shape; var index = new int[b * h * n * keys];
        for (int r = 0; r < b * h * n; r++) for (int j = 0; j < keys; j++) index[r * keys + j] = r * e + column(r % n, j);
        return x.Reshape([x.Shape.Size, 1]).Gather(index).Reshape([b, h, n, keys]);
    }

    /// <summary>
    /// The form of Shaw et al. (arXiv 1803.02155, §3.3), O(N M D) in memory: gathers a distance vector for every pair, then q [B,H,N,D] and table [H,L,D] give q_i·table[column(i,j)], [B,H,N,M].
    /// </summary>
    public static Tensor Gather(Tensor q, Tensor table, int keys, Func<int, int, int> column)
    {
        var (b, h, n, d) = q.Shape; int length = table.Shape[1]; var index = new int[h * n * keys];
        for (int r = 0; r < h * n; r++) for (int j = 0; j < keys; j++) index[r * keys + j] = r / n * length + column(r % n, j);
        var pairs = table.Reshape([h * length, d]).Gather(index).Reshape([1, h * n, keys, d]).Expand([b, h * n, keys, d]).Reshape([b * h * n, keys, d]);
        return q.Reshape([b * h * n, 1, d]).MatMulT(pairs).Reshape([b, h, n, keys]);
    }
}
