using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class LocalLinearTests
{
    // The definition in float64: q, k, v, λ one after the other in x.
    static double[] Naive(LocalLinearSize z, double[] x, int[] limits)
    {
        int d = z.Dim, e = z.ValueDim, rows = z.Batch * z.Heads * z.Queries, keys = z.Batch * z.KvHeads * z.KeyRows; var o = new double[rows * e];
        for (int r = 0; r < rows; r++)
        {
            int head = r / z.Queries, i = r % z.Queries, m = limits[i], first = (head / z.Heads * z.KvHeads + head % z.Heads / (z.Heads / z.KvHeads)) * z.KeyRows; if (m == 0) continue;
            double K(int j, int c) => x[rows * d + (first + j) * d + c]; double Q(int c) => x[r * d + c];
            double[] p = [.. Enumerable.Range(0, m).Select(j => { double s = 0; for (int c = 0; c < d; c++) s += Q(c) * K(j, c); return s * z.Scale; })]; double top = p.Max(), sum = p.Sum(s => Math.Exp(s - top));
            double lambda = x[rows * d + keys * (d + e) + head % z.Heads]; if (z.Raw) lambda *= Math.Exp(-top) / sum;
            p = [.. p.Select(s => Math.Exp(s - top) / sum)]; var a = new double[d, d + 1]; var mu = new double[d];
            for (int j = 0; j < m; j++) for (int c = 0; c < d; c++) { double zc = K(j, c) - Q(c); mu[c] += p[j] * zc; a[c, d] += p[j] * zc; for (int b = 0; b < d; b++) a[c, b] += p[j] * zc * (K(j, b) - Q(b)); }
            for (int c = 0; c < d; c++) a[c, c] += lambda;
            // Elimination; the matrix is positive definite.
            for (int c = 0; c < d; c++) for (int b = 0; b < d; b++) if (b != c) { double f = a[b, c] / a[c, c]; for (int y = c; y <= d; y++) a[b, y] -= f * a[c, y]; }
            double[] rho = [.. Enumerable.Range(0, d).Select(c => a[c, d] / a[c, c])]; double divisor = 1 - mu.Zip(rho, (u, w) => u * w).Sum();
            for (int j = 0; j < m; j++)
            {
                double n = 1; for (int c = 0; c < d; c++) n -= (K(j, c) - Q(c)) * rho[c];
                for (int c = 0; c < e; c++) o[r * e + c] += p[j] * n / divisor * x[rows * d + keys * d + (first + j) * e + c];
            }
        }
        return o;
    }

    [Theory, InlineData(1, 1, 1, 1, 3, 2, false), InlineData(7, 7, 2, 1, 8, 5, false), InlineData(19, 70, 2, 2, 12, 9, true), InlineData(70, 200, 4, 2, 5, 16, false)]
    public void It_is_the_fit_and_its_gradients_at_every_width(int n, int m, int heads, int groups, int d, int e, bool raw)
    {
        var z = new LocalLinearSize(2, heads, groups, n, m, d, e, 1 / Real.Sqrt(d), raw); int rows = 2 * heads * n, keys = 2 * groups * m;
        int[] limits = [.. Enumerable.Range(0, n).Select(i => n == 7 && i == 2 ? 0 : Math.Min(m, 1 + i * 3))];
        Real[] q = Trial.Draw(rows * d, 1), k = Trial.Draw(keys * d, 2), v = Trial.Draw(keys * e, 3), g = Trial.Draw(rows * e, 4), lambda = [.. Enumerable.Range(0, heads).Select(h => (raw ? 40 : (Real)0.5) + h)];
        double[] x = [.. q.Concat(k).Concat(v).Concat(lambda).Select(y => (double)y)], wanted = Naive(z, x, limits), way = [.. Trial.Draw(x.Length, 5).Select(y => (double)y)]; const double h = 1e-4;
        double Loss(double s) => Naive(z, [.. x.Zip(way, (y, w) => y + s * w)], limits).Zip(g, (o, y) => o * y).Sum();
        double slope = (8 * (Loss(h) - Loss(-h)) - (Loss(2 * h) - Loss(-2 * h))) / (12 * h);
        foreach (var width in Trial.Widths)
        {
            Real[] o = new Real[rows * e], rho = new Real[rows * d], lse = new Real[rows], divisor = new Real[rows], dq = new Real[q.Length], dk = new Real[k.Length], dv = new Real[v.Length], dl = new Real[heads];
            LocalLinear.Forward(z, q, k, v, lambda, limits, o, rho, lse, divisor, width); Trial.Close(wanted, o, 2e-5, $"o at {width}");
            LocalLinear.Backward(z, q, k, v, lambda, limits, rho, lse, divisor, g, dq, dk, dv, dl, width);
            double got = dq.Concat(dk).Concat(dv).Concat(dl).Zip(way, (y, w) => y * w).Sum();
            Assert.True(Math.Abs(got - slope) <= 2e-4 * Math.Max(1, Math.Abs(slope)), $"slope at {width} is {got}, differences give {slope}");
        }
    }

    [Fact]
    public void A_query_that_sees_nothing_gives_zeros_and_no_gradient()
    {
        var z = new LocalLinearSize(1, 1, 1, 2, 3, 4, 4, (Real)0.5, false); Real[] q = Trial.Draw(8, 1), k = Trial.Draw(12, 2), o = new Real[8], rho = new Real[8], lse = new Real[2], d = new Real[2], dq = new Real[8], dk = new Real[12], dv = new Real[12], dl = new Real[1];
        LocalLinear.Forward(z, q, k, k, [1], [0, 0], o, rho, lse, d); LocalLinear.Backward(z, q, k, k, [1], [0, 0], rho, lse, d, q, dq, dk, dv, dl);
        Assert.All(o.Concat(dq).Concat(dk).Concat(dv).Concat(dl), x => Assert.Equal(0, x));
        Assert.Throws<ArgumentOutOfRangeException>(() => LocalLinear.Forward(z, q, k, k, [1], [0, 4], o, rho, lse, d));
    }

    [Theory, InlineData(1), InlineData(7), InlineData(33)]
    public void Cholesky_solves_what_it_is_given(int n)
    {
        const int count = 3; Real[] m = Trial.Draw(count * n * n, 1), x = Trial.Draw(count * n, 2), a = new Real[m.Length], b = new Real[x.Length], got = new Real[x.Length];
        for (int s = 0; s < count; s++)
            for (int i = 0; i < n; i++) for (int j = 0; j < n; j++)
            {
                Real sum = i == j ? 1 : 0; for (int c = 0; c < n; c++) sum += m[(s * n + i) * n + c] * m[(s * n + j) * n + c] / n;
                a[(s * n + i) * n + j] = sum; b[s * n + i] += sum * x[s * n + j];
            }
        Cholesky.Solve(count, n, a, b, got);
        Assert.All(x.Zip(got), p => Assert.Equal(p.First, p.Second, 2e-5f));
    }
}
