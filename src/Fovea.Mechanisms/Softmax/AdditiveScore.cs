namespace Fovea.Mechanisms;

/// <summary>Additive scores u_ij = vᵀ tanh(W₁ e_j + W₂ d_i) (§2.3, Eq. 3; arXiv 1409.0473, A.1.2). What keys say is computed once and used at every step.</summary>
[From("pointer-networks", "Eq. 3")]
public sealed class AdditiveScore(Weights w, int keyDim, int queryDim, int hidden)
{
    readonly Linear keys = new(w["keys"], keyDim, hidden), queries = new(w["queries"], queryDim, hidden);
    readonly Tensor v = w.Get("v", [1, hidden]);

    /// <summary>e [B,M,C] → W₁ e [B,M,hidden], for <see cref="Forward"/>.</summary>
    public Tensor Keys(Tensor e) => keys.Forward(e);

    /// <summary>prepared keys [B,M,hidden], queries d [B,N,C] → scores [B,N,M].</summary>
    public Tensor Forward(Tensor prepared, Tensor d)
    {
        var (b, m, c) = prepared.Shape; int n = d.Shape[1];
        var sum = prepared.Reshape([b, 1, m, c]).Expand([b, n, m, c]) + queries.Forward(d).Reshape([b, n, 1, c]).Expand([b, n, m, c]);
        return sum.Tanh().MatMulT(v).Reshape([b, n, m]);
    }
}
