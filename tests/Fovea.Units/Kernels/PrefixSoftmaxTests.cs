using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class PrefixSoftmaxTests
{
    // Row by row: o of every prefix, from the definition.
    static double[] Naive(int n, int e, ReadOnlySpan<double> s, ReadOnlySpan<double> v)
    {
        var o = new double[n * e];
        for (int k = 0; k < n; k++)
        {
            double max = double.NegativeInfinity, sum = 0;
            for (int j = 0; j <= k; j++) max = Math.Max(max, s[j]);
            if (double.IsNegativeInfinity(max)) continue;
            for (int j = 0; j <= k; j++) sum += Math.Exp(s[j] - max);
            for (int j = 0; j <= k; j++) for (int c = 0; c < e; c++) o[k * e + c] += Math.Exp(s[j] - max) / sum * v[j * e + c];
        }
        return o;
    }

    static Real[] Scores(int n, string kind) => [.. Trial.Draw(n, 1).Select((x, i) => kind switch { "large" => x > 0 ? 80 : -80, "rising" => x + i, "masked" => i < 9 || i % 3 == 0 ? Real.NegativeInfinity : x, "nothing" => Real.NegativeInfinity, _ => x })];

    [Theory]
    [InlineData(1, 1, 1, "normal"), InlineData(3, 7, 5, "normal"), InlineData(2, 70, 9, "large"), InlineData(2, 200, 17, "rising"), InlineData(1, 256, 3, "normal"), InlineData(2, 700, 33, "normal"), InlineData(2, 600, 4, "masked"), InlineData(1, 300, 4, "nothing"), InlineData(1, 513, 8, "large")]
    public void All_prefixes_are_softmax_averages_at_every_width(int rows, int n, int e, string kind)
    {
        Real[] s = Scores(rows * n, kind), v = Trial.Draw(rows * n * e, 2);
        foreach (var width in Trial.Widths)
        {
            Real[] o = new Real[rows * n * e], lse = new Real[rows * n], state = new Real[rows * (e + 2)];
            PrefixSoftmax.Clear(state, e); PrefixSoftmax.Forward(rows, n, e, s, v, state, o, lse, width);
            // In two pieces, the second going on from the state of the first.
            for (int r = 0; r < rows; r++)
            {
                var want = Naive(n, e, Trial.D(s.AsSpan(r * n, n)), Trial.D(v.AsSpan(r * n * e, n * e)));
                Trial.Close(want, o.AsSpan(r * n * e, n * e), 1e-5, $"o of row {r} at {width}");
                int cut = n / 3; Real[] piece = new Real[n * e], l = new Real[n], past = new Real[e + 2]; PrefixSoftmax.Clear(past, e);
                PrefixSoftmax.Forward(1, cut, e, s.AsSpan(r * n, cut), v.AsSpan(r * n * e, cut * e), past, piece, l, width);
                PrefixSoftmax.Forward(1, n - cut, e, s.AsSpan(r * n + cut, n - cut), v.AsSpan((r * n + cut) * e, (n - cut) * e), past, piece.AsSpan(cut * e), l.AsSpan(cut), width);
                Trial.Close(want, piece, 1e-5, $"pieces of row {r} at {width}");
            }
        }
    }

    [Theory, InlineData(1, 1, 1, "normal"), InlineData(2, 7, 3, "normal"), InlineData(1, 270, 5, "normal"), InlineData(1, 300, 9, "masked"), InlineData(1, 70, 9, "large")]
    public void Gradients_equal_the_slopes_of_the_definition_at_every_width(int rows, int n, int e, string kind)
    {
        Real[] s = Scores(rows * n, kind), v = Trial.Draw(rows * n * e, 2), g = Trial.Draw(rows * n * e, 3);
        foreach (var width in Trial.Widths)
        {
            Real[] o = new Real[rows * n * e], lse = new Real[rows * n], state = new Real[rows * (e + 2)], ds = new Real[rows * n], dv = new Real[rows * n * e]; ds.AsSpan().Fill(1); dv.AsSpan().Fill(1);
            PrefixSoftmax.Clear(state, e); PrefixSoftmax.Forward(rows, n, e, s, v, state, o, lse, width);
            PrefixSoftmax.Backward(rows, n, e, s, v, o, lse, g, ds, dv, width);
            for (int r = 0; r < rows; r++)
            {
                double[] sd = Trial.D(s.AsSpan(r * n, n)), vd = Trial.D(v.AsSpan(r * n * e, n * e)), od = Naive(n, e, sd, vd), wantS = new double[n], wantV = new double[n * e];
                for (int k = 0; k < n; k++)
                {
                    double max = sd[..(k + 1)].Max(), sum = 0; if (double.IsNegativeInfinity(max)) continue;
                    for (int j = 0; j <= k; j++) sum += Math.Exp(sd[j] - max);
                    for (int j = 0; j <= k; j++)
                        for (int c = 0; c < e; c++)
                        {
                            double p = Math.Exp(sd[j] - max) / sum, d = g[(r * n + k) * e + c];
                            wantS[j] += p * d * (vd[j * e + c] - od[k * e + c]); wantV[j * e + c] += p * d;
                        }
                }
                Trial.Close([.. wantS.Select(x => x + 1)], ds.AsSpan(r * n, n), 1e-4, $"ds at {width}"); Trial.Close([.. wantV.Select(x => x + 1)], dv.AsSpan(r * n * e, n * e), 1e-4, $"dv at {width}");
            }
        }
    }

    [Fact]
    public void Spans_that_are_too_short_are_refused() => Assert.Throws<ArgumentException>(() => PrefixSoftmax.Forward(1, 4, 2, new Real[3], new Real[8], new Real[4], new Real[8], new Real[4]));
}
