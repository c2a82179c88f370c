using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Combiner-Fixed: full attention as a factorised expectation. A token sees its own segment of <paramref name="segment"/> tokens directly, and every earlier segment r through one key
/// k̄_r and one value v̄_r = Σ_j softmax_j(q̄_r·k_j/√D) v_j, under one softmax: p(j|i) = p(r|i)·p(j|r) for tokens of earlier segments (§3.2, §4.1), so that every weight is positive and rows sum
/// to 1. k̄ and q̄ are means over the segment (the paper also has sums and maxima), after positions. Cost O(N·(b + N/b)). Axial is <see cref="AxialCombinerAttention"/>; not here: LogSparse.
/// </summary>
[From("combiner", "§4.1")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class CombinerAttention(AttentionConfig c, Weights w, int segment = 16) : GroupedAttention(c, w, segment, 1)
{
    protected override bool Turned => true;

    protected override (Tensor K, Tensor V) Summarise(Tensor q, Tensor k, Tensor v) =>
        (Mean(k), Softmax.Fused<Plain, Everything, SoftmaxWeights>(Mean(q), k, v, new(), new(), new()));
    static Tensor Mean(Tensor x) => x.Mean(2).Reshape([x.Shape[0], 1, 1, x.Shape[3]]);
}
