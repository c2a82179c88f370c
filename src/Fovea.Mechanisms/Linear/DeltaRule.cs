using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// S_t = S_{t−1} − β_t k_tᵀ(k_t S_{t−1}) + β_t k_tᵀ v_t, o_t = q_t S_t: what the memory answers for k_t moves towards v_t by the share β_t = σ(w·x_t) (arXiv 2406.06484 Eq. 3).
/// q and k pass silu and have length 1; heads are RMS-normalised.
/// </summary>
[From("2406.06484", "Eq. 3"), From("2102.11174")]
[Traits(Traits.Causal | Traits.Grouped | Traits.Incremental | Traits.Linear | Traits.ConstantState)]
public sealed class DeltaRuleAttention(AttentionConfig c, Weights w) : RecurrentAttention<DeltaRule>(c, w, new())
{
    readonly Linear beta = new(w["beta"], c.Dim, c.Heads);

    protected override Heads Prepare(Heads h) => h with { Q = h.Q.Silu().L2Normalise((Real)1e-6), K = h.K.Silu().L2Normalise((Real)1e-6) };
    protected override Tensor Gate(Tensor x) => beta.Forward(x).Sigmoid().SplitHeads(Config.Heads);
    protected override Tensor Finish(Tensor y, Tensor x, Pass pass)
    {
        var (b, n, c) = y.Shape;
        return y.Reshape([b, n, Config.Heads, c / Config.Heads]).RmsNorm(null, (Real)1e-6).Reshape([b, n, c]);
    }
}
