using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Core context aware attention: of each group I_r of tokens one core, weighted by the query of its last token, c_r = softmax(q_rg K_Iᵀ/√D) X_I (§3.2, globality), used in place of the group once that has
/// left the last <paramref name="span"/> tokens; those, and what is left of the group at their border, are seen exactly (§3.3, locality), both under one softmax (§3.4). As projections are linear, a
/// head's keys and values are pooled instead of X, before positions; a core key is turned to its group's last position. No parameters beyond those of multi-head attention. The paper's local
/// range counts one token twice; here every token is counted once.
/// </summary>
/// <param name="group">Tokens per core, g.</param>
/// <param name="span">Tokens that are always seen exactly, s.</param>
/// <param name="mean">True: groups are averaged; the ablation that the paper compares with.</param>
[From("cca-attention", "§3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Sparse)]
public sealed class CcaAttention(AttentionConfig c, Weights w, int group = 8, int span = 32, bool mean = false) : GroupedAttention(c, w, group, span)
{
    readonly int last = group - 1; readonly bool mean = mean;
    protected override bool Turned => false;

    protected override (Tensor K, Tensor V) Summarise(Tensor q, Tensor k, Tensor v)
    {
        var kv = Tensor.Concat(-1, k, v); int d = k.Shape[3];
        var pooled = mean ? kv.Mean(2).Reshape([kv.Shape[0], 1, 1, kv.Shape[3]]) : Softmax.Fused<Plain, Everything, SoftmaxWeights>(q.Slice(2, last, last + 1), k, kv, new(), new(), new());
        return (pooled.Slice(3, 0, d), pooled.Slice(3, d, kv.Shape[3]));
    }
}
