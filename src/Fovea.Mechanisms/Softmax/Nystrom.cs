using System.Numerics.Tensors;
namespace Fovea.Mechanisms;

/// <summary>
/// Softmax attention by way of a few landmarks, means of segments of queries q̃ and keys k̃ (Eq. 13–16): softmax(q k̃ᵀ) · pinv(softmax(q̃ k̃ᵀ)) · (softmax(q̃ kᵀ) v), all over √D, with the inverse by six steps of
/// the cubic iteration Z ← ¼ Z(13I − AZ(15I − AZ(7I − AZ))). Every output depends on every token, so it looks both ways only. With as many landmarks as tokens it is softmax attention. Not here: the depthwise convolution of the values beside it.
/// </summary>
[From("2102.03902", "Eq. 13")]
[Traits(Traits.Bidirectional | Traits.Cross | Traits.Grouped | Traits.Linear)]
public sealed class NystromAttention : HeadAttention
{
    readonly int landmarks;

    public NystromAttention(AttentionConfig c, Weights w, int landmarks = 16) : base(c, w)
    {
        if (c.Causal) throw new ArgumentException("NystromAttention looks both ways; it needs Causal = false");
        if (landmarks < 1) throw new ArgumentException($"landmarks is {landmarks}, expected at least 1");
        this.landmarks = landmarks;
    }

    protected override Tensor Attend(Heads h, Pass pass)
    {
        h = Positioned(h, pass);
        Tensor k = PerHead(h.K), v = PerHead(h.V), q = h.Q * (1 / Real.Sqrt(h.Q.Shape[3])), few = Segments(q), keys = Segments(k);
        // A pseudo-inverse wants both sides of one size: the shorter side decides.
        int m = Math.Min(few.Shape[2], keys.Shape[2]);
        if (few.Shape[2] != m) few = Segments(q, m);
        if (keys.Shape[2] != m) keys = Segments(k, m);
        return q.MatMulT(keys).Softmax().MatMul(Inverse(few.MatMulT(keys).Softmax()).MatMul(few.MatMulT(k).Softmax().MatMul(v)));
    }

    Tensor Segments(Tensor x) => Segments(x, Math.Min(landmarks, x.Shape[2]));
    // Means of m stretches of nearly equal length.
    static Tensor Segments(Tensor x, int m)
    {
        var (b, h, n, d) = x.Shape;
        if (m == n) return x;
        var mean = Tensor.Zeros([m, n]);
        for (int i = 0; i < m; i++) { int from = (int)((long)i * n / m), to = (int)((long)(i + 1) * n / m); mean.Span.Slice(i * n + from, to - from).Fill((Real)1 / (to - from)); }
        return mean.Expand([b, h, m, n]).MatMul(x);
    }

    static Tensor Inverse(Tensor a)
    {
        // Rows of a softmax sum to one; the start is divided by the largest sum of a column.
        int m = a.Shape[2]; Tensor columns = a.Sum(2), largest = Tensor.Zeros(columns.Shape);
        for (int r = 0; r < largest.Shape.Size; r += m) largest.Span[r + TensorPrimitives.IndexOfMax<Real>(columns.Span.Slice(r, m))] = 1;
        var identity = Tensor.Zeros([m, m]);
        for (int i = 0; i < m; i++) identity.Span[i * m + i] = 1;
        var z = a.Transpose() / (columns * largest).Sum(3);
        for (int step = 0; step < 6; step++)
        {
            var az = a.MatMul(z);
            z = z.MatMul(identity * 13 - az.MatMul(identity * 15 - az.MatMul(identity * 7 - az))) * (Real)0.25;
        }
        return z;
    }
}
