using Fovea.Kernels;
namespace Fovea.Units;

public class ClusterFlashTests
{
    const int D = 5, E = 7;

    /// <summary>The definition in doubles: every member of every cluster on its own.</summary>
    static double[] Naive(ClusterLists z, int rows, double[] q, double[] k, double[] v, Real[] share)
    {
        var o = new double[rows * E];
        for (int c = 0; c + 1 < z.Start.Length; c++)
        {
            int[] m = z.Rows[z.Start[c]..z.Start[c + 1]];
            for (int t = 0; t < m.Length; t++)
            {
                if (m[t] < z.Past) continue;
                int row = m[t] - z.Past; int[] sees = t == 0 ? [m[0]] : m[Math.Max(0, t - z.Window)..t];
                double[] s = [.. sees.Select(j => Enumerable.Range(0, D).Sum(x => q[row * D + x] * k[j * D + x]) / Math.Sqrt(D))]; double max = s.Max(), sum = s.Sum(x => Math.Exp(x - max));
                for (int j = 0; j < sees.Length; j++) for (int x = 0; x < E; x++) o[row * E + x] += share[row] * Math.Exp(s[j] - max) / sum * v[sees[j] * E + x];
            }
        }
        return o;
    }

    // Two heads of three clusters over n rows each, of which some rows are in two clusters and some in none.
    static ClusterLists Lists(int n, int window, int past = 0)
    {
        var clusters = Enumerable.Range(0, 6).Select(c => Enumerable.Range(0, n).Where(i => i * 7 % 5 % 3 == c % 3 || i % 11 == c % 3).Select(i => c / 3 * n + i).ToArray()).ToArray(); var start = new int[7];
        for (int c = 0; c < 6; c++) start[c + 1] = start[c] + clusters[c].Length;
        return new([0, 3, 6], start, [.. clusters.SelectMany(c => c)], window, past);
    }

    [Theory, InlineData(1, 4, 1), InlineData(7, 2, 1), InlineData(70, 9, 1), InlineData(200, 500, 40)]
    public void It_is_the_definition_at_every_width_with_gradients(int n, int window, double size)
    {
        var z = Lists(n, window); int rows = 2 * n; Real[] q = Trial.Draw(rows * D, 1, size), k = Trial.Draw(rows * D, 2), v = Trial.Draw(rows * E, 3), share = Trial.Draw(rows, 4), g = Trial.Draw(rows * E, 5);
        double[] a = Trial.D(q), b = Trial.D(k), c = Trial.D(v), want = Naive(z, rows, a, b, c, share);
        foreach (var width in Trial.Widths)
        {
            Real[] o = new Real[rows * E], dq = Trial.Ones(q.Length), dk = Trial.Ones(k.Length), dv = Trial.Ones(v.Length);
            ClusterFlash.Run(z, D, E, q, k, v, share, o, default, default, default, default, width); Trial.Close(want, o, size > 1 ? 2e-4 : 1e-5, $"o {n} {width}");
            ClusterFlash.Run(z, D, E, q, k, v, share, default, g, dq, dk, dv, width);
            if (size > 1) continue;
            void Agrees(double[] x, Real[] found, string what)
            {
                var direction = Trial.D(Trial.Draw(x.Length, 77)); double exact = 0; const double h = 1e-5;
                for (int i = 0; i < x.Length; i++) exact += direction[i] * (found[i] - 1.0);
                double At(double step) { var y = (double[])x.Clone(); for (int i = 0; i < x.Length; i++) x[i] += step * direction[i]; double l = Trial.Dot(Naive(z, rows, a, b, c, share), g); y.CopyTo(x, 0); return l; }
                Trial.Near((At(h) - At(-h)) / (2 * h), exact, 1e-3, 1e-2, $"{what} {width}");
            }
            Agrees(a, dq, "dq"); Agrees(b, dk, "dk"); Agrees(c, dv, "dv");
        }
    }

    [Fact]
    public void Earlier_rows_may_answer_only()
    {
        // Rows 0 … 29 came before; the clusters of both heads name them first.
        int[] rows = [.. Enumerable.Range(0, 30).Where(i => i % 2 == 0), .. Enumerable.Range(30, 20)]; var z = new ClusterLists([0, 1], [0, rows.Length], rows, 12, 30);
        Real[] q = Trial.Draw(20 * D, 1), k = Trial.Draw(50 * D, 2), v = Trial.Draw(50 * E, 3), share = Trial.Ones(20), o = new Real[20 * E];
        ClusterFlash.Forward(z, D, E, q, k, v, share, o);
        Trial.Close(Naive(z, 20, Trial.D(q), Trial.D(k), Trial.D(v), share), o, 1e-5);
    }

    [Fact]
    public void Rows_outside_and_ranges_that_do_not_fit_are_refused()
    {
        Real[] x = new Real[10 * D], v = new Real[10 * E], share = new Real[10], o = new Real[10 * E];
        void Try(ClusterLists z) => Assert.Throws<ArgumentException>(() => ClusterFlash.Forward(z, D, E, x, x, v, share, o));
        Try(new([0, 1], [0, 2], [3, 10], 4)); Try(new([0, 1], [0, 3], [3, 4], 4)); Try(new([0, 2], [0, 2], [3, 4], 4)); Try(new([0, 1], [0, 2], [3, 4], 0));
    }
}
