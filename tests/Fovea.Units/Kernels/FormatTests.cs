using Fovea.Kernels;
namespace Fovea.Units;

public sealed class FormatTests
{
    // The definitions, number by number, from the layout of each block.
    static double H(ReadOnlySpan<byte> b, int at) => (double)BitConverter.ToHalf(b[at..]);
    static int Nibble(ReadOnlySpan<byte> q, int i) => i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    static (int S, int N) Six(ReadOnlySpan<byte> s, int j) => j < 4 ? (s[j] & 63, s[j + 4] & 63) : (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4);
    static double Number(string format, ReadOnlySpan<byte> b, int i)
    {
        int bit = i % 32, j = i / 32;
        switch (format)
        {
            case "f32": return BitConverter.ToSingle(b[(4 * i)..]);
            case "f16": return H(b, 2 * i);
            case "bf16": return BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(b[(2 * i)..]) << 16);
            case "q8_0": return H(b, 0) * (sbyte)b[2 + i];
            case "q4_0": return H(b, 0) * (Nibble(b[2..], i) - 8);
            case "q4_1": return H(b, 0) * Nibble(b[4..], i) + H(b, 2);
            case "q5_0": return H(b, 0) * ((Nibble(b[6..], i) | (int)(BitConverter.ToUInt32(b[2..]) >> i & 1) << 4) - 16);
            case "q5_1": return H(b, 0) * (Nibble(b[8..], i) | (int)(BitConverter.ToUInt32(b[4..]) >> i & 1) << 4) + H(b, 2);
            case "q2": return H(b, 0) * (b[4 + i % 8] >> 2 * (i / 8) & 3) + H(b, 2);
            case "q4_k": { var (s, n) = Six(b[4..], j); return H(b, 0) * s * (b[16 + j / 2 * 32 + bit] >> 4 * (j % 2) & 15) - H(b, 2) * n; }
            case "q5_k": { var (s, n) = Six(b[4..], j); return H(b, 0) * s * ((b[48 + j / 2 * 32 + bit] >> 4 * (j % 2) & 15) + (b[16 + bit] >> j & 1) * 16) - H(b, 2) * n; }
            default:
                int half = i / 128, k = i % 128 / 32;
                int q = (b[half * 64 + k % 2 * 32 + bit] >> (k < 2 ? 0 : 4) & 15) | (b[128 + half * 32 + bit] >> 2 * k & 3) << 4;
                return H(b, 208) * (sbyte)b[192 + half * 8 + k * 2 + bit / 16] * (q - 32);
        }
    }

    // Random bytes, with halves that are neither infinite nor huge.
    static byte[] Draw<T>(int blocks, int seed) where T : struct, INumberFormat
    {
        var bytes = new byte[blocks * T.BlockBytes]; new Random(seed).NextBytes(bytes);
        int[] halves = T.Name switch { "f16" => [0, 2, 4, 6, 8, 10, 12, 14], "q4_1" or "q5_1" or "q4_k" or "q5_k" or "q2" => [0, 2], "q6_k" => [208], "f32" or "bf16" => [], _ => [0] };
        for (int b = 0; b < blocks; b++) foreach (int h in halves) bytes[b * T.BlockBytes + h + 1] = (byte)(bytes[b * T.BlockBytes + h + 1] & 0x80 | 0x20 + (b + h) % 16);
        if (T.Name is "f32" or "bf16") { var x = GemmTests.Numbers(blocks * 8, seed); for (int i = 0; i < x.Length; i++) if (T.Name == "f32") BitConverter.TryWriteBytes(bytes.AsSpan(4 * i), x[i]); else BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(x[i]) >> 16)); }
        return bytes;
    }

    interface ICheck { void Run<T>() where T : struct, INumberFormat; }
    static void Every(ICheck check)
    {
        check.Run<Float32>(); check.Run<BFloat16>(); check.Run<Float16>(); check.Run<Q8_0>(); check.Run<Q4_0>(); check.Run<Q4_1>(); check.Run<Q5_0>(); check.Run<Q5_1>(); check.Run<Q2>();
        check.Run<Q4_K>(); check.Run<Q5_K>(); check.Run<Q6_K>();
    }

    readonly struct Decodes : ICheck
    {
        public void Run<T>() where T : struct, INumberFormat
        {
            var bytes = Draw<T>(5, 1); var y = new float[5 * T.Block]; Formats.Decode<T>(bytes, 5 * T.Block, y);
            for (int i = 0; i < y.Length; i++) { double e = Number(T.Name, bytes.AsSpan(i / T.Block * T.BlockBytes, T.BlockBytes), i % T.Block); Assert.True(Math.Abs(e - y[i]) <= 1e-6 * (1 + Math.Abs(e)) * 40, $"{T.Name} {i}: {e} {y[i]}"); }
        }
    }
    [Fact] public void Every_format_decodes_as_its_layout_says() => Every(new Decodes());

    readonly struct Multiplies : ICheck
    {
        public void Run<T>() where T : struct, INumberFormat
        {
            foreach (var (n, m) in new[] { (1, 1), (7, 2), (70, 3), (130, 5) })
            {
                int k = 512; var bytes = Draw<T>(n * k / T.Block, 2); var x = GemmTests.Numbers(m * k, 3); var y = new float[m * n]; var w = new float[n * k];
                Formats.Decode<T>(bytes, k, w); Quantised.MatMul<T>(bytes, n, k, x, m, y);
                for (int r = 0; r < m; r++) for (int j = 0; j < n; j++)
                {
                    double sum = 0, size = 0;
                    for (int i = 0; i < k; i++) { sum += (double)w[j * k + i] * x[r * k + i]; size += Math.Abs((double)w[j * k + i] * x[r * k + i]); }
                    Assert.True(Math.Abs(sum - y[r * n + j]) <= 5e-5 * size, $"{T.Name} {n}×{m}: {sum} {y[r * n + j]}");
                }
            }
            Assert.Throws<ArgumentException>(() => Quantised.MatMul<T>(new byte[T.BlockBytes], 1, T.Block + 1, new float[T.Block + 1], 1, new float[1]));
            Assert.Throws<ArgumentException>(() => Quantised.MatMul<T>(new byte[T.BlockBytes - 1], 1, T.Block, new float[T.Block], 1, new float[1]));
            Assert.Throws<ArgumentException>(() => Pointers<T>(T.Block + 1));
        }
    }
    static unsafe void Pointers<T>(int k) where T : struct, INumberFormat { var w = new byte[2 * T.BlockBytes]; var x = new float[k]; float y; fixed (byte* p = w) fixed (float* q = x) Quantised.MatMul<T>(p, 1, k, q, 1, &y); }
    [Fact] public void Products_with_weights_in_a_format_are_those_with_the_decoded_weights() => Every(new Multiplies());

    [Fact]
    public void Rounding_back_and_forth_stays_within_half_a_step()
    {
        void Check<T>(double step) where T : struct, IWritableFormat
        {
            foreach (double scale in new[] { 0.1, 1, 300 })      // below, scales become subnormal halves
            {
                var x = GemmTests.Numbers(3 * 70, 5).Select(v => (float)(v * scale)).ToArray(); var bytes = new byte[3 * Formats.RowBytes<T>(70)]; var y = new float[x.Length];
                Formats.Encode<T>(x, 70, bytes); Formats.Decode<T>(bytes, 70, y);
                for (int i = 0; i < x.Length; i++)
                {
                    // The steps of a format are as large as the range of the block asks for.
                    int row = i / 70, b = i % 70 / T.Block; var block = x.AsSpan(row * 70 + b * T.Block, Math.Min(T.Block, 70 - b * T.Block)); float range = 0, low = Math.Min(0, block[0]), high = Math.Max(0, block[0]);
                    foreach (float v in block) { range = Math.Max(range, Math.Abs(v)); low = Math.Min(low, v); high = Math.Max(high, v); }
                    double size = T.Name is "q4_1" or "q2" ? high - low : T.Name is "f32" or "bf16" or "f16" ? Math.Abs(x[i]) : range;
                    Assert.True(Math.Abs(x[i] - y[i]) <= step * size * 1.01 + 1e-7, $"{T.Name} {i}: {x[i]} {y[i]}, range {size}");
                }
            }
            foreach (float bad in new[] { float.NaN, float.PositiveInfinity }) Assert.Contains("number 3", Assert.Throws<ArgumentException>(() => Formats.Encode<T>(new float[] { 1, 2, 3, bad }, 4, new byte[400])).Message);
            var zeros = new float[64]; var z = new byte[Formats.RowBytes<T>(64)]; Formats.Encode<T>(zeros, 64, z); Formats.Decode<T>(z, 64, zeros); Assert.All(zeros, v => Assert.Equal(0, v));
        }
        Check<Float32>(0); Check<BFloat16>(1 / 256.0); Check<Float16>(1 / 2048.0); Check<Q8_0>(0.5 / 127 + 5e-4); Check<Q4_0>(1 / 8.0 + 1e-3); Check<Q4_1>(0.5 / 15 + 1e-3); Check<Q2>(0.5 / 3 + 1e-3);
    }

    [Fact]
    public void Halves_keep_subnormals_infinities_and_what_is_not_a_number()
    {
        var bytes = new byte[16]; Half[] x = [Half.Epsilon, -Half.Epsilon, (Half)1e-5, Half.MaxValue, Half.PositiveInfinity, Half.NegativeInfinity, Half.NaN, (Half)(-0.0)];
        for (int i = 0; i < 8; i++) BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), x[i]);
        var y = new float[8]; Formats.Decode<Float16>(bytes, 8, y);
        Assert.Equal(x.Select(h => (float)h), y);
    }

    [Theory, InlineData(1, 1, 32, 32), InlineData(1, 2, 64, 128), InlineData(4, 1, 128, 64), InlineData(7, 3, 70, 33), InlineData(2, 9, 80, 96)]
    public void Attention_over_a_cache_in_a_format_is_attention_over_the_decoded_cache(int group, int queries, int d, int e)
    {
        void Check<TKeys, TValues>() where TKeys : struct, IWritableFormat where TValues : struct, IWritableFormat
        {
            var s = new AttentionSize(2, 2 * group, 2, queries, 150, d, e) { KeyRows = 160 }; float[] q = GemmTests.Numbers(2 * 2 * group * queries * d, 1), k = GemmTests.Numbers(4 * 160 * d, 2), v = GemmTests.Numbers(4 * 160 * e, 3);
            byte[] kb = new byte[640 * Formats.RowBytes<TKeys>(d)], vb = new byte[640 * Formats.RowBytes<TValues>(e)]; Formats.Encode<TKeys>(k, d, kb); Formats.Encode<TValues>(v, e, vb); Formats.Decode<TKeys>(kb, d, k); Formats.Decode<TValues>(vb, e, v);
            int rows = 4 * group * queries; float[] o = new float[rows * e], lse = new float[rows], p = new float[rows * e], pse = new float[rows]; int offset = 150 - queries;
            Flash.Forward(s, q, k, v, offset, default, new Plain(), new Causal(), o, lse);
            QuantisedAttention.Forward<Plain, Causal, TKeys, TValues>(s, q, kb, vb, offset, default, new(), new(), p, pse);
            for (int i = 0; i < o.Length; i++) Assert.Equal(o[i], p[i], 2e-4f);
            for (int i = 0; i < lse.Length; i++) Assert.Equal(lse[i], pse[i], 2e-4f);
            Assert.Throws<ArgumentException>(() => QuantisedAttention.Forward<Plain, Causal, TKeys, TValues>(s, q, kb.AsSpan(1), vb, offset, default, new(), new(), p, pse));
        }
        Check<Float32, Float32>(); Check<BFloat16, Float16>(); Check<Q8_0, Q8_0>(); Check<Q4_0, Q4_1>(); Check<Q8_0, Q2>(); Check<Float16, BFloat16>(); Check<Q4_0, Q4_0>(); Check<Q4_1, Q8_0>();
    }
}
