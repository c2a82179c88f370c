using Fovea.Kernels;
namespace Fovea.Units;

[Collection(PoolAlone.Name)]
public sealed class FftTests
{
    [Theory, InlineData(1), InlineData(2), InlineData(7), InlineData(8), InlineData(70), InlineData(200), InlineData(256), InlineData(1009)]
    public void Both_directions_follow_the_definition(int n)
    {
        const int rows = 3; Real[] re = Trial.Draw(rows * n, 1), im = Trial.Draw(rows * n, 2), a = (Real[])re.Clone(), b = (Real[])im.Clone(), c = (Real[])re.Clone(), d = (Real[])im.Clone();
        Fft.Forward(a, b, rows, n); Fft.Inverse(c, d, rows, n);
        double[] wa = new double[rows * n], wb = new double[rows * n], wc = new double[rows * n], wd = new double[rows * n];
        for (int r = 0; r < rows; r++) for (int k = 0; k < n; k++) for (int t = 0; t < n; t++)
        {
            var (s, co) = Math.SinCos(2 * Math.PI * ((long)k * t % n) / n); double x = re[r * n + t], y = im[r * n + t]; int at = r * n + k;
            wa[at] += x * co + y * s; wb[at] += y * co - x * s; wc[at] += (x * co - y * s) / n; wd[at] += (y * co + x * s) / n;
        }
        double bound = n == 1 ? 1e-7 : 2e-6;
        Trial.Close(wa, a, bound, "re"); Trial.Close(wb, b, bound, "im"); Trial.Close(wc, c, bound, "inverse re"); Trial.Close(wd, d, bound, "inverse im");
        Fft.Inverse(a, b, rows, n); Trial.Close(Trial.D(re), a, 3e-6, "there and back"); Trial.Close(Trial.D(im), b, 3e-6, "there and back");
    }

    [Theory, InlineData(1), InlineData(2), InlineData(8), InlineData(64), InlineData(256)]
    public void The_Hadamard_transform_follows_the_signs_and_is_its_own_inverse(int n)
    {
        const int rows = 5; Real[] x = Trial.Draw(rows * n, 1), y = (Real[])x.Clone(); var want = new double[rows * n];
        for (int r = 0; r < rows; r++) for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) want[r * n + i] += (int.PopCount(i & j) % 2 == 0 ? x[r * n + j] : -x[r * n + j]) / Math.Sqrt(n);
        Hadamard.Transform(y, rows, n); Trial.Close(want, y, 1e-6); Hadamard.Transform(y, rows, n); Trial.Close(Trial.D(x), y, 1e-6);
        if (n > 2) Assert.Contains($"n is {n - 1}, must be a power of two", Assert.Throws<ArgumentException>(() => Hadamard.Transform(y, rows, n - 1)).Message);
    }

    [Fact]
    public void Results_do_not_depend_on_the_thread_count()
    {
        Real[] x = Trial.Draw(400 * 96, 1);
        Trial.OnAnyThreads(() => { Real[] a = (Real[])x.Clone(), b = new Real[x.Length], c = (Real[])x.Clone(); Fft.Forward(a, b, 400, 96); Hadamard.Transform(c, 1200, 32); return [.. a, .. b, .. c]; });
    }
}
