namespace Fovea.Mechanisms;

/// <summary>
/// Linear attention with φ(x) = relu(x) and weights that fall with the distance (Eq. 9–10): a_ij ∝ relu(q_i)·relu(k_j)·cos(π(i − j)/2M), which is Σ over two halves of the features, one times cos(πi/2M) and one
/// times sin(πi/2M). M is the <paramref name="horizon"/> in tokens: the shorter, the more the distance counts;
/// beyond it the cosine would turn negative, so longer inputs are refused. The paper takes the longest length of its task. Keys of another context count their own places.
/// </summary>
[From("2202.08791", "Eq. 9")]
[Traits(Traits.Causal | Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Incremental | Traits.Exact | Traits.Linear | Traits.ConstantState)]
public sealed class CosFormerAttention(AttentionConfig c, Weights w, int horizon = 4096) : FeatureMapAttention(c, w)
{
    // Few tokens may share no positive channel with a query: its sum is then near zero, and so is what it reads.
    protected override Real Epsilon => (Real)1e-3;

    public override (Tensor Q, Tensor K) Features(Tensor q, Tensor k) => (q.Relu(), k.Relu());
    protected override (Tensor Q, Tensor K) Weighted(Tensor q, Tensor k, int start) => (Turn(q, start), Turn(k, start));

    Tensor Turn(Tensor x, int start)
    {
        int n = x.Shape[2];
        if (start + n > horizon) throw new ArgumentException($"{start + n} tokens reach beyond the horizon of {horizon}");
        Tensor cos = Tensor.Empty([n, 1]), sin = Tensor.Empty([n, 1]);
        for (int i = 0; i < n; i++) { double angle = Math.PI / 2 * (start + i) / horizon; (cos.Span[i], sin.Span[i]) = ((Real)Math.Cos(angle), (Real)Math.Sin(angle)); }
        return Tensor.Concat(-1, x * cos, x * sin);
    }
}
