using System.Runtime.Intrinsics;
using Fovea.Kernels;
namespace Fovea.Units;

/// <summary>Rows of a cache in their format, against double loops over the decoded numbers.</summary>
public sealed unsafe class FormatRowsTests
{
    static byte[] Rows<T>(int n, int dim, int seed, out float[] decoded) where T : struct, IWritableFormat
    {
        var x = GemmTests.Numbers(n * dim, seed); var bytes = new byte[n * Formats.RowBytes<T>(dim)]; decoded = new float[x.Length];
        // Neighbouring rows differ in size a hundredfold: scales of blocks must go with their own rows.
        for (int j = 0; j < n; j++) for (int i = 0; i < dim; i++) x[j * dim + i] *= j % 3 == 0 ? 0.01f : 1;
        Formats.Encode<T>(x, dim, bytes); Formats.Decode<T>(bytes, dim, decoded);
        return bytes;
    }
    static float[] Run<T>(byte[] bytes, int n, int dim, float[] x, int count, bool sweep, int width) where T : struct, IWritableFormat
    {
        int step = n + 3; var to = Enumerable.Repeat(0.5f, sweep ? count * dim : count * step).ToArray(); var scratch = new float[n * dim + 64];
        fixed (byte* p = bytes) fixed (float* px = x, pt = to, ps = scratch)
        {
            var rows = new FormatRows<T>(p, n, dim);
            if (sweep) { if (width == 256) rows.Sweep<Lanes256, Vector256<float>>(0, 0, n, px, step, pt, count, ps); else rows.Sweep<Lanes128, Vector128<float>>(0, 0, n, px, step, pt, count, ps); }
            else { if (width == 256) rows.Dots<Lanes256, Vector256<float>>(0, 0, n, px, count, pt, step, ps); else rows.Dots<Lanes128, Vector128<float>>(0, 0, n, px, count, pt, step, ps); }
        }
        return to;
    }

    static void Compare<T>(int n, int dim, int count) where T : struct, IWritableFormat
    {
        var bytes = Rows<T>(n, dim, 1, out var w); int step = n + 3; var q = GemmTests.Numbers(count * dim, 2); var p = GemmTests.Numbers(count * step, 3);
        foreach (int width in new[] { 256, 128 })
        {
            var dots = Run<T>(bytes, n, dim, q, count, false, width); var sums = Run<T>(bytes, n, dim, p, count, true, width);
            for (int r = 0; r < count; r++)
            {
                for (int j = 0; j < n; j++)
                {
                    double sum = 0.5, size = 1;
                    for (int i = 0; i < dim; i++) { double y = (double)w[j * dim + i] * q[r * dim + i]; sum += y; size += Math.Abs(y); }
                    Assert.True(Math.Abs(sum - dots[r * step + j]) <= 3e-5 * size, $"{T.Name} {n}×{dim} dot {r} {j}: {sum} {dots[r * step + j]}");
                }
                for (int i = 0; i < dim; i++)
                {
                    double sum = 0.5, size = 1;
                    for (int j = 0; j < n; j++) { double y = (double)w[j * dim + i] * p[r * step + j]; sum += y; size += Math.Abs(y); }
                    Assert.True(Math.Abs(sum - sums[r * dim + i]) <= 5e-5 * size, $"{T.Name} {n}×{dim} sum {r} {i}: {sum} {sums[r * dim + i]}");
                }
                for (int j = n; j < step; j++) Assert.Equal(0.5f, dots[r * step + j]);
            }
        }
    }

    [Theory, InlineData(1, 32, 1), InlineData(2, 64, 4), InlineData(3, 96, 5), InlineData(7, 128, 3), InlineData(70, 160, 4), InlineData(200, 128, 8), InlineData(511, 32, 6), InlineData(512, 64, 1), InlineData(9, 48, 5), InlineData(130, 70, 2)]
    public void Rows_in_a_format_multiply_as_the_decoded_rows_do(int n, int dim, int count)
    {
        Compare<Float32>(n, dim, count); Compare<BFloat16>(n, dim, count); Compare<Float16>(n, dim, count); Compare<Q8_0>(n, dim, count); Compare<Q4_0>(n, dim, count); Compare<Q4_1>(n, dim, count); Compare<Q2>(n, dim, count);
    }

    [Theory, InlineData(1), InlineData(4)]
    public void What_is_not_finite_reaches_the_sums_that_it_belongs_to(int count)
    {
        void Check<T>(Action<byte[]>? spoil) where T : struct, IWritableFormat
        {
            const int n = 9, dim = 64; var bytes = Rows<T>(n, dim, 1, out _); var q = GemmTests.Numbers(count * dim, 2); var p = GemmTests.Numbers(count * (n + 3), 3);
            if (spoil is null) { q[5] = float.NaN; p[5] = float.PositiveInfinity; } else spoil(bytes);
            float[] dots = Run<T>(bytes, n, dim, q, count, false, 256), sums = Run<T>(bytes, n, dim, p, count, true, 256);
            // A spoilt number lies in row 4, place 5; a spoilt factor belongs to the first vector.
            Assert.False(float.IsFinite(dots[4])); Assert.False(float.IsFinite(sums[5]));
            if (spoil is null) { for (int r = 1; r < count; r++) { Assert.True(float.IsFinite(dots[r * (n + 3) + 4])); Assert.True(float.IsFinite(sums[r * dim + 5])); } return; }
            for (int j = 0; j < n; j++) Assert.Equal(j != 4, float.IsFinite(dots[j]));
            for (int i = 0; i < dim; i++) Assert.Equal(i != 5, float.IsFinite(sums[i]));
        }
        foreach (var bad in new[] { Half.NaN, Half.PositiveInfinity, Half.NegativeInfinity }) Check<Float16>(b => BitConverter.TryWriteBytes(b.AsSpan(2 * (4 * 64 + 5)), bad));
        Check<BFloat16>(b => BitConverter.TryWriteBytes(b.AsSpan(2 * (4 * 64 + 5)), (ushort)0x7f80)); Check<Float32>(b => BitConverter.TryWriteBytes(b.AsSpan(4 * (4 * 64 + 5)), float.NaN));
        Check<Float16>(null); Check<BFloat16>(null); Check<Q8_0>(null); Check<Q4_0>(null);
    }

    [Fact]
    public void A_check_names_the_first_block_that_is_not_finite()
    {
        var bytes = Rows<Q4_0>(3, 64, 1, out _); Formats.Check<Q4_0>(bytes);
        BitConverter.TryWriteBytes(bytes.AsSpan(4 * Q4_0.BlockBytes), Half.PositiveInfinity);
        Assert.Contains("block 4", Assert.Throws<ArgumentException>(() => Formats.Check<Q4_0>(bytes)).Message);
        Assert.Contains("blocks of 18", Assert.Throws<ArgumentException>(() => Formats.Check<Q4_0>(new byte[17])).Message);
    }

    [Theory, InlineData(1), InlineData(4)]
    public void Long_caches_attend_alike_on_any_number_of_threads(int group)
    {
        var s = new AttentionSize(1, 2 * group, 2, 1, 2500, 64, 32); var q = GemmTests.Numbers(2 * group * 64, 1);
        void Check<TKeys, TValues>() where TKeys : struct, IWritableFormat where TValues : struct, IWritableFormat
        {
            var k = Rows<TKeys>(5000, 64, 2, out var dk); var v = Rows<TValues>(5000, 32, 3, out var dv); float[] o = new float[2 * group * 32], lse = new float[2 * group], p = new float[o.Length], pse = new float[lse.Length], e = new float[o.Length], ese = new float[lse.Length];
            int threads = Threads.Max;
            try
            {
                Threads.Max = 1; QuantisedAttention.Forward<Plain, Causal, TKeys, TValues>(s, q, k, v, 2499, default, new(), new(), o, lse);
                Threads.Max = 3; QuantisedAttention.Forward<Plain, Causal, TKeys, TValues>(s, q, k, v, 2499, default, new(), new(), p, pse);
            }
            finally { Threads.Max = threads; }
            Assert.Equal(o, p); Assert.Equal(lse, pse);
            for (int h = 0; h < 2 * group; h++)
            {
                int kv = h / group * 2500; var w = new double[2500]; double max = double.NegativeInfinity, total = 0; var sum = new double[32];
                for (int j = 0; j < 2500; j++) { for (int i = 0; i < 64; i++) w[j] += (double)q[h * 64 + i] * dk[(kv + j) * 64 + i] / 8; max = Math.Max(max, w[j]); }
                for (int j = 0; j < 2500; j++) { double y = Math.Exp(w[j] - max); total += y; for (int i = 0; i < 32; i++) sum[i] += y * dv[(kv + j) * 32 + i]; }
                for (int i = 0; i < 32; i++) Assert.Equal(sum[i] / total, o[h * 32 + i], 1e-4);
                Assert.Equal(max + Math.Log(total), lse[h], 1e-4);
            }
        }
        Check<Float32, Float32>(); Check<BFloat16, Float16>(); Check<Q8_0, Q8_0>(); Check<Q4_0, Q4_0>();
    }
}
