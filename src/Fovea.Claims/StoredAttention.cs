namespace Fovea.Claims;

/// <summary>softmax(QKᵀ/√D) V with the N×N matrix stored, from ordinary tensor operations: the baseline of fused attention. q, k, v [B,H,N,D].</summary>
static class StoredAttention
{
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, bool causal)
    {
        int n = q.Shape[2]; var s = (q * (1 / Real.Sqrt(q.Shape[3]))).MatMulT(k);
        if (!causal) return s.Softmax().MatMul(v);
        var mask = Tensor.Full([n, n], Real.NegativeInfinity);
        for (int i = 0; i < n; i++) mask.Span.Slice(i * n, i + 1).Clear();
        return (s + mask).Softmax().MatMul(v);
    }
}
