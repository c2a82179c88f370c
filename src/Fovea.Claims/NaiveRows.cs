using Fovea.Kernels;
namespace Fovea.Claims;

/// <summary>Causal attention with any rule from a row of logits to its weights, and its gradients, in float64: the rule's derivative is taken by central differences. One batch; q, k, v [H,N,D].</summary>
sealed class NaiveRows
{
    public double[] O { get; }
    public double[] DQ { get; }
    public double[] DK { get; }
    public double[] DV { get; }

    public NaiveRows(int heads, int n, int d, double scale, ReadOnlySpan<Real> q, ReadOnlySpan<Real> k, ReadOnlySpan<Real> v, ReadOnlySpan<Real> dO, Func<double[], double[]> rule)
    {
        O = new double[heads * n * d]; DQ = new double[O.Length]; DK = new double[O.Length]; DV = new double[O.Length]; const double h = 1e-5;
        for (int row = 0; row < heads * n; row++)
        {
            int first = row / n * n, seen = row % n + 1; double[] s = new double[seen], g = new double[seen];
            for (int j = 0; j < seen; j++) for (int c = 0; c < d; c++) { s[j] += scale * q[row * d + c] * k[(first + j) * d + c]; g[j] += (double)dO[row * d + c] * v[(first + j) * d + c]; }
            double[] p = rule(s);
            for (int j = 0; j < seen; j++)
            {
                for (int c = 0; c < d; c++) { O[row * d + c] += p[j] * v[(first + j) * d + c]; DV[(first + j) * d + c] += p[j] * dO[row * d + c]; }
                double kept = s[j]; s[j] = kept + h; double[] up = rule(s); s[j] = kept - h; double[] down = rule(s); s[j] = kept;
                double ds = 0;
                for (int i = 0; i < seen; i++) ds += g[i] * (up[i] - down[i]) / (2 * h);
                for (int c = 0; c < d; c++) { DQ[row * d + c] += scale * ds * k[(first + j) * d + c]; DK[(first + j) * d + c] += scale * ds * q[row * d + c]; }
            }
        }
    }

    /// <summary>Errors of the fused kernel against this: of outputs, and of gradients relative to the largest.</summary>
    public static (double Output, double Gradient) Errors<T>(Rng rng, int heads, int n, int d, double scale, T weights, Func<double[], double[]> rule) where T : struct, IRowNormaliser
    {
        Real[] Drawn(string name, Real std = 1) { var x = new Real[heads * n * d]; rng[name].Normal(x, std); return x; }
        Real[] q = Drawn("q"), k = Drawn("k"), v = Drawn("v"), g = Drawn("g"), o = new Real[q.Length], dq = new Real[q.Length], dk = new Real[q.Length], dv = new Real[q.Length];
        var size = new AttentionSize(1, heads, heads, n, n, d, d) { Scale = (Real)scale };
        RowFlash.Forward(size, q, k, v, 0, default, new Causal(), weights, o); RowFlash.Backward(size, q, k, v, 0, default, new Causal(), weights, g, dq, dk, dv);
        var naive = new NaiveRows(heads, n, d, scale, q, k, v, g, rule);
        double Relative(Real[] x, double[] y) => Trials.Difference(Trials.Wide(x), y) / y.Max(Math.Abs);
        return (Trials.Difference(Trials.Wide(o), naive.O), new[] { Relative(dq, naive.DQ), Relative(dk, naive.DK), Relative(dv, naive.DV) }.Max());
    }

    /// <summary>Seconds of forward, and of forward and backward, over those of fused softmax: four heads of 64, 1,024 tokens, causal.</summary>
    public static (double Forward, double Both) Slower<T>(ClaimRun run, T weights) where T : struct, IRowNormaliser
    {
        const int heads = 4, n = 1024, d = 64; var size = new AttentionSize(1, heads, heads, n, n, d, d);
        Real[] Drawn(string name) { var x = new Real[heads * n * d]; run.Rng[name].Normal(x); return x; }
        Real[] q = Drawn("q"), k = Drawn("k"), v = Drawn("v"), g = Drawn("g"), o = new Real[q.Length], lse = new Real[heads * n], dq = new Real[q.Length], dk = new Real[q.Length], dv = new Real[q.Length];
        void Ours() => RowFlash.Forward(size, q, k, v, 0, default, new Causal(), weights, o);
        void Soft() => Flash.Forward(size, q, k, v, 0, default, new Plain(), new Causal(), o, lse);
        double[] t = Trials.Fastest(run, 12, Ours, Soft, () => { Ours(); RowFlash.Backward(size, q, k, v, 0, default, new Causal(), weights, g, dq, dk, dv); },
            () => { Soft(); Flash.Backward<Plain, Causal, SoftmaxWeights>(size, q, k, v, 0, default, new(), new(), null, o, lse, default, g, dq, dk, dv); });
        return (t[0] / t[1], t[2] / t[3]);
    }
}
