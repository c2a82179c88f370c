using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>The two-level softmax of landmark attention, fused and plain. Key j of block b = ⌊j/block⌋ is its landmark if it is the last one. Lists, if given, name for each query [B·H·N] the earlier blocks that it sees.</summary>
[From("landmark-attention", "§3.1")]
public static class GroupedSoftmax
{
    /// <summary>q [B,H,N,D], k [B,G,R,D], v [B,G,R,E] of whose rows the first <paramref name="keys"/> count → [B,H,N,E]. Query 0 stands at start, keys at 0, 1, 2 …; keys reach at least to the last query.</summary>
    public static Tensor Fused(Tensor q, Tensor k, Tensor v, int block, int start = 0, int? keys = null, BlockList? lists = null)
    {
        var (b, h, n, d) = q.Shape; var (_, g, rows, _) = k.Shape;
        Check.Shape(k, [b, g, rows, d]); Check.Shape(v, [b, g, rows, -1]);
        var size = new AttentionSize(b, h, g, n, keys ?? rows, d, v.Shape[3]) { KeyRows = rows };
        var o = Tensor.Empty([b, h, n, v.Shape[3]]); var lse = Tensor.Empty([b, h, n]);
        LandmarkFlash.Forward(size, block, q.Span, k.Span, v.Span, start, lists, o.Span, lse.Span);
        return Tensor.Record(o, [q, k, v], o => LandmarkFlash.Backward(size, block, q.Span, k.Span, v.Span, start, lists, o.Span, lse.Span, o.Grad, q.Grad, k.Grad, v.Grad));
    }

    /// <summary>The definition, with weights [B,H,N,M] for probes: k [B,H,M,D], v [B,H,M,E].</summary>
    public static Tensor Plain(Tensor q, Tensor k, Tensor v, int block, int start, BlockList? lists, Pass pass)
    {
        var (b, h, n, d) = q.Shape; int m = k.Shape[2], blocks = (m + block - 1) / block, width = blocks * block;
        Check.Shape(k, [b, h, m, d]); Check.Shape(v, [b, h, m, -1]);
        // What is seen at all, and what of it stands in the upper softmax.
        Tensor seen = Tensor.Full([b, h, n, m], Real.NegativeInfinity), upper = Tensor.Full([b, h, n, width], Real.NegativeInfinity);
        for (int r = 0; r < b * h * n; r++)
        {
            int at = start + r % n, own = at / block;
            for (int j = 0; j < Math.Min(m, at + 1); j++)
            {
                bool landmark = j % block == block - 1, before = j / block < own;
                if (before ? lists is not null && !lists.Keys.AsSpan(lists.Start[r]..lists.Start[r + 1]).Contains(j / block) : landmark) continue;
                seen.Span[r * m + j] = 0;
                if (before == landmark) upper.Span[r * width + j] = 0;
            }
        }
        var scores = pass.At(Part.Scores, q.MatMulT(k) * (1 / Real.Sqrt(d)) + seen);
        if (width > m) scores = Tensor.Concat(-1, scores, Tensor.Full([b, h, n, width - m], Real.NegativeInfinity));
        var within = scores.Reshape([b, h, n, blocks, block]).Slice(-1, 0, block - 1).Softmax(); var p = (scores + upper).Softmax().Reshape([b, h, n, blocks, block]);
        var weights = p.Slice(-1, 0, block - 1) + within * p.Slice(-1, block - 1, block);
        weights = Tensor.Concat(-1, weights, Tensor.Zeros([b, h, n, blocks, 1])).Reshape([b, h, n, width]).Slice(-1, 0, m);
        return pass.At(Part.Pattern, weights).MatMul(v);
    }
}
