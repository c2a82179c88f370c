using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class PoolTests
{
    static IEnumerable<(int Out, List<int> In)> Windows(PoolSize z)
    {
        for (int p = 0; p < z.Planes; p++) for (int i = 0; i < z.OutHeight; i++) for (int j = 0; j < z.OutWidth; j++)
        {
            var seen = new List<int>();
            for (int a = 0; a < z.KernelHeight; a++) for (int b = 0; b < z.KernelWidth; b++)
            {
                int h = i * z.StrideHeight - z.PadHeight + a, w = j * z.StrideWidth - z.PadWidth + b;
                if (h >= 0 && h < z.Height && w >= 0 && w < z.Width) seen.Add((p * z.Height + h) * z.Width + w);
            }
            yield return ((p * z.OutHeight + i) * z.OutWidth + j, seen);
        }
    }

    public static TheoryData<int, int, int, int, int, int> Sizes => new() { { 1, 1, 1, 1, 1, 0 }, { 3, 7, 6, 2, 2, 0 }, { 2, 9, 11, 3, 2, 1 }, { 200, 14, 14, 3, 1, 1 }, { 1, 5, 70, 4, 3, 2 } };

    [Theory, MemberData(nameof(Sizes))]
    public void Maximum_and_mean_and_their_gradients_follow_the_definition(int planes, int height, int width, int kernel, int stride, int pad)
    {
        var z = new PoolSize(planes, height, width, kernel, kernel, stride, stride, pad, pad); var windows = Windows(z).ToList(); int n = planes * height * width, m = windows.Count;
        Real[] x = Trial.Draw(n, 1), dy = Trial.Draw(m, 2), max = new Real[m], mean = new Real[m], dmax = Trial.Ones(n), dmean = Trial.Ones(n); var argmax = new int[m];
        for (int i = 0; i < n; i++) x[i] = Real.Round(x[i] * 2) - 5;      // many ties, all negative
        Pool.Max(z, x, max, argmax); Pool.MaxBackward(z, argmax, dy, dmax); Pool.Average(z, x, mean); Pool.AverageBackward(z, dy, dmean);
        double[] wantMax = new double[m], wantMean = new double[m], gMax = new double[n], gMean = new double[n];
        foreach (var (o, seen) in windows)
        {
            wantMax[o] = seen.Max(i => x[i]); wantMean[o] = seen.Average(i => (double)x[i]); gMax[seen.First(i => x[i] == wantMax[o])] += dy[o];
            foreach (int i in seen) gMean[i] += (double)dy[o] / seen.Count;
        }
        Trial.Close(wantMax, max, 0, "max"); Trial.Close(wantMean, mean, 1e-6, "mean"); Trial.CloseAdded(gMax, dmax, 1e-6, "dmax"); Trial.CloseAdded(gMean, dmean, 1e-6, "dmean");
    }

    [Theory, InlineData(2, 7, 9, 3, 4), InlineData(1, 5, 5, 1, 1), InlineData(3, 4, 6, 4, 6), InlineData(1, 3, 2, 7, 5)]
    public void Adaptive_windows_cover_the_plane(int planes, int height, int width, int oh, int ow)
    {
        Real[] x = Trial.Draw(planes * height * width, 1), dy = Trial.Draw(planes * oh * ow, 2), y = new Real[dy.Length], dx = Trial.Ones(x.Length); double[] want = new double[y.Length], back = new double[x.Length];
        for (int p = 0; p < planes; p++) for (int i = 0; i < oh; i++) for (int j = 0; j < ow; j++)
        {
            int h0 = (int)Math.Floor(i * (double)height / oh), h1 = (int)Math.Ceiling((i + 1) * (double)height / oh), w0 = (int)Math.Floor(j * (double)width / ow), w1 = (int)Math.Ceiling((j + 1) * (double)width / ow), o = (p * oh + i) * ow + j;
            for (int h = h0; h < h1; h++) for (int w = w0; w < w1; w++) { double share = 1.0 / ((h1 - h0) * (w1 - w0)); int at = (p * height + h) * width + w; want[o] += share * x[at]; back[at] += share * dy[o]; }
        }
        Pool.AdaptiveAverage(x, y, planes, height, width, oh, ow); Pool.AdaptiveAverageBackward(dy, dx, planes, height, width, oh, ow);
        Trial.Close(want, y, 1e-6); Trial.CloseAdded(back, dx, 1e-6, "dx");
    }

    [Fact]
    public void A_NaN_wins_the_maximum_and_padding_never_does()
    {
        Real[] y = new Real[1]; int[] at = new int[1];
        Pool.Max(new(1, 2, 2, 2, 2, 2, 2), [1, 5, Real.NaN, 7], y, at); Assert.True(Real.IsNaN(y[0])); Assert.Equal(2, at[0]);
        Pool.Max(new(1, 1, 1, 2, 2, 2, 2, 1, 1), [Real.NegativeInfinity], y, at); Assert.Equal(Real.NegativeInfinity, y[0]); Assert.Equal(0, at[0]);
        Assert.Contains("at most half", Assert.Throws<ArgumentException>(() => Pool.Average(new(1, 4, 4, 2, 2, 2, 2, 2, 0), new Real[16], new Real[16])).Message);
    }

    static double[] Bilinear(double[] x, int planes, int height, int width, int oh, int ow)
    {
        var y = new double[planes * oh * ow];
        double At(int p, int h, int w) => x[(p * height + Math.Clamp(h, 0, height - 1)) * width + Math.Clamp(w, 0, width - 1)];
        for (int p = 0; p < planes; p++) for (int i = 0; i < oh; i++) for (int j = 0; j < ow; j++)
        {
            double u = (i + 0.5) * height / oh - 0.5, v = (j + 0.5) * width / ow - 0.5; int h = (int)Math.Floor(u), w = (int)Math.Floor(v); u -= h; v -= w;
            y[(p * oh + i) * ow + j] = (1 - u) * ((1 - v) * At(p, h, w) + v * At(p, h, w + 1)) + u * ((1 - v) * At(p, h + 1, w) + v * At(p, h + 1, w + 1));
        }
        return y;
    }

    [Theory, InlineData(2, 5, 7, 10, 14), InlineData(1, 9, 8, 4, 3), InlineData(3, 1, 1, 3, 2), InlineData(1, 6, 6, 6, 6), InlineData(2, 4, 5, 7, 3)]
    public void Bilinear_resizing_and_its_gradient_follow_the_definition(int planes, int height, int width, int oh, int ow)
    {
        Real[] x = Trial.Draw(planes * height * width, 1), dy = Trial.Draw(planes * oh * ow, 2), y = new Real[dy.Length], dx = Trial.Ones(x.Length);
        Resize.Bilinear(x, y, planes, height, width, oh, ow); Resize.BilinearBackward(dy, dx, planes, height, width, oh, ow);
        Trial.Close(Bilinear(Trial.D(x), planes, height, width, oh, ow), y, 1e-6); Trial.CloseAdded(Trial.Slope(u => Trial.Dot(Bilinear(u, planes, height, width, oh, ow), dy), Trial.D(x)), dx, 1e-6, "dx");
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        var z = new PoolSize(300, 14, 14, 3, 3, 2, 2, 1, 1); var x = Trial.Draw(300 * 196, 1);
        Trial.OnAnyThreads(() => { Real[] y = new Real[300 * 49], r = new Real[300 * 100], dx = new Real[x.Length]; Pool.Average(z, x, y); Pool.AverageBackward(z, y, dx); Pool.Max(z, x, y, new int[y.Length]); Resize.Bilinear(x, r, 300, 14, 14, 10, 10); Resize.BilinearBackward(r, dx, 300, 14, 14, 10, 10); return [.. y, .. r, .. dx]; });
    }
}
