namespace Fovea.Mechanisms;

/// <summary>
/// Gated linear attention of TransNormerLLM: o_t = Σ_{s≤t} λ^{t−s} (q_t·k_s) v_s with q = silu(x W_q), k = silu(x W_k), v = x W_v, no softmax and no denominator; then
/// W_o (SRMSNorm(o) ∘ x W_u), where SRMSNorm goes over all channels. λ is a constant of the head and of the layer. The first layer has LRPE-d besides: channel c of each head turns by
/// θ_c t, q ← [q cos θt, q sin θt] and k likewise, so that a score is Σ_c q_c k_c cos θ_c(t−s) and the state twice as long; θ is learned and starts as RoPE's frequencies.
/// </summary>
public abstract class TransNormer : HeadAttention
{
    readonly Linear gate; readonly Tensor? theta; readonly Tensor logDecay;

    /// <param name="layer">This layer among <paramref name="layers"/>, from 0.</param>
    /// <param name="decay">False: λ = 1.</param>
    protected TransNormer(AttentionConfig c, Weights w, int layer, int layers, bool decay) : base(c, w)
    {
        if (layer < 0 || layer >= layers) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"must be 0 to {layers - 1}");
        gate = new(w["u_proj"], c.Dim, c.Dim);
        if (layer == 0) theta = w.Get("theta", [c.HeadDim], t => { for (int i = 0; i < c.HeadDim; i++) t.Span[i] = (Real)Math.Pow(10000, -(double)i / c.HeadDim); });
        logDecay = Tensor.Over(new Real[c.Heads], [c.Heads]);
        for (int h = 0; decay && h < c.Heads; h++) logDecay.Span[h] = (Real)LogDecay((h + 1.0) / c.Heads, layer, layers);
    }

    /// <summary>ln λ of a layer, for the head at this share of all heads: 1/H to 1.</summary>
    protected abstract double LogDecay(double head, int layer, int layers);

    protected sealed override Heads Prepare(Heads h) => h with { Q = h.Q.Silu(), K = h.K.Silu() };
    protected sealed override Tensor Attend(Heads h, Pass pass)
    {
        Tensor q = h.Q, k = PerHead(h.K);
        if (theta is not null)
        {
            var at = Tensor.Empty([q.Shape[2], 1]);
            for (int t = 0; t < at.Shape.Size; t++) at.Span[t] = h.Start + t;
            var angle = at.Expand([at.Shape[0], Config.HeadDim]) * theta; Tensor cos = angle.Cos(), sin = angle.Sin();
            q = pass.At(Part.QueryRot, Tensor.Concat(-1, q * cos, q * sin)); k = pass.At(Part.KeyRot, Tensor.Concat(-1, k * cos, k * sin));
        }
        return Recurrence.Attend(this, q, k, PerHead(h.V), logDecay, pass);
    }
    protected sealed override Tensor Finish(Tensor y, Tensor x, Pass pass) => y.RmsNorm(null, (Real)1e-6) * pass.At(Part.Gate, gate.Forward(x));
}

/// <summary>TransNormerLLM's mixer as its paper has it: λ = exp(−(8h/H)(1 − l/L)) for head h = 1 … H of layer l = 1 … L, so low layers and high heads are local and the last layer forgets nothing (transnormerllm, LRPE-d).</summary>
[From("transnormerllm", "LRPE-d, GLA")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class TransNormerAttention(AttentionConfig c, Weights w, int layer = 0, int layers = 4, bool decay = true) : TransNormer(c, w, layer, layers, decay)
{
    protected override double LogDecay(double head, int layer, int layers) => -8 * head * (1 - (layer + 1.0) / layers);
}

/// <summary>The same with the decay of lightning-attention: λ = exp(−2^(−8h/H) (1 − l/(L−1) + 1e-5)), ALiBi's slopes, so the last layer hardly forgets.</summary>
[From("lightning-attention", "§ TransNormerLLM")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class LightningAttention(AttentionConfig c, Weights w, int layer = 1, int layers = 4, bool decay = true) : TransNormer(c, w, layer, layers, decay)
{
    protected override double LogDecay(double head, int layer, int layers) => -Math.Pow(2, -8 * head) * (1 - (double)layer / Math.Max(1, layers - 1) + 1e-5);
}
