using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// S_t = Diag(α_t) S_{t−1} + k_tᵀ v_t, o_t = q_t S_t (Eq. 3) with α_t = σ(W x_t + b)^(1/τ), one gate per key channel. τ = 16 as in the paper (§4.4); W has full rank
/// instead of rank 16. Heads are RMS-normalised and gated by silu(x W_r) (§4.4).
/// </summary>
[From("2312.06635", "Eq. 3")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Linear | Traits.ConstantState)]
public sealed class GatedLinearAttention(AttentionConfig c, Weights w, double temperature = 16) : RecurrentAttention<DiagonalDecay>(c, w, new())
{
    readonly Linear gate = new(w["gate"], c.Dim, c.Dim, bias: true), output = new(w["output_gate"], c.Dim, c.Dim);

    protected override Heads Prepare(Heads h) => h with { Q = h.Q * (1 / Real.Sqrt(h.Q.Shape[3])) };
    // σ(z)^(1/τ) = exp(−softplus(−z)/τ)
    protected override Tensor Gate(Tensor x) => ((-gate.Forward(x)).Softplus() * (Real)(-1 / temperature)).Exp().SplitHeads(Config.Heads);
    protected override Tensor Finish(Tensor y, Tensor x, Pass pass)
    {
        var (b, n, c) = y.Shape;
        return y.Reshape([b, n, Config.Heads, c / Config.Heads]).RmsNorm(null, (Real)1e-6).Reshape([b, n, c]) * output.Forward(x).Silu();
    }
}
