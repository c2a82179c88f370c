using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class ElementScanTests
{
    [Theory, InlineData(1, 1, 1), InlineData(3, 7, 5), InlineData(2, 70, 65), InlineData(2, 200, 131)]
    public void It_is_the_recurrence_and_its_adjoint_at_every_width(int rows, int n, int c)
    {
        Real[] a = Trial.Draw(rows * n * c, 1), b = Trial.Draw(rows * n * c, 2), s0 = Trial.Draw(rows * c, 3), g = Trial.Draw(rows * n * c, 4);
        for (int i = 0; i < a.Length; i++) a[i] = i % 11 == 3 ? 0 : 1 / (1 + Real.Exp(-a[i]));
        double[] h = new double[rows * n * c], da = new double[h.Length], db = new double[h.Length];
        for (int r = 0; r < rows; r++)
            for (int x = 0; x < c; x++)
            {
                int At(int t) => (r * n + t) * c + x;
                for (int t = 0; t < n; t++) h[At(t)] = a[At(t)] * (t > 0 ? h[At(t - 1)] : s0[r * c + x]) + b[At(t)];
                // What step j adds to every later output: the product of the gates in between.
                for (int j = 0; j < n; j++)
                {
                    double product = 1, sum = 0;
                    for (int t = j; t < n; t++) { if (t > j) product *= a[At(t)]; sum += product * g[At(t)]; }
                    db[At(j)] = sum + 1; da[At(j)] = sum * (j > 0 ? h[At(j - 1)] : s0[r * c + x]) + 1;
                }
            }
        foreach (var width in Trial.Widths)
        {
            Real[] s = (Real[])s0.Clone(), got = new Real[h.Length], ga = new Real[h.Length], gb = new Real[h.Length]; ga.AsSpan().Fill(1); gb.AsSpan().Fill(1);
            ElementScan.Forward(rows, n, c, a, b, s, got, width); ElementScan.Backward(rows, n, c, a, got, s0, g, ga, gb, width);
            Trial.Close(h, got, 1e-5, $"h at {width}"); Trial.Close(da, ga, 1e-4, $"da at {width}"); Trial.Close(db, gb, 1e-4, $"db at {width}");
            for (int r = 0; r < rows; r++) for (int x = 0; x < c; x++) Assert.Equal(got[(r * n + n - 1) * c + x], s[r * c + x]);
        }
    }
}
