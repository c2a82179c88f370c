using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Clipped softmax (§4.1, Eq. 4): weights clip((ζ − γ)·softmax(s) + γ, 0, 1) with ζ = 1 and γ = −<paramref name="alpha"/>/n for the configured length n, so that a head can do nothing at finite logits.
/// Rows need not sum to one; clipped entries pass no gradient.
/// </summary>
[From("quantizable-transformers", "§4.1, Eq. 4")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class ClippedSoftmaxAttention(AttentionConfig c, Weights w, double alpha = 4) : RowAttention<ClippedSoftmax>(c, w, new((Real)(-alpha / c.Length), 1));

/// <summary>
/// Softmax attention whose heads are gated by their own slice of the layer's input (§4.2, Eq. 5): o_h = σ(w_h·x_h + b_h)·softmax(QKᵀ)V, x_h the channels of head h. Gates start at <paramref name="start"/>.
/// </summary>
[From("quantizable-transformers", "§4.2, Eq. 5")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class SliceGatedAttention(AttentionConfig c, Weights w, double start = 0.5) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Tensor weight = w["gate"].Get("weight", [c.Heads, c.HeadDim]), bias = w["gate"].Get("bias", [c.Heads], t => t.Span.Fill((Real)Math.Log(start / (1 - start))));

    protected override Tensor Finish(Tensor y, Tensor x, Pass pass)
    {
        var (b, n, channels) = y.Shape; int h = Config.Heads;
        var gate = ((x.Reshape([b, n, h, channels / h]) * weight).Sum(-1).Reshape([b, n, h]) + bias).Sigmoid();
        return (y.Reshape([b, n, h, channels / h]) * pass.At(Part.Gate, gate).Reshape([b, n, h, 1])).Reshape(y.Shape);
    }
}
