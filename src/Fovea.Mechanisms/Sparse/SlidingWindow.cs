using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Each token sees itself and the window − 1 tokens before it: j ≤ i and i − j &lt; W (§3.1, Fig. 2b).</summary>
[From("2004.05150", "§3.1")]
public readonly record struct Window(int Width) : IRangePattern
{
    public (int First, int End) Range(int query) => (query - Width + 1, query + 1);
    public bool Allows(int query, int key) => key <= query && query - key < Width;
    public Cover Tile(int q0, int q1, int k0, int k1) =>
        k0 > q1 || q0 - k1 >= Width ? Cover.None : k1 <= q0 && q1 - k0 < Width ? Cover.All : Cover.Mixed;
}

/// <summary>Softmax over the last <paramref name="window"/> tokens, the token itself included. While decoding, older keys are forgotten.</summary>
[From("2004.05150", "§3.1")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse | Traits.Linear | Traits.ConstantState)]
public sealed class SlidingWindowAttention(AttentionConfig c, Weights w, int window = 64) : SoftmaxAttention<Plain, Window>(c, w, new(), new(window))
{
    protected override KvState StartKv() => new WindowKv(window);
}
