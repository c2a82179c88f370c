namespace Fovea.Mechanisms;

/// <summary>
/// Attention with bounded memory (Eq. 4–6): each token writes its key and value into <paramref name="slots"/> slots with weights φ_t = exp(W x_t), k̃ = Σ φ ⊗ k / Σ φ and ṽ likewise, and a query attends to the slots,
/// o_t = softmax(q_t k̃ᵀ/√D) ṽ. Causal with sums over the past only. Both sums are linear attentions: q_t·k̃ is one with values φ, and the output is one with keys φ and queries softmax/Σφ, so the state
/// has slots·(D + E + 1) numbers per head. φ is held within e^±8 by 8·tanh(·/8), or one token could drown all others for good; the paper leaves it free.
/// </summary>
[From("2110.02488", "Eq. 4")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class AbcAttention(AttentionConfig c, Weights w, int slots = 16) : HeadAttention(c, w)
{
    readonly Linear control = new(w["control"], c.HeadDim, slots);
    // The second sum has a state of its own.
    readonly object values = new();

    protected override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        // The slots are chosen by what a token says as a key, one map for all heads.
        var phi = PerHead(((control.Forward(h.K) * (Real)0.125).Tanh() * 8).Exp());
        Tensor k = PerHead(h.K), v = PerHead(h.V); var (b, heads, m, _) = k.Shape; int d = h.Q.Shape[3], n = h.Q.Shape[2];
        bool causal = Config.Causal && h.Self;
        Tensor q = h.Q * (1 / Real.Sqrt(d)), one = Tensor.Full([b, heads, n, 1], 1), ones = Tensor.Full([b, heads, m, 1], 1);
        // q·k and 1·1 side by side would mix; two reads of the same sums keep them apart.
        var scores = causal ? Recurrence.Attend(this, q, k, phi, null, pass) : q.MatMul(k.Transpose().MatMul(phi));
        var mass = causal ? Recurrence.Attend(control, one, ones, phi, null, pass) : ones.Transpose().MatMul(phi);
        var p = (scores / mass).Softmax() / mass;
        return causal ? Recurrence.Attend(values, p, phi, v, null, pass) : p.MatMul(phi.Transpose().MatMul(v));
    }
}
