using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// A causal pattern over blocks of tokens: each block of queries sees some blocks of keys, and inside what it sees a token sees itself and what came before.
/// <see cref="BlockLists"/> turns it into the lists that the fused kernel walks, forwards and (transposed) backwards. A record struct, so that equal patterns are known as equal.
/// </summary>
public interface IBlockPattern : IPattern
{
    /// <summary>Tokens per block.</summary>
    int Size { get; }
    /// <summary>Whether queries of this block see keys of that one, which is not later.</summary>
    bool Sees(int queryBlock, int keyBlock);
}

/// <summary>From block patterns to block lists.</summary>
[From("s2-attention", "§3")]
public static class BlockLists
{
    /// <summary>
    /// The lists of <paramref name="heads"/>.Length heads for queries [start, start + queries), whose keys stand at 0, 1, 2 …; the same for each of batch rows. All patterns have one block size.
    /// </summary>
    public static BlockList Of<T>(ReadOnlySpan<T> heads, int batch, int queries, int start = 0) where T : struct, IBlockPattern
    {
        if (heads.Length == 0) throw new ArgumentException("block lists need at least one head");
        int size = heads[0].Size;
        foreach (var p in heads) if (p.Size != size) throw new ArgumentException($"a head has blocks of {p.Size} tokens, the first one {size}");
        // Lists count queries from the first one of the call: one that does not begin a block gets a list of its own.
        int per = start % size == 0 ? size : 1, rows = (queries + per - 1) / per;
        var begin = new int[batch * heads.Length * rows + 1]; var keys = new List<int>();
        for (int r = 0, head = 0; head < heads.Length; head++)
            for (int t = 0; t < rows; t++)
            {
                int own = (start + t * per) / size;
                for (int j = 0; j <= own; j++) if (heads[head].Sees(own, j)) keys.Add(j);
                begin[++r] = keys.Count;
            }
        int once = heads.Length * rows, entries = keys.Count;
        var all = new int[entries * batch];
        for (int b = 0; b < batch; b++)
        {
            keys.CopyTo(all, b * entries);
            for (int r = 1; r <= once; r++) begin[b * once + r] = b * entries + begin[r];
        }
        return new BlockList { QueryBlock = per, KeyBlock = size, Start = begin, Keys = all };
    }

    /// <summary>What IPattern.Tile answers for a block pattern.</summary>
    internal static Cover Cover<T>(T p, int q0, int q1, int k0, int k1) where T : struct, IBlockPattern
    {
        if (k0 > q1) return Kernels.Cover.None;
        bool any = false, all = k1 <= q0;
        for (int i = q0 / p.Size; i <= q1 / p.Size; i++)
            for (int j = k0 / p.Size; j <= k1 / p.Size; j++)
            {
                bool sees = j <= i && p.Sees(i, j);
                any |= sees; all &= sees;
                if (any && !all) return Kernels.Cover.Mixed;
            }
        return all ? Kernels.Cover.All : any ? Kernels.Cover.Mixed : Kernels.Cover.None;
    }
}

/// <summary>
/// Softmax attention under one block pattern for all heads. The pattern looks at blocks of all ages, so while decoding everything is kept, and a step reads the listed blocks only.
/// </summary>
public abstract class BlockSparseAttention<T>(AttentionConfig c, Weights w, T pattern) : HeadAttention(c, w) where T : struct, IBlockPattern
{
    (int Batch, int Queries, int Start, BlockList Lists)? last;

    protected override Tensor Attend(Heads h, Pass pass)
    {
        if (!h.Self || !Config.Causal) throw new ArgumentException($"{GetType().Name} looks back only; it needs Causal = true and no other context");
        (h, var kv) = Remember(h, () => new GrowingKv(), pass);
        int? count = kv?.Count;
        Tensor o;
        if (pass.Reference || pass.Wants(Part.Scores) || pass.Wants(Part.Pattern))
            o = Softmax.Plain<Plain, T, SoftmaxWeights>(h.Q, h.K, h.V, new(), pattern, new(Start: h.Start, Keys: count), pass);
        else o = Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new(Start: h.Start, Keys: count, Blocks: Lists(h)));
        kv?.Attended(h.Q);
        kv?.Settle();
        return o;
    }

    BlockList Lists(Heads h)
    {
        var (b, heads, n, _) = h.Q.Shape;
        if (last is { } made && made.Batch == b && made.Queries == n && made.Start == h.Start) return made.Lists;
        var patterns = new T[heads];
        Array.Fill(patterns, pattern);
        last = (b, n, h.Start, BlockLists.Of<T>(patterns, b, n, h.Start));
        return last.Value.Lists;
    }
}
