using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed unsafe class OptimiserTests
{
    [Theory, InlineData(1), InlineData(7), InlineData(200), InlineData(70000)]
    public void AdamW_follows_the_paper_for_several_steps(int n)
    {
        Real[] w = Trial.Draw(n, 1), m = new Real[n], v = new Real[n]; double[] wd = Trial.D(w), md = new double[n], vd = new double[n];
        for (int step = 1; step <= 4; step++)
        {
            var g = Trial.Draw(n, 10 + step); g[0] = 0;
            Updates.AdamW(w, g, m, v, 1e-2, 0.9, 0.95, 1e-8, 0.1, step);
            for (int i = 0; i < n; i++)
            {
                md[i] = 0.9 * md[i] + 0.1 * g[i]; vd[i] = 0.95 * vd[i] + 0.05 * (double)g[i] * g[i];
                double mh = md[i] / (1 - Math.Pow(0.9, step)), vh = vd[i] / (1 - Math.Pow(0.95, step));
                wd[i] -= 1e-2 * (mh / (Math.Sqrt(vh) + 1e-8) + 0.1 * wd[i]);
            }
            Trial.Close(wd, w, 1e-6, "weight"); Trial.Close(md, m, 1e-6, "m"); Trial.Close(vd, v, 1e-6, "v");
        }
    }

    [Fact]
    public void AdamW_gives_the_same_at_every_width()
    {
        foreach (var width in Trial.Widths)
        {
            Real[] w = Trial.Draw(77, 1), g = Trial.Draw(77, 2), m = Trial.Draw(77, 3), v = Trial.Ones(77); double[] want = new double[77];
            for (int i = 0; i < 77; i++) want[i] = 0.98 * w[i] - 0.3 * (0.9 * m[i] + 0.1 * g[i]) / (Math.Sqrt(0.8 + 0.2 * g[i] * (double)g[i]) * 2 + 1e-3);
            fixed (Real* pw = w, pg = g, pm = m, pv = v) WideRows.For(77, 1000, new AdamRows(pw, pg, pm, pv, 0.3f, 0.9f, 0.1f, 0.8f, 0.2f, 1e-3f, 2, 0.98f), width);
            Trial.Close(want, w, 1e-6, $"weight at {width}");
        }
    }

    [Theory, InlineData(1), InlineData(7), InlineData(70000)]
    public void Sgd_with_momentum_and_decay_follows_the_definition(int n)
    {
        Real[] w = Trial.Draw(n, 1), v = new Real[n], plain = (Real[])w.Clone(); double[] wd = Trial.D(w), vd = new double[n], pd = Trial.D(w);
        for (int step = 0; step < 3; step++)
        {
            var g = Trial.Draw(n, 20 + step);
            Updates.Sgd(w, g, v, 0.1, 0.9, 0.01); Updates.Sgd(plain, g, default, 0.1, 0, 0.01);
            for (int i = 0; i < n; i++) { vd[i] = 0.9 * vd[i] + g[i] + 0.01 * wd[i]; wd[i] -= 0.1 * vd[i]; pd[i] -= 0.1 * (g[i] + 0.01 * pd[i]); }
        }
        Trial.Close(wd, w, 1e-6, "weight"); Trial.Close(pd, plain, 1e-6, "plain");
        foreach (var width in Trial.Widths)
        {
            Real[] a = Trial.Draw(n, 1), g = Trial.Draw(n, 2), b = Trial.Draw(n, 3); double[] want = [.. a.Select((x, i) => x - 0.5 * (0.25 * b[i] + g[i] + 0.125 * x))];
            fixed (Real* pa = a, pg = g, pb = b) WideRows.For(n, Map.Grain, new SgdRows(pa, pg, pb, 0.5f, 0.25f, 0.125f), width);
            Trial.Close(want, a, 1e-6, $"at {width}");
        }
    }

    [Fact]
    public void A_sum_of_squares_is_taken_in_double_and_in_fixed_blocks()
    {
        foreach (int n in new[] { 0, 1, 7, 100_003 })
        {
            var x = Trial.Draw(n, 1); double want = x.Sum(v => (double)v * v);
            Trial.Near(want, Updates.SumOfSquares(x), 1e-13, 0, $"n = {n}");
        }
        Trial.Near(2e60, Updates.SumOfSquares([1e30f, -1e30f]), 1e-6, 0, "no overflow");
        var big = Trial.Draw(100_003, 5);
        Trial.OnAnyThreads(() => { double s = Updates.SumOfSquares(big); return [(Real)s, BitConverter.Int32BitsToSingle((int)BitConverter.DoubleToInt64Bits(s))]; });
    }

    [Fact]
    public void Steps_count_from_one() => Assert.Throws<ArgumentOutOfRangeException>(() => Updates.AdamW(new Real[1], new Real[1], new Real[1], new Real[1], 1, 0.9, 0.9, 1, 0, 0));
}
