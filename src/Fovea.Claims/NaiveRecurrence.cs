namespace Fovea.Claims;

/// <summary>Linear attention with decay, token by token in float64: the definition.</summary>
static class NaiveRecurrence
{
    /// <summary>S_t = λ S_{t−1} + k_tᵀ v_t, o_t = q_t S_t for one head, q, k [1,1,N,D], v [1,1,N,E] → o [N,E] and S_N [D,E].</summary>
    public static (double[] O, double[] State) Run(Tensor q, Tensor k, Tensor v, double decay)
    {
        int n = q.Shape[2], d = q.Shape[3], e = v.Shape[3]; double[] s = new double[d * e], o = new double[n * e];
        for (int t = 0; t < n; t++)
            for (int i = 0; i < d; i++)
                for (int j = 0; j < e; j++)
                {
                    s[i * e + j] = decay * s[i * e + j] + (double)k.Span[t * d + i] * v.Span[t * e + j];
                    o[t * e + j] += q.Span[t * d + i] * s[i * e + j];
                }
        return (o, s);
    }

    /// <summary>The same with tensor operations, so that gradients flow and every state is kept for them.</summary>
    public static Tensor Recorded(Tensor q, Tensor k, Tensor v, double decay)
    {
        var s = Tensor.Zeros([1, 1, q.Shape[3], v.Shape[3]]); var o = new List<Tensor>();
        for (int t = 0; t < q.Shape[2]; t++)
        {
            s = s * (Real)decay + k.Slice(2, t, t + 1).Transpose().MatMul(v.Slice(2, t, t + 1));
            o.Add(q.Slice(2, t, t + 1).MatMul(s));
        }
        return Tensor.Concat(2, [.. o]);
    }
}
