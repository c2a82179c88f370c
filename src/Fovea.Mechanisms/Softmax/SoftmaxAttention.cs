using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// softmax(QKᵀ/√D) V per head: multi-head attention (§3.2), grouped-query attention with KvHeads below Heads (arXiv 2305.13245), multi-query attention with KvHeads = 1
/// (arXiv 1911.02150). Computed in tiles with an online softmax; the N×N matrix is never stored (arXiv 2205.14135).
/// </summary>
[From("flashattention", "Algorithm 1"), From("1706.03762", "§3.2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class SoftmaxAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new());
