using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>A token sees its own block of tokens, up to itself, and the whole block before: Size to 2·Size − 1 tokens back.</summary>
public readonly record struct OwnAndPrevious(int Size) : IRangePattern
{
    public (int First, int End) Range(int query) => ((query / Size - 1) * Size, query + 1);
    public bool Allows(int query, int key) => key <= query && query / Size - key / Size < 2;
    public Cover Tile(int q0, int q1, int k0, int k1) =>
        k0 > q1 || q0 / Size - k1 / Size >= 2 ? Cover.None : k1 <= q0 && q1 / Size - k0 / Size < 2 ? Cover.All : Cover.Mixed;
}

/// <summary>The local layers of MASFormer in their blocked form: a token sees its own block of <paramref name="block"/> tokens and the whole one before (§3). Layouts.MasFormer puts them between full layers.</summary>
[From("masformer", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear)]
public sealed class BlockedWindowAttention(AttentionConfig c, Weights w, int block = 32) : SoftmaxAttention<Plain, OwnAndPrevious>(c, w, new(), new(block))
{
    protected override KvState StartKv() => new RuleKv((position, next) => next / block - position / block < 2);
}
