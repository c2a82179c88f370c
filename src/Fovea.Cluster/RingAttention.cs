using Fovea.Kernels;
namespace Fovea.Cluster;

/// <summary>
/// Softmax attention over a sequence that is dealt to the workers of a ring: worker w holds rows w·N … (w + 1)·N − 1 of q, k and v for all heads. Keys and values travel round the ring; each worker attends to the block that it
/// has and merges what it found by maximum and sum (log-sum-exp), m' = max(m, m_b), ℓ' = ℓe^(m−m') + ℓ_b e^(m_b−m'), so that no worker ever holds more than its shards, one travelling shard and a partial output. Causal blocks that lie in the future
/// are passed on without work. Backward sends keys and values round again together with their gradients, which come home after a full turn; weights are recomputed from the log-sum-exp.
/// The paper leaves open whether heads, rows or both are dealt; here it is rows, and heads are a batch axis that a caller may deal as well.
/// </summary>
[From("unified-token-mixing", "distributed multi-head attention")]
public static class RingAttention
{
    /// <summary>s describes one worker's shards: N queries and as many keys. o [B,H,N,E] and lse [B,H,N] are overwritten. Each worker sends (W − 1) times its keys and values.</summary>
    public static void Forward(IRing ring, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, bool causal, Span<Real> o, Span<Real> lse)
    {
        Check(s);
        int keys = s.Batch * s.KvHeads * s.Keys * s.Dim, values = s.Batch * s.KvHeads * s.Keys * s.ValueDim, rows = s.Batch * s.Heads * s.Queries;
        Guard.Holds(o, (long)rows * s.ValueDim); Guard.Holds(lse, rows);
        Block(s, q, k, v, causal, o, lse);
        if (ring.Size == 1) return;
        var travelling = new Real[keys + values]; Real[] part = new Real[rows * s.ValueDim], partLse = new Real[rows];
        k[..keys].CopyTo(travelling); v[..values].CopyTo(travelling.AsSpan(keys));
        for (int step = 1; step < ring.Size; step++)
        {
            travelling = ring.Exchange(travelling);
            if (causal && Owner(ring, step) > ring.Rank) continue;
            Block(s, q, travelling.AsSpan(0, keys), travelling.AsSpan(keys), false, part, partLse);
            Flash.Merge(rows, s.ValueDim, o, lse, part, partLse);
        }
    }

    /// <summary>Adds into this worker's dq, dk and dv, from the o and lse that Forward gave and the gradient dO of its rows. Each worker sends W times keys, values and their gradients.</summary>
    public static void Backward(IRing ring, in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, bool causal, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv)
    {
        Check(s);
        int keys = s.Batch * s.KvHeads * s.Keys * s.Dim, values = s.Batch * s.KvHeads * s.Keys * s.ValueDim, half = keys + values;
        var travelling = new Real[2 * half];
        k[..keys].CopyTo(travelling); v[..values].CopyTo(travelling.AsSpan(keys));
        for (int step = 0; step < ring.Size; step++)
        {
            if (!causal || Owner(ring, step) <= ring.Rank) BlockBack(s, q, travelling.AsSpan(0, keys), travelling.AsSpan(keys, values), causal && step == 0, o, lse, dO, dq, travelling.AsSpan(half, keys), travelling.AsSpan(half + keys));
            travelling = ring.Exchange(travelling);
        }
        for (int i = 0; i < keys; i++) dk[i] += travelling[half + i];
        for (int i = 0; i < values; i++) dv[i] += travelling[half + keys + i];
    }

    // Whose block is here after so many exchanges.
    static int Owner(IRing ring, int step) => (ring.Rank - step + ring.Size) % ring.Size;

    static void Block(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, bool diagonal, Span<Real> o, Span<Real> lse)
    {
        if (diagonal) Flash.Forward(s, q, k, v, 0, default, new Plain(), new Causal(), o, lse);
        else Flash.Forward(s, q, k, v, 0, default, new Plain(), new Everything(), o, lse);
    }

    static void BlockBack(in AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, bool diagonal, ReadOnlySpan<Real> o, ReadOnlySpan<Real> lse, ReadOnlySpan<Real> dO, Span<Real> dq, Span<Real> dk, Span<Real> dv)
    {
        if (diagonal) Flash.Backward(s, q, k, v, 0, default, new Plain(), new Causal(), o, lse, dO, dq, dk, dv);
        else Flash.Backward(s, q, k, v, 0, default, new Plain(), new Everything(), o, lse, dO, dq, dk, dv);
    }

    static void Check(in AttentionSize s)
    {
        s.Check();
        if (s.Queries != s.Keys || s.KeyRows != s.Keys) throw new ArgumentException($"a worker's shard has {s.Queries} queries and {s.Keys} of {s.KeyRows} keys, expected as many of each");
    }
}
