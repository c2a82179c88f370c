using Fovea.Kernels;
namespace Fovea.Units;

/// <summary>What the tests of the row kernels share: reproducible numbers, comparison against doubles, slopes of double definitions, all widths.</summary>
internal static class Trial
{
    static Trial() => Scratch.Poison = true;

    public static readonly int[] Lengths = [1, 7, 70, 200];
    internal static readonly Width[] Widths = [Width.Widest, Width.One, Width.Bits128, Width.Bits256, Width.Bits512];

    /// <summary>Roughly normal numbers, the same for the same seed.</summary>
    public static Real[] Draw(int n, int seed, double scale = 1)
    {
        var x = new Real[n]; ulong state = (ulong)seed * 0x9E3779B97F4A7C15UL + 12345;
        for (int i = 0; i < n; i++)
        {
            double sum = -6;
            for (int j = 0; j < 12; j++) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; sum += (state >> 11) / (double)(1UL << 53); }
            x[i] = (Real)(sum * scale);
        }
        return x;
    }

    public static double[] D(ReadOnlySpan<Real> x) { var y = new double[x.Length]; for (int i = 0; i < y.Length; i++) y[i] = x[i]; return y; }

    /// <summary>|found − expected| ≤ bound · max|expected| (at least 1e-30) everywhere; infinities and zeros of an all-zero expectation exactly.</summary>
    public static void Close(double[] expected, ReadOnlySpan<Real> found, double bound, string what = "")
    {
        Assert.Equal(expected.Length, found.Length);
        double size = 0; for (int i = 0; i < expected.Length; i++) if (double.IsFinite(expected[i])) size = Math.Max(size, Math.Abs(expected[i]));
        for (int i = 0; i < expected.Length; i++)
        {
            bool good = double.IsFinite(expected[i]) ? Math.Abs(found[i] - expected[i]) <= bound * size : expected[i].Equals((double)found[i]);
            if (!good) Assert.Fail($"{what}[{i}] is {found[i]}, expected {expected[i]}: {Math.Abs(found[i] - expected[i]) / size:E2} of the largest, bound {bound:E0}");
        }
    }

    /// <summary>|found − expected| ≤ bound · |expected| + floor, entry by entry.</summary>
    public static void Near(double expected, double found, double bound, double floor, string what) =>
        Assert.True(expected.Equals(found) || Math.Abs(found - expected) <= bound * Math.Abs(expected) + floor, $"{what}: found {found}, expected {expected}");

    /// <summary>d loss / d x by central differences in double.</summary>
    public static double[] Slope(Func<double[], double> loss, double[] x)
    {
        var g = new double[x.Length]; var y = (double[])x.Clone();
        for (int i = 0; i < x.Length; i++)
        {
            double h = 1e-5 * Math.Max(1, Math.Abs(x[i]));
            y[i] = x[i] + h; double up = loss(y); y[i] = x[i] - h; double down = loss(y); y[i] = x[i];
            g[i] = (up - down) / (2 * h);
        }
        return g;
    }

    public static double Dot(double[] x, ReadOnlySpan<Real> y) { double s = 0; for (int i = 0; i < x.Length; i++) s += x[i] * y[i]; return s; }

    public static Real[] Ones(int n) { var x = new Real[n]; Array.Fill(x, 1); return x; }

    /// <summary>expected + 1 each: what a backward that adds into ones leaves. The ones cost 3e-7 of rounding.</summary>
    public static void CloseAdded(double[] expected, ReadOnlySpan<Real> found, double bound, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        double size = expected.Length == 0 ? 0 : expected.Max(Math.Abs), allowed = bound * size + 3e-7 * (1 + size);
        for (int i = 0; i < expected.Length; i++) Assert.True(Math.Abs(found[i] - 1.0 - expected[i]) <= allowed, $"{what}[{i}] is {found[i] - 1}, expected {expected[i]} ± {allowed:E1}");
    }

    /// <summary>The same bits on 1, 2 and 3 threads.</summary>
    public static void OnAnyThreads(Func<Real[]> run)
    {
        int before = Threads.Max;
        try
        {
            Threads.Max = 1; var one = run();
            foreach (int n in new[] { 2, 3 }) { Threads.Max = n; Assert.Equal(one.Select(BitConverter.SingleToInt32Bits), run().Select(BitConverter.SingleToInt32Bits)); }
        }
        finally { Threads.Max = before; }
    }
}

/// <summary>Tests that change the number of threads run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class PoolAlone { public const string Name = "the thread pool alone"; }
