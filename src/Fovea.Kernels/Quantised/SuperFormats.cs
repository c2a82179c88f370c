using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>What formats of 256 numbers with scales of six bits share: the scale and the minimum of each 32 numbers in 12 bytes.</summary>
static unsafe class SixBits
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (int Scale, int Min) Read(byte* p, int j) =>
        j < 4 ? (p[j] & 63, p[j + 4] & 63) : (p[j + 4] & 15 | p[j - 4] >> 6 << 4, p[j + 4] >> 4 | p[j] >> 6 << 4);

    /// <summary>Lane j in all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Lane(Vector256<float> v, int j) => Avx2.IsSupported ? Avx2.PermuteVar8x32(v, Vector256.Create(j)) : Vector256.Create(v.GetElement(j));

    /// <summary>sum + scale[j]·Σ q·x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<sbyte> q, short* x, Vector256<float> scale, int j, Vector256<float> sum) =>
        Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(Formats.Pairs(Formats.Shorts(q.GetLower()), Vector256.Load(x)) + Formats.Pairs(Formats.Shorts(q.GetUpper()), Vector256.Load(x + 16))), Lane(scale, j), sum);

    /// <summary>All eight pairs as numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void All(byte* p, out Vector256<float> scales, out Vector256<float> mins)
    {
        uint a = *(uint*)p, b = *(uint*)(p + 4), c = *(uint*)(p + 8);
        ulong s = a & 0x3f3f3f3f | (ulong)(c & 0x0f0f0f0f | (a >> 2 & 0x30303030)) << 32, n = b & 0x3f3f3f3f | (ulong)(c >> 4 & 0x0f0f0f0f | (b >> 2 & 0x30303030)) << 32;
        scales = Formats.Bytes((sbyte*)&s); mins = Formats.Bytes((sbyte*)&n);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot<TFormat>(byte* from, short* x, Rounded* scales, Vector256<float> sum) where TFormat : struct, ISixBits
    {
        All(from + 4, out var s, out var n);
        s *= Vector256.Create(Formats.Half(from)) * Rounded.Scales(scales);
        // Each lane takes the minimum of its own part.
        sum -= n * Vector256.Create(8 * Formats.Half(from + 2)) * Rounded.Eighths(scales);
        for (int j = 0; j < 8; j++) sum = Add(TFormat.Part(from, j).AsSByte(), x + 32 * j, s, j, sum);
        return sum;
    }
    public static void Decode<TFormat>(byte* from, float* to) where TFormat : struct, ISixBits
    {
        float d = Formats.Half(from), m = Formats.Half(from + 2);
        for (int j = 0; j < 8; j++) { var (s, n) = Read(from + 4, j); var q = TFormat.Part(from, j); Affine.Decode((sbyte*)&q, d * s, -m * n, to + 32 * j); }
    }
}

/// <summary>Blocks of eight parts of 32 numbers q with a scale and a minimum of six bits each, after halves d and m: w = d·s·q − m·n.</summary>
public unsafe interface ISixBits : IIntegerFormat
{
    /// <summary>The numbers of part j.</summary>
    static abstract Vector256<byte> Part(byte* block, int j);
}

/// <summary>Q4_K: halves d and m, eight pairs of six-bit numbers (s, n) and 256 four-bit numbers, w = d·s·q − m·n.</summary>
public readonly unsafe struct Q4_K : ISixBits
{
    public static string Name => "q4_k";
    public static int Block => 256;
    public static int BlockBytes => 144;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q4_K>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum) => SixBits.Dot<Q4_K>(from, x, scales, sum);
    public static void Decode(byte* from, float* to) => SixBits.Decode<Q4_K>(from, to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Part(byte* p, int j)
    {
        var b = Vector256.Load(p + 16 + j / 2 * 32);
        return (j % 2 == 0 ? b : (b.AsUInt16() >> 4).AsByte()) & Vector256.Create((byte)15);
    }
}

/// <summary>Q5_K: as Q4_K with a fifth bit for every number.</summary>
public readonly unsafe struct Q5_K : ISixBits
{
    public static string Name => "q5_k";
    public static int Block => 256;
    public static int BlockBytes => 176;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q5_K>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum) => SixBits.Dot<Q5_K>(from, x, scales, sum);
    public static void Decode(byte* from, float* to) => SixBits.Decode<Q5_K>(from, to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Part(byte* p, int j)
    {
        var b = Vector256.Load(p + 48 + j / 2 * 32); var bit = Vector256.Create((byte)(1 << j));
        return (j % 2 == 0 ? b : (b.AsUInt16() >> 4).AsByte()) & Vector256.Create((byte)15) | Vector256.Equals(Vector256.Load(p + 16) & bit, bit) & Vector256.Create((byte)16);
    }
}

/// <summary>Q6_K: 256 six-bit numbers, sixteen signed scales and a half d, w = d·s·(q − 32).</summary>
public readonly unsafe struct Q6_K : IIntegerFormat
{
    public static string Name => "q6_k";
    public static int Block => 256;
    public static int BlockBytes => 210;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q6_K>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum)
    {
        var own = Vector256.Create(Formats.Half(from + 208)) * Rounded.Scales(scales); var s = (sbyte*)from + 192;
        for (int j = 0; j < 8; j++)
        {
            var q = Part(from, j); var one = SixBits.Lane(own, j);
            sum = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(Formats.Pairs(Formats.Shorts(q.GetLower()), Vector256.Load(x + 32 * j))), one * Vector256.Create((float)s[2 * j]), sum);
            sum = Vector256.MultiplyAddEstimate(Vector256.ConvertToSingle(Formats.Pairs(Formats.Shorts(q.GetUpper()), Vector256.Load(x + 32 * j + 16))), one * Vector256.Create((float)s[2 * j + 1]), sum);
        }
        return sum;
    }
    public static void Decode(byte* from, float* to)
    {
        float d = Formats.Half(from + 208); sbyte* s = (sbyte*)from + 192;
        for (int j = 0; j < 8; j++)
        {
            var q = Part(from, j); var p = (sbyte*)&q; Vector256<float> a = Vector256.Create(d * s[2 * j]), b = Vector256.Create(d * s[2 * j + 1]); float* y = to + 32 * j;
            Vector256.Store(Formats.Bytes(p) * a, y); Vector256.Store(Formats.Bytes(p + 8) * a, y + 8); Vector256.Store(Formats.Bytes(p + 16) * b, y + 16); Vector256.Store(Formats.Bytes(p + 24) * b, y + 24);
        }
    }

    // Numbers 32·j … of the block: four bits from one of two halves of 64 bytes, two more from 32 bytes that serve 128 numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<sbyte> Part(byte* p, int j)
    {
        int half = j / 4, k = j % 4;
        var low = Vector256.Load(p + half * 64 + k % 2 * 32); var high = Vector256.Load(p + 128 + half * 32);
        low = (k < 2 ? low : (low.AsUInt16() >> 4).AsByte()) & Vector256.Create((byte)15);
        high = (high.AsUInt16() >> 2 * k).AsByte() & Vector256.Create((byte)3);
        return (low | (high.AsUInt16() << 4).AsByte()).AsSByte() - Vector256.Create((sbyte)32);
    }
}
