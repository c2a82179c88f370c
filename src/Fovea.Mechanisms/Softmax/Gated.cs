using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Softmax attention whose output is multiplied, before the output projection, by a gate that depends on the query's token: Y' = Y ∘ σ(X W_g), elementwise
/// and head-specific (§2.2, position G1, the paper's best). X is the layer's input. At the start W_g is drawn like any linear layer, so gates are near ½.
/// </summary>
[From("gated-attention", "§2.2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class GatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Heads * c.HeadDim);
    protected override Tensor Finish(Tensor y, Tensor x) => y * gate.Forward(x).Sigmoid();
}
