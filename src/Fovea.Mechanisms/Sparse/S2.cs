using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>A strided shard of the context and a band of blocks before the query: block q sees block k if q − k &lt; Local or (k + Offset + 1) mod Stride = 0.</summary>
public readonly record struct Shard(int Size, int Local, int Stride, int Offset) : IBlockPattern
{
    public bool Sees(int queryBlock, int keyBlock) => queryBlock - keyBlock < Local || (keyBlock + Offset + 1) % Stride == 0;
    public bool Allows(int query, int key) => key <= query && Sees(query / Size, key / Size);
    public Cover Tile(int q0, int q1, int k0, int k1) => BlockLists.Cover(this, q0, q1, k0, k1);
}

/// <summary>
/// S2-Attention: head h reads a shard of the context of its own, every stride-th block from an offset h·s, s = max(1, ⌊stride/H⌋), and all heads read the last blocks (§3). With at least as many heads as
/// the stride, the heads together see every block. Query heads that share a key head share its shard. While decoding, a key head keeps its shard and the last blocks, and forgets the rest.
/// </summary>
/// <param name="block">Tokens per block.</param>
/// <param name="local">Blocks before and with its own that every head sees.</param>
/// <param name="stride">Blocks from one of the shard to the next.</param>
/// <param name="homogeneous">True: s = 0, all heads read the same shard; the baseline that loses most of the context.</param>
[From("s2-attention", "§3")]
[Traits(Traits.Causal | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class S2Attention(AttentionConfig c, Weights w, int block = 16, int local = 1, int stride = 4, bool homogeneous = false) : PerHeadAttention<Shard>(c, w)
{
    readonly int step = block > 0 && local > 0 && stride > 0 ? homogeneous ? 0 : Math.Max(1, stride / c.Groups) : throw new ArgumentException($"block {block}, local {local} and stride {stride} must be positive");
    (int Batch, int Queries, BlockList Lists)? last;

    /// <summary>The shard of a query head.</summary>
    public Shard Of(int head) => new(block, local, stride, head / (Config.Heads / Config.Groups) * step);
    protected override Shard Pattern(int head) => Of(head);
    protected override KvState StartKv(int keyHead)
    {
        var shard = Of(keyHead * (Config.Heads / Config.Groups));
        return new RuleKv((position, next) => shard.Sees(next / block, position / block));
    }

    // All heads in one call, by their lists.
    protected override Tensor Whole(Heads h)
    {
        int b = h.Q.Shape[0], n = h.Q.Shape[2];
        if (last is not { } made || made.Batch != b || made.Queries != n) last = made = (b, n, BlockLists.Of<Shard>([.. Enumerable.Range(0, Config.Heads).Select(Of)], b, n));
        return Softmax.Fused<Plain, Causal, SoftmaxWeights>(h.Q, h.K, h.V, new(), new(), new(Blocks: made.Lists));
    }
}
