using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Softmax attention whose output is multiplied, before the output projection, by a gate that depends on the query's token: Y' = Y ∘ σ(X W_g), elementwise
/// and head-specific (§2.2, position G1, the paper's best). X is the layer's input. At the start W_g is drawn like any linear layer, so gates are near ½.
/// </summary>
[From("gated-attention", "§2.2, G1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class GatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Heads * c.HeadDim);
    protected override Tensor Finish(Tensor y, Tensor x, Pass pass) => y * pass.At(Part.Gate, gate.Forward(x).Sigmoid());
}

/// <summary>The same with one gate per head and token: W_g [H,C] (§2.2, position G1, headwise).</summary>
[From("gated-attention", "§2.2, G1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class HeadGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Heads);
    protected override Tensor Finish(Tensor y, Tensor x, Pass pass)
    {
        var (b, n, channels) = y.Shape;
        return (y.Reshape([b, n, Config.Heads, channels / Config.Heads]) * pass.At(Part.Gate, gate.Forward(x).Sigmoid()).Reshape([b, n, Config.Heads, 1])).Reshape(y.Shape);
    }
}

/// <summary>The gate of G1 added instead of multiplied: Y' = Y + silu(X W_g) (§3, additive gating).</summary>
[From("gated-attention", "§2.2, G1")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class AdditiveGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Heads * c.HeadDim);
    protected override Tensor Finish(Tensor y, Tensor x, Pass pass) => y + pass.At(Part.Gate, gate.Forward(x).Silu());
}

/// <summary>Softmax attention with gated values: V' = V ∘ σ(X W_g) (§2.2, position G2). The gate belongs to the key's token, so the layer reads no other context.</summary>
[From("gated-attention", "§2.2, G2")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class ValueGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Groups * c.HeadDim);
    protected override Heads Prepare(Heads h) => h with { V = h.V * gate.Forward(h.X).Sigmoid().SplitHeads(Config.Groups) };
}

/// <summary>Softmax attention with gated keys: K' = K ∘ σ(X W_g) (§2.2, position G3), before positions.</summary>
[From("gated-attention", "§2.2, G3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class KeyGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Groups * c.HeadDim);
    protected override Heads Prepare(Heads h) => h with { K = h.K * gate.Forward(h.X).Sigmoid().SplitHeads(Config.Groups) };
}

/// <summary>Softmax attention with gated queries: Q' = Q ∘ σ(X W_g) (§2.2, position G4), before positions.</summary>
[From("gated-attention", "§2.2, G4")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class QueryGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Heads * c.HeadDim);
    protected override Heads Prepare(Heads h) => h with { Q = h.Q * gate.Forward(h.X).Sigmoid().SplitHeads(Config.Heads) };
}

/// <summary>Softmax attention with a gated layer output: O' = O ∘ σ(X W_g), after the output projection (§2.2, position G5).</summary>
[From("gated-attention", "§2.2, G5")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class OutputGatedAttention(AttentionConfig c, Weights w) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Dim);
    protected override Tensor Leave(Tensor y, Tensor x, Pass pass) => y * pass.At(Part.Gate, gate.Forward(x).Sigmoid());
}
