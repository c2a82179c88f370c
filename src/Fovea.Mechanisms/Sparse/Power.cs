using System.Numerics;
using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Blocks at distances 0, 1, 2, 4, 8 …, the last Window blocks (its own counted) and the first Sinks ones.</summary>
public readonly record struct PowersOfTwo(int Size, int Window, int Sinks) : IBlockPattern
{
    public bool Sees(int queryBlock, int keyBlock) { int back = queryBlock - keyBlock; return back == 0 || BitOperations.IsPow2(back) || back < Window || keyBlock < Sinks; }
    public bool Allows(int query, int key) => key <= query && Sees(query / Size, key / Size);
    public Cover Tile(int q0, int q1, int k0, int k1) => BlockLists.Cover(this, q0, q1, k0, k1);
}

/// <summary>
/// PowerAttention: a block of queries sees the blocks of keys whose distance is a power of two, besides a window and sinks (§4). After d layers it reaches every distance below 2^d, as each distance is a
/// sum of so few powers, while a row reads O(log N) blocks. While decoding all blocks are kept, as each may be needed again, and only the listed ones are read.
/// </summary>
/// <param name="block">Tokens per block.</param>
/// <param name="window">Last blocks that are always seen, its own counted.</param>
/// <param name="sinks">First blocks that are always seen.</param>
[From("power-attention", "§4")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class PowerAttention(AttentionConfig c, Weights w, int block = 32, int window = 4, int sinks = 0) : BlockSparseAttention<PowersOfTwo>(c, w, Pattern(block, window, sinks))
{
    static PowersOfTwo Pattern(int block, int window, int sinks) =>
        block > 0 && window > 0 && sinks >= 0 ? new(block, window, sinks) : throw new ArgumentException($"block {block} and window {window} must be positive, sinks {sinks} at least 0");
}

/// <summary>The last Window blocks and the first Sinks: what block patterns are compared with.</summary>
public readonly record struct LastBlocks(int Size, int Window, int Sinks) : IBlockPattern
{
    public bool Sees(int queryBlock, int keyBlock) => queryBlock - keyBlock < Window || keyBlock < Sinks;
    public bool Allows(int query, int key) => key <= query && Sees(query / Size, key / Size);
    public Cover Tile(int q0, int q1, int k0, int k1) => BlockLists.Cover(this, q0, q1, k0, k1);
}
