using Fovea.Kernels;
namespace Fovea.Units;

public sealed class PackedQ4Tests
{
    static byte[] Weights(int n, int k, int seed)
    {
        var bytes = new byte[n * (k / 32) * 18]; var random = new Random(seed); random.NextBytes(bytes);
        // Scales of both signs, from the smallest halves to large ones.
        for (int b = 0; b < bytes.Length; b += 18) BitConverter.TryWriteBytes(bytes.AsSpan(b), (Half)((random.Next(2) * 2 - 1) * Math.Pow(2, random.Next(-24, 6))));
        return bytes;
    }
    static float[] Decoded(byte[] weights, int n, int k) { var w = new float[n * k]; NumberFormat.For<Q4_0>().Decode(weights, k, w); return w; }

    [Theory]
    [InlineData(1, 1, 32)]
    [InlineData(7, 3, 64)]
    [InlineData(8, 1, 96)]
    [InlineData(70, 7, 224)]
    [InlineData(200, 9, 32)]
    [InlineData(1030, 1, 64)]
    public void Integers_up_to_127_are_multiplied_exactly(int n, int m, int k)
    {
        byte[] weights = Weights(n, k, n + m); float[] w = Decoded(weights, n, k), x = new float[m * k], y = new float[m * n]; var random = new Random(k);
        for (int i = 0; i < x.Length; i++) x[i] = i % 32 == 0 ? 127 : random.Next(-127, 128);
        Array.Fill(y, float.NaN);
        new PackedQ4(weights, n, k).MatMul(x, m, y);
        for (int i = 0; i < m; i++)
            for (int r = 0; r < n; r++)
            {
                double sum = 0, size = 0;
                for (int j = 0; j < k; j++) { double p = (double)w[r * k + j] * x[i * k + j]; sum += p; size += Math.Abs(p); }
                Assert.True(Math.Abs(sum - y[i * n + r]) <= 1e-6 * size, $"row {r} of {n}, vector {i}: {sum} {y[i * n + r]}");
            }
    }

    [Theory]
    [InlineData(1e-30f)]
    [InlineData(1f)]
    [InlineData(1e30f)]
    public void Other_numbers_are_off_by_half_a_step_of_their_block_at_most(float scale)
    {
        const int n = 40, k = 256; byte[] weights = Weights(n, k, 5); float[] w = Decoded(weights, n, k), x = GemmTests.Numbers(k, 3), y = new float[n];
        for (int i = 0; i < k; i++) x[i] *= scale * (i / 32 % 2 == 0 ? 1 : 0.01f);
        new PackedQ4(weights, n, k).MatMul(x, 1, y);
        for (int r = 0; r < n; r++)
        {
            double sum = 0, bound = 0;
            for (int b = 0; b < k; b += 32)
            {
                double largest = 0; for (int j = b; j < b + 32; j++) largest = Math.Max(largest, Math.Abs(x[j]));
                for (int j = b; j < b + 32; j++) { sum += (double)w[r * k + j] * x[j]; bound += Math.Abs(w[r * k + j]) * largest * (0.5 / 127 + 1e-6); }
            }
            Assert.True(Math.Abs(sum - y[r]) <= bound, $"row {r}: {sum} {y[r]}, bound {bound}");
        }
    }

    [Fact]
    public void A_row_gives_the_same_bits_alone_and_among_others()
    {
        const int n = 77, k = 160, m = 11; var p = new PackedQ4(Weights(n, k, 1), n, k); float[] x = GemmTests.Numbers(m * k, 2), all = new float[m * n], one = new float[n];
        p.MatMul(x, m, all);
        for (int i = 0; i < m; i++) { p.MatMul(x.AsSpan(i * k, k), 1, one); Assert.Equal(one, all[(i * n)..((i + 1) * n)]); }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_is_not_finite_stays_so(float bad)
    {
        const int n = 9, k = 64; var x = new float[k]; x[40] = bad; var y = new float[n];
        new PackedQ4(Weights(n, k, 4), n, k).MatMul(x, 1, y);
        Assert.All(y, v => Assert.False(float.IsFinite(v)));
    }

    [Fact]
    public void Wrong_sizes_are_told()
    {
        Assert.Contains("blocks of 32", Assert.Throws<ArgumentException>(() => new PackedQ4(new byte[180], 4, 40)).Message);
        Assert.Contains("72", Assert.Throws<ArgumentException>(() => new PackedQ4(new byte[71], 4, 32)).Message);
        Assert.Throws<ArgumentException>(() => new PackedQ4(new byte[72], 4, 32).MatMul(new float[32], 1, new float[3]));
    }
}
