using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>
/// Weights depend on positions alone (§3): A_h = softmax(P W_Q (P W_K)ᵀ/√d) with fixed encodings P, here one-hot for <paramref name="positions"/> places (the configured length if null), so that W_Q and W_K are
/// tables; the input enters through its values. A is the same for every row of a batch and is computed once.
/// </summary>
[From("positional-attention", "§3")]
public sealed class PositionalAttention(Weights w, int dim, int heads, int positions, int? keyDim = null)
{
    readonly int d = keyDim ?? dim / heads;
    readonly Tensor query = w.Get("query", [heads, positions, keyDim ?? dim / heads]), key = w.Get("key", [heads, positions, keyDim ?? dim / heads]);
    readonly Linear value = new(w["v_proj"], dim, dim), output = new(w["o_proj"], dim, dim);

    /// <summary>The matrices A [H,N,N] of the first n places.</summary>
    public Tensor Routes(int n) => (query.Slice(1, 0, n) * (1 / Real.Sqrt(d))).MatMulT(key.Slice(1, 0, n)).Softmax();

    /// <summary>x [B,N,C] → [B,N,C].</summary>
    public Tensor Forward(Tensor x)
    {
        var (b, n, c) = x.Shape;
        if (n > positions) throw new ShapeException($"x is {x.Shape}, the encodings have {positions} places");
        var v = value.Forward(x).SplitHeads(heads).Permute(1, 2, 0, 3).Reshape([heads, n, b * (c / heads)]);
        var y = Routes(n).MatMul(v).Reshape([heads, n, b, c / heads]).Permute(2, 1, 0, 3).Reshape([b, n, c]);
        return output.Forward(y);
    }
}
