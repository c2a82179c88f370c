using Fovea.Kernels;
namespace Fovea.Units;

public class IntegerGemmTests
{
    [Theory]
    [InlineData(1, 1, 1), InlineData(1, 7, 70), InlineData(3, 200, 5), InlineData(7, 70, 9), InlineData(2, 16, 1), InlineData(1, 5000, 3)]
    public void Sums_are_exact(int m, int k, int n)
    {
        var a = new sbyte[m * k]; var b = new sbyte[n * k]; var c = new int[m * n];
        // Largest magnitudes of one sign: the sums that overflow first.
        for (int i = 0; i < a.Length; i++) a[i] = i < k ? (sbyte)-127 : (sbyte)(new Rng(1).Below(i, 255) - 127);
        for (int i = 0; i < b.Length; i++) b[i] = i < k ? (sbyte)-127 : (sbyte)(new Rng(2).Below(i, 255) - 127);
        IntegerGemm.NT(a, b, c, m, k, n);
        for (int i = 0; i < m; i++) for (int j = 0; j < n; j++)
        {
            int sum = 0;
            for (int x = 0; x < k; x++) sum += a[i * k + x] * b[j * k + x];
            Assert.Equal(sum, c[i * n + j]);
        }
    }

    [Fact]
    public void Rounding_goes_to_the_nearest_and_cuts_at_127()
    {
        var q = new sbyte[5];
        IntegerGemm.Round([(Real)0.26, (Real)(-0.24), 1000, -1000, 0], (Real)0.5, q);
        Assert.Equal([1, 0, 127, -127, 0], q.Select(x => (int)x));
        Assert.Throws<ArgumentOutOfRangeException>(() => IntegerGemm.Round([1], 0, q));
        Assert.Throws<ArgumentException>(() => IntegerGemm.NT(new sbyte[3], new sbyte[4], new int[4], 2, 2, 2));
    }
}
