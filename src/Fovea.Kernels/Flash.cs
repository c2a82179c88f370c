using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>Exact attention in O(N) memory: tiles of keys, a running maximum and a running sum per query.</summary>
public static class Flash
{
    /// <summary>
    /// Softmax attention. o [B,H,N,E] and lse [B,H,N] are overwritten. Query i stands at position queryOffset + i, key j at keyPositions[j] (ascending), or j if that is empty.
    /// A row that sees nothing gets zeros and lse −∞.
    /// </summary>
    public static void Forward<TScore, TPattern>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern
        => Forward<TScore, TPattern, SoftmaxWeights>(s, q, k, v, queryOffset, keyPositions, score, pattern, null, o, lse);

    /// <summary>As above with any normaliser and, if blocks is given, only over the listed key blocks. lse is written for softmax only and may be empty otherwise.</summary>
    public static void Forward<TScore, TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, Span<Real> o, Span<Real> lse)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
    {
        var t = new Real[s.Keys]; bool soft = typeof(TWeights) == typeof(SoftmaxWeights); long work = 0;
        for (int row = 0; row < s.Batch * s.Heads * s.Queries; row++)
        {
            int h = row / s.Queries % s.Heads, i = queryOffset + row % s.Queries;
            work += Logits(s, q, k, row, queryOffset, keyPositions, score, pattern, blocks, t, null);
            var acc = o.Slice(row * s.ValueDim, s.ValueDim); acc.Clear();
            int kv = (row / s.Queries / s.Heads * s.KvHeads + h / s.Group) * s.KeyRows;
            Real sum = 1;
            if (soft)
            {
                Real max = Real.NegativeInfinity; sum = 0;
                foreach (Real x in t) max = Real.IsNaN(x) || x > max ? x : max;
                if (Real.IsNegativeInfinity(max)) { lse[row] = max; continue; }
                for (int j = 0; j < t.Length; j++) sum += t[j] = Real.Exp(t[j] - max);
                lse[row] = max + Real.Log(sum);
            }
            else TWeights.Weights(t);
            for (int j = 0; j < t.Length; j++) if (t[j] != 0) TensorPrimitives.MultiplyAdd(v.Slice((kv + j) * s.ValueDim, s.ValueDim), t[j] / sum, acc, acc);
        }
        Work.Add(work);
    }

    static long Logits<TScore, TPattern>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, int row, int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, Span<Real> t, Real[]? raw)
        where TScore : struct, IScore where TPattern : struct, IPattern
    {
        int bh = row / s.Queries, h = bh % s.Heads, i = queryOffset + row % s.Queries; long work = 0;
        int kv = (bh / s.Heads * s.KvHeads + h / s.Group) * s.KeyRows;
        for (int j = 0; j < s.Keys; j++)
        {
            int at = keyPositions.IsEmpty ? j : keyPositions[j];
            bool seen = pattern.Allows(i, at);
            if (blocks is not null) { int r = bh * ((s.Queries + blocks.QueryBlock - 1) / blocks.QueryBlock) + row % s.Queries / blocks.QueryBlock; seen &= blocks.Keys.AsSpan(blocks.Start[r], blocks.Start[r + 1] - blocks.Start[r]).Contains(j / blocks.KeyBlock); }
            if (seen) { work += s.Dim + s.ValueDim; t[j] = s.Scale * TensorPrimitives.Dot(q.Slice(row * s.Dim, s.Dim), k.Slice((kv + j) * s.Dim, s.Dim)); if (raw is not null) raw[j] = t[j]; t[j] = score.Of(t[j], h, i, at); }
            else { t[j] = Real.NegativeInfinity; if (raw is not null) raw[j] = 0; }
        }
        return work;
    }

    /// <summary>Adds into dq, dk, dv. Recomputes weights from lse (softmax) or from the logits, so nothing quadratic is stored.</summary>
    public static void Backward<TScore, TPattern>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO,
        Span<Real> dq, Span<Real> dk, Span<Real> dv)
        where TScore : struct, IScore where TPattern : struct, IPattern
        => Backward<TScore, TPattern, SoftmaxWeights>(s, q, k, v, queryOffset, keyPositions, score, pattern, null, o, lse, default, dO, dq, dk, dv);

    /// <summary>
    /// As above with any normaliser and block list. dLse [B,H,N] is the gradient that flows into lse, or empty. If TScore is an <see cref="ILearnedScore"/> its GradRow is called.
    /// </summary>
    public static void Backward<TScore, TPattern, TWeights>(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v,
        int queryOffset, ReadOnlySpan<int> keyPositions, TScore score, TPattern pattern, BlockList? blocks, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dLse, ReadOnlySpan<Real> dO,
        Span<Real> dq, Span<Real> dk, Span<Real> dv)
        where TScore : struct, IScore where TPattern : struct, IPattern where TWeights : struct, INormaliser
    {
        Real[] p = new Real[s.Keys], raw = new Real[s.Keys], ds = new Real[s.Keys]; bool soft = typeof(TWeights) == typeof(SoftmaxWeights); long work = 0;
        for (int row = 0; row < s.Batch * s.Heads * s.Queries; row++)
        {
            int bh = row / s.Queries, b = bh / s.Heads, h = bh % s.Heads, i = queryOffset + row % s.Queries;
            int kv = (b * s.KvHeads + h / s.Group) * s.KeyRows;
            work += 5 * Logits(s, q, k, row, queryOffset, keyPositions, score, pattern, blocks, p, raw) / 2;
            var qi = q.Slice(row * s.Dim, s.Dim); var dqi = dq.Slice(row * s.Dim, s.Dim);
            var doi = dO.Slice(row * s.ValueDim, s.ValueDim);
            Real delta = TensorPrimitives.Dot(doi, o.Slice(row * s.ValueDim, s.ValueDim)) - (dLse.IsEmpty ? 0 : dLse[row]);
            if (soft && Real.IsNegativeInfinity(lse[row])) continue;
            if (soft) for (int j = 0; j < p.Length; j++) p[j] = Real.Exp(p[j] - lse[row]); else TWeights.Weights(p);
            for (int j = 0; j < s.Keys; j++)
            {
                TensorPrimitives.MultiplyAdd(doi, p[j], dv.Slice((kv + j) * s.ValueDim, s.ValueDim), dv.Slice((kv + j) * s.ValueDim, s.ValueDim));
                ds[j] = TensorPrimitives.Dot(doi, v.Slice((kv + j) * s.ValueDim, s.ValueDim));
                if (soft) ds[j] = p[j] * (ds[j] - delta);
            }
            if (!soft) TWeights.Slope(p, ds);
            for (int j = 0; j < s.Keys; j++)
            {
                int at = keyPositions.IsEmpty ? j : keyPositions[j];
                if (p[j] == 0) continue;
                if (score is ILearnedScore learned) learned.GradRow(raw.AsSpan(j, 1), ds.AsSpan(j, 1), b, h, i, at);
                Real d = ds[j] * score.Slope(raw[j], h, i, at) * s.Scale;
                TensorPrimitives.MultiplyAdd(k.Slice((kv + j) * s.Dim, s.Dim), d, dqi, dqi);
                TensorPrimitives.MultiplyAdd(qi, d, dk.Slice((kv + j) * s.Dim, s.Dim), dk.Slice((kv + j) * s.Dim, s.Dim));
            }
        }
        Work.Add(work);
    }

    /// <summary>
    /// Merges two partial softmax results over disjoint key sets: o, lse become those of the union. rows results of size dim each.
    /// An empty part is (0, −∞). L = max + log(e^(a−max) + e^(b−max)), o = e^(a−L)·o_a + e^(b−L)·o_b.
    /// </summary>
    public static void Merge(int rows, int dim, Span<Real> o, Span<Real> lse, ReadOnlySpan<Real> otherO, ReadOnlySpan<Real> otherLse)
    {
        for (int r = 0; r < rows; r++)
        {
            Real a = lse[r], b = otherLse[r], max = Real.Max(a, b);
            if (Real.IsNegativeInfinity(max)) continue;
            Real l = max + Real.Log(Real.Exp(a - max) + Real.Exp(b - max)), wa = Real.Exp(a - l), wb = Real.Exp(b - l);
            var x = o.Slice(r * dim, dim);
            TensorPrimitives.Multiply(x, wa, x);
            TensorPrimitives.MultiplyAdd(otherO.Slice(r * dim, dim), wb, x, x);
            lse[r] = l;
        }
    }
}
