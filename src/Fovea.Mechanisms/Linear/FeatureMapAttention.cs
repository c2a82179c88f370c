namespace Fovea.Mechanisms;

/// <summary>
/// Attention with weights a_ij = φ(q_i)·φ(k_j) / Σ_m φ(q_i)·φ(k_m), computed by way of Σ φ(k)ᵀv: causal with a state of fixed size, or over everything. A mechanism gives φ, whose
/// products must not be negative. Positions of the configuration, if any, turn q and k before φ.
/// </summary>
public abstract class FeatureMapAttention(AttentionConfig c, Weights w, int? queryDim = null) : HeadAttention(c, w, queryDim), IFeatureMap
{
    /// <summary>Added to the sum that divides, against rows whose features are all zero.</summary>
    protected virtual Real Epsilon => (Real)1e-6;

    public abstract (Tensor Q, Tensor K) Features(Tensor q, Tensor k);

    /// <summary>Weights by position on the features of queries, the first of which stands at start, and of keys.</summary>
    protected virtual (Tensor Q, Tensor K) Weighted(Tensor q, Tensor k, int start) => (q, k);

    protected sealed override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        var (q, k) = Features(h.Q, h.K);
        (q, k) = Weighted(q, k, h.Start);
        return Config.Causal && h.Self ? Recurrence.Normalised(this, q, PerHead(k), PerHead(h.V), null, pass, Epsilon) : Recurrence.Bidirectional(q, PerHead(k), PerHead(h.V), Epsilon);
    }
}
