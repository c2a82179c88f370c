using Fovea.Kernels;
namespace Fovea.Claims;

/// <summary>
/// Attention and its gradients as the formula says, in float64 loops: the definition that exactness claims compare with. Softmax, or σ(s + bias) if a bias is given.
/// sees(b·H + h, i, j) tells whether query i sees key j.
/// </summary>
sealed class NaiveAttention
{
    public double[] O { get; }
    public double[] Lse { get; }
    public double[] DQ { get; }
    public double[] DK { get; }
    public double[] DV { get; }

    public NaiveAttention(AttentionSize s, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> dO, Func<int, int, int, bool> sees, double? bias = null)
    {
        int n = s.Queries, m = s.Keys, d = s.Dim, e = s.ValueDim; double scale = 1 / Math.Sqrt(d);
        O = new double[s.Batch * s.Heads * n * e]; Lse = new double[s.Batch * s.Heads * n]; DQ = new double[q.Length]; DK = new double[k.Length]; DV = new double[v.Length];
        double[] p = new double[m], dp = new double[m];
        for (int bh = 0; bh < s.Batch * s.Heads; bh++)
            for (int i = 0; i < n; i++)
            {
                int row = bh * n + i, keys = (bh / s.Heads * s.KvHeads + bh % s.Heads / s.Group) * m; double max = double.NegativeInfinity, sum = 0, dot = 0;
                for (int j = 0; j < m; j++)
                {
                    p[j] = double.NegativeInfinity; dp[j] = 0;
                    if (!sees(bh, i, j)) continue;
                    p[j] = 0;
                    for (int c = 0; c < d; c++) p[j] += scale * q[row * d + c] * k[(keys + j) * d + c];
                    for (int c = 0; c < e; c++) dp[j] += (double)dO[row * e + c] * v[(keys + j) * e + c];
                    max = Math.Max(max, p[j]);
                }
                for (int j = 0; j < m; j++) sum += double.IsNegativeInfinity(max) ? 0 : Math.Exp(p[j] - max);
                Lse[row] = max + Math.Log(sum);
                for (int j = 0; j < m; j++)
                {
                    p[j] = double.IsNegativeInfinity(p[j]) ? 0 : bias is { } b ? 1 / (1 + Math.Exp(-p[j] - b)) : Math.Exp(p[j] - Lse[row]);
                    dot += p[j] * dp[j];
                    for (int c = 0; c < e; c++) { O[row * e + c] += p[j] * v[(keys + j) * e + c]; DV[(keys + j) * e + c] += p[j] * dO[row * e + c]; }
                }
                for (int j = 0; j < m; j++)
                {
                    double ds = scale * p[j] * (bias is null ? dp[j] - dot : (1 - p[j]) * dp[j]);
                    for (int c = 0; c < d; c++) { DQ[row * d + c] += ds * k[(keys + j) * d + c]; DK[(keys + j) * d + c] += ds * q[row * d + c]; }
                }
            }
    }
}
