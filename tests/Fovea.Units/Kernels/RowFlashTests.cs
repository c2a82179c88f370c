using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

public class RowFlashTests
{
    readonly record struct Odd : IPattern
    {
        public bool Allows(int query, int key) => key <= query && (key & 1) == 1;
        public Cover Tile(int q0, int q1, int k0, int k1) => k0 > q1 ? Cover.None : Cover.Mixed;
    }

    static double[] Softmax(double[] s) { double m = s.Max(), sum = double.IsNegativeInfinity(m) ? 1 : s.Sum(x => Math.Exp(x - m)); return [.. s.Select(x => double.IsNegativeInfinity(x) ? 0 : Math.Exp(x - m) / sum)]; }
    static double[] Clipped(double[] s) => [.. Softmax(s).Select(p => Math.Clamp(1.05 * p - 0.05, 0, 1))];
    static double[] Softplus(double[] s, int power)
    {
        int n = s.Count(x => !double.IsNegativeInfinity(x));
        double[] a = [.. s.Select(x => double.IsNegativeInfinity(x) ? 0 : n == 1 ? Math.Log(2) : Math.Max(Math.Log(n) * x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(Math.Log(n) * x))))];
        double sum = a.Sum();
        if (sum == 0) return a;
        if (power == 0) return [.. a.Select(x => x / sum)];
        double[] b = [.. a.Select(x => Math.Pow(Math.Max(n * x / sum - (n > 3 ? 1 : 0), 0), power))]; double total = b.Sum();
        return [.. b.Select(x => total == 0 ? 0 : x / total)];
    }

    static void Holds<TPattern, TWeights>(int n, int m, int heads, int groups, TPattern pattern, TWeights weights, Func<double[], double[]> rule, int offset = 0, int[]? positions = null, float size = 1) where TPattern : struct, IPattern where TWeights : struct, IRowNormaliser
    {
        const int d = 9, e = 5; var s = new AttentionSize(2, heads, groups, n, m, d, e); var rng = new Rng((ulong)(n * 1000 + m));
        float[] Drawn(string name, int count, float std) { var x = new float[count]; rng[name].Normal(x, std); return x; }
        float[] q = Drawn("q", 2 * heads * n * d, size), k = Drawn("k", 2 * groups * m * d, 1), v = Drawn("v", 2 * groups * m * e, 1), g = Drawn("g", 2 * heads * n * e, 1), o = new float[g.Length], dq = new float[q.Length], dk = new float[k.Length], dv = new float[v.Length];
        RowFlash.Forward(s, q, k, v, offset, positions, pattern, weights, o);
        RowFlash.Backward(s, q, k, v, offset, positions, pattern, weights, g, dq, dk, dv);
        double[] wq = new double[q.Length], wk = new double[k.Length], wv = new double[v.Length];
        for (int row = 0; row < 2 * heads * n; row++)
        {
            int h = row / n, kv = (h / heads * groups + h % heads / (heads / groups)) * m; double[] l = new double[m], gp = new double[m];
            for (int j = 0; j < m; j++)
            {
                for (int c = 0; c < d; c++) l[j] += q[row * d + c] * (double)k[(kv + j) * d + c] / Math.Sqrt(d);
                for (int c = 0; c < e; c++) gp[j] += g[row * e + c] * (double)v[(kv + j) * e + c];
                if (!pattern.Allows(offset + row % n, positions?[j] ?? j)) l[j] = double.NegativeInfinity;
            }
            double[] p = rule(l);
            for (int c = 0; c < e; c++) { double sum = 0; for (int j = 0; j < m; j++) { sum += p[j] * v[(kv + j) * e + c]; wv[(kv + j) * e + c] += p[j] * g[row * e + c]; } Assert.InRange(o[row * e + c] - sum, -2e-4, 2e-4); }
            for (int j = 0; j < m; j++)
            {
                if (double.IsNegativeInfinity(l[j])) continue;
                const double step = 1e-6; double kept = l[j]; l[j] = kept + step; double[] up = rule(l); l[j] = kept - step; double[] down = rule(l); l[j] = kept;
                double ds = 0; for (int i = 0; i < m; i++) ds += gp[i] * (up[i] - down[i]) / (2 * step);
                for (int c = 0; c < d; c++) { wq[row * d + c] += ds * k[(kv + j) * d + c] / Math.Sqrt(d); wk[(kv + j) * d + c] += ds * q[row * d + c] / Math.Sqrt(d); }
            }
        }
        foreach (var (x, y) in new[] { (dq, wq), (dk, wk), (dv, wv) }) { double top = Math.Max(1, y.Max(Math.Abs)); for (int i = 0; i < x.Length; i++) Assert.InRange((x[i] - y[i]) / top, -2e-3, 2e-3); }
    }

    [Theory, InlineData(1), InlineData(7), InlineData(70)]
    public void Forward_and_backward_are_the_definition(int n)
    {
        Holds(n, n, 2, 1, new Causal(), new ClippedSoftmax((Real)(-0.05), 1), Clipped);
        Holds(n, n, 2, 2, new Everything(), new ClippedSoftmax(0, 1), Softmax);
        Holds(n, n, 2, 2, new Causal(), new SoftplusWeights(3), s => Softplus(s, 3));
        Holds(n, n, 2, 1, new Everything(), new SoftplusWeights(0), s => Softplus(s, 0));
    }

    [Theory, InlineData(0, 0), InlineData(3, 2), InlineData(40, 0), InlineData(100, 70), InlineData(-5, 60)]
    public void Queries_may_see_any_range_of_keys(int back, int ahead)
    {
        Holds(130, 130, 1, 1, new Near(back, ahead), new SoftplusWeights(2), s => Softplus(s, 2));
        Holds(70, 170, 1, 1, new Near(back, ahead), new ClippedSoftmax((Real)(-0.05), 1), Clipped, 50);
    }

    [Theory, InlineData(0), InlineData(1), InlineData(2), InlineData(5)]
    public void Any_power_may_be_taken(int power) => Holds(70, 70, 1, 1, new Causal(), new SoftplusWeights(power), s => Softplus(s, power));

    [Fact]
    public void Few_heads_are_cut_into_parts_that_add_up() => Holds(530, 40, 2, 1, new Causal(), new SoftplusWeights(3), s => Softplus(s, 3));

    [Fact]
    public void A_NaN_does_not_pass_silently()
    {
        foreach (int power in new[] { 0, 1, 3 })
        {
            Real[] row = [.. Enumerable.Range(0, 45).Select(j => j == 20 ? Real.NaN : j / (Real)10)], gradient = [.. row.Select((_, j) => (Real)j)];
            var rule = new SoftplusWeights(power); Real[] w = [.. row]; Real factor = rule.Weights(w, w.Length); Assert.True(Real.IsNaN(factor * w.Sum()));
            rule.Backward(row, gradient, row.Length); Assert.True(Real.IsNaN(row.Sum())); Assert.True(Real.IsNaN(gradient.Sum()));
        }
        Real[] x = [1, Real.NaN, 2, 3], g = [1, 2, 3, 4]; new ClippedSoftmax((Real)(-0.05), 1).Backward(x, g, x.Length); Assert.All(g, y => Assert.True(Real.IsNaN(y)));
    }

    [Fact]
    public unsafe void Every_width_gives_the_same_rows()
    {
        foreach (int n in new[] { 1, 2, 3, 7, 31, 64, 200 })
        {
            Real[] x = new Real[n], g = new Real[n]; new Rng(5)["x"].Normal(x); new Rng(5)["g"].Normal(g);
            if (n > 3) x[n / 2] = Real.NegativeInfinity;
            foreach (int power in new[] { -1, 0, 1, 3 })
            {
                Real[] Row<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
                {
                    Real[] alone = [.. x], both = [.. x], slope = [.. g]; Real factor = 1;
                    fixed (Real* pa = alone, pb = both, ps = slope)
                    {
                        if (power < 0) { ClippedLoops.Run<TLanes, V>((Real)(-0.05), 1, pa, null, n); ClippedLoops.Run<TLanes, V>((Real)(-0.05), 1, pb, ps, n); }
                        else { int seen = RowFlash.Seen(x); factor = SoftplusWeights.Weigh<TLanes, V>(power, pa, n, seen); SoftplusWeights.Turn<TLanes, V>(power, pb, ps, n, seen); }
                    }
                    for (int j = 0; j < n; j++) Assert.InRange(alone[j] * factor - both[j], -1e-6, 1e-6);
                    return [.. both, .. slope];
                }
                Real[] one = Row<Lanes1, Real>();
                foreach (var other in new[] { Row<Lanes128, Vector128<Real>>(), Row<Lanes256, Vector256<Real>>(), Row<Lanes512, Vector512<Real>>() })
                    for (int j = 0; j < one.Length; j++) Assert.InRange(other[j] - one[j], -1e-5, 1e-5);
            }
        }
    }

    [Fact]
    public void Masked_keys_and_rows_that_see_nothing_give_nothing()
    {
        Holds(37, 37, 2, 2, new Odd(), new ClippedSoftmax((Real)(-0.05), 1), Clipped);
        Holds(37, 37, 2, 2, new Odd(), new SoftplusWeights(3), s => Softplus(s, 3));
        Holds(37, 37, 2, 2, new Odd(), new SoftplusWeights(0), s => Softplus(s, 0));
    }

    [Fact]
    public void Keys_may_have_positions_and_queries_an_offset() => Holds(5, 20, 2, 1, new Causal(), new ClippedSoftmax((Real)(-0.05), 1), Clipped, 21, [.. Enumerable.Range(0, 20).Select(j => j < 4 ? j : j + 6)]);

    [Fact]
    public void Large_logits_stay_finite() => Holds(33, 33, 1, 1, new Causal(), new ClippedSoftmax((Real)(-0.05), 1), Clipped, size: 60);

    [Fact]
    public void Any_number_of_threads_gives_the_same_bits()
    {
        // Two parts per key head.
        var s = new AttentionSize(1, 4, 2, 600, 600, 16, 16); int old = Threads.Max; var results = new List<float[]>(); var x = new float[4 * 600 * 16]; new Rng(3).Normal(x);
        try
        {
            foreach (int threads in new[] { 1, 3 })
            {
                Threads.Max = threads; var o = new float[x.Length]; float[] dq = new float[x.Length], dk = new float[x.Length / 2], dv = new float[x.Length / 2];
                RowFlash.Forward(s, x, x.AsSpan(0, x.Length / 2), x.AsSpan(0, x.Length / 2), 0, default, new Causal(), new SoftplusWeights(3), o); RowFlash.Backward(s, x, x.AsSpan(0, x.Length / 2), x.AsSpan(0, x.Length / 2), 0, default, new Causal(), new SoftplusWeights(3), o, dq, dk, dv);
                results.Add([.. o, .. dq, .. dk, .. dv]);
            }
        }
        finally { Threads.Max = old; }
        Assert.Equal(results[0], results[1]);
    }

    [Fact]
    public void Limits_that_give_weight_to_masked_keys_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ClippedSoftmax((Real)0.1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ClippedSoftmax(0, (Real)0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SoftplusWeights(-1));
    }
}
