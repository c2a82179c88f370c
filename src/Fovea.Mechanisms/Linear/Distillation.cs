using Fovea.Kernels;
namespace Fovea.Mechanisms;

/// <summary>Attention whose weights are products of features, a_ij = φ(q_i)·φ(k_j) / Σ_m φ(q_i)·φ(k_m): what conversion and analysis need of it.</summary>
public interface IFeatureMap
{
    /// <summary>Features [B,H,N,F] and [B,G,M,F] of queries [B,H,N,D] and keys [B,G,M,D] that have their positions.</summary>
    (Tensor Q, Tensor K) Features(Tensor q, Tensor k);
}

/// <summary>
/// Teaching a linear attention to copy the weights of a softmax attention (Hedgehog, §4.2): freeze the model, take queries, keys and weights of each layer from it,
/// and train the feature maps alone on <see cref="CrossEntropy"/>; then put the maps in the place of softmax and train everything.
/// </summary>
[From("hedgehog", "§4.2, Eq. 7")]
public static class Distillation
{
    /// <summary>The weights [B,H,N,M] that features q [B,H,N,F] and k [B,H,M,F] stand for.</summary>
    public static Tensor Weights(Tensor q, Tensor k, bool causal, double eps = 1e-9)
    {
        var a = q.MatMulT(k); int n = a.Shape[2], m = a.Shape[3];
        if (causal)
        {
            var mask = Tensor.Zeros([n, m]);
            for (int i = 0; i < n; i++) mask.Span.Slice(i * m, Math.Min(m, i + 1)).Fill(1);
            a *= mask;
        }
        return a / (a.Sum(3) + (Real)eps);
    }

    /// <summary>−Σ_j A_ij log a_ij, mean over rows, heads and batch; the teacher's A and the student's a are [B,H,N,M].</summary>
    public static Tensor CrossEntropy(Tensor teacher, Tensor student) => (teacher * (student + (Real)1e-9).Log()).Sum() * (-(Real)teacher.Shape[3] / teacher.Shape.Size);

    /// <summary>Mean entropy of rows of weights [B,H,N,M] in nats: how spread out attention is.</summary>
    public static double Entropy(Tensor weights)
    {
        double sum = 0;
        foreach (Real a in weights.Span) if (a > 0) sum -= a * Math.Log(a);
        return sum * weights.Shape[-1] / weights.Shape.Size;
    }

    /// <summary>
    /// Spearman's correlation of scores q·k and weights, both [B,H,N,M], over the pairs with j ≤ i, mean over rows with at least four keys: 1 where a larger product always
    /// means a larger weight (Fig. 4).
    /// </summary>
    public static double Monotonicity(Tensor scores, Tensor weights)
    {
        int n = scores.Shape[2], m = scores.Shape[3], rows = 0; double sum = 0;
        for (int r = 0; r < scores.Shape.Size / m; r++)
        {
            int seen = Math.Min(m, r % n + 1);
            if (seen < 4) continue;
            int[] x = Ranks(scores.Span.Slice(r * m, seen)), y = Ranks(weights.Span.Slice(r * m, seen)); double square = 0;
            for (int j = 0; j < seen; j++) square += Math.Pow(x[j] - y[j], 2);
            sum += 1 - 6 * square / (seen * ((double)seen * seen - 1)); rows++;
        }
        return sum / rows;
    }
    static int[] Ranks(ReadOnlySpan<Real> x)
    {
        var order = new int[x.Length]; var rank = new int[x.Length];
        Select.ArgSort(x, 1, x.Length, order);
        for (int i = 0; i < order.Length; i++) rank[order[i]] = i;
        return rank;
    }
}
