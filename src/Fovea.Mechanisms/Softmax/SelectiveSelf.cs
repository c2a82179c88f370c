using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Softmax attention with a temperature per query and a scale per value, both learned per head (§3): queries are multiplied with τ_q = tanh(w_q·gelu(W_q x)) + 1 + σ(α) ln n, n the position counted from 1,
/// and values with τ_v of the same form from W_v; W_q and W_v are the layer's own projections, so that only w and α are new. w starts at 0; <paramref name="start"/> is α at first: 0 from scratch, −4 for a model that was trained without.
/// </summary>
/// <param name="token">False leaves out the part that depends on the token; null is true.</param>
/// <param name="position">False leaves out the part that depends on the position; null is true.</param>
[From("selective-self-attention", "§3")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact)]
public sealed class SelectiveSelfAttention(AttentionConfig c, Weights w, double start = 0, bool? token = null, bool? position = null) : SoftmaxAttention<Plain>(c, w, new())
{
    readonly Tensor? query = (token ?? true) ? w["temperature_q"].Get("weight", [c.Heads, c.HeadDim], Init.Zeros) : null, value = (token ?? true) ? w["temperature_v"].Get("weight", [c.Groups, c.HeadDim], Init.Zeros) : null;
    readonly Tensor? alphaQ = (position ?? true) ? w["temperature_q"].Get("alpha", [c.Heads], t => t.Span.Fill((Real)start)) : null, alphaV = (position ?? true) ? w["temperature_v"].Get("alpha", [c.Groups], t => t.Span.Fill((Real)start)) : null;

    protected override Heads Prepare(Heads h) => h with { Q = h.Q * Temperature(h.Q, query, alphaQ, h.Start), V = h.V * Temperature(h.V, value, alphaV, h.Start) };

    /// <summary>x [B,H,N,D], w [H,D], α [H] → τ [B,H,N,1].</summary>
    static Tensor Temperature(Tensor x, Tensor? w, Tensor? alpha, int start)
    {
        var (b, h, n, d) = x.Shape; var tau = Tensor.Full([b, h, n, 1], 1);
        if (w is not null) tau += (x.Gelu() * w.Reshape([1, h, 1, d]).Expand([b, h, n, d])).Sum(-1).Reshape([b, h, n, 1]).Tanh();
        if (alpha is null) return tau;
        var log = Tensor.Empty([n, 1]);
        for (int i = 0; i < n; i++) log.Span[i] = Real.Log(start + i + 1);
        return tau + alpha.Sigmoid().Reshape([1, h, 1, 1]).Expand([b, h, n, 1]) * log;
    }
}
