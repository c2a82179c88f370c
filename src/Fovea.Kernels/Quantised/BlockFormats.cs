using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>What formats with a scale per 32 numbers share.</summary>
static unsafe class Blocks
{
    /// <summary>The 32 four-bit numbers of 16 bytes as bytes: low halves, then high halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Nibbles(byte* p)
    {
        var b = Vector128.Load(p);
        return Vector256.Create(b, (b.AsUInt16() >> 4).AsByte()) & Vector256.Create((byte)15);
    }

    /// <summary>32 bits as bytes: 16 where a bit is set, else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Fifth(uint bits)
    {
        var spread = Vector256.Shuffle(Vector256.Create(bits).AsByte(), Vector256.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
        var mask = Vector256.Create(0x8040201008040201UL).AsByte();
        return Vector256.Equals(spread & mask, mask) & Vector256.Create((byte)16);
    }

    public static float Largest(float* x, int n) { float m = 0; for (int i = 0; i < n; i++) m = Math.Max(m, Math.Abs(x[i])); return m; }
    public static void Half(float x, byte* to) => *(Half*)to = (Half)x;
}

/// <summary>Q8_0: a half d and 32 signed bytes, w = d·q. d is the largest number by 127.</summary>
public readonly unsafe struct Q8_0 : IWritableFormat, IPackedFormat
{
    public static string Name => "q8_0";
    public static int Block => 32;
    public static int BlockBytes => 34;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q8_0>(weights, n, k, x, m, y);
    public static bool Many(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Packed<Q8_0>(weights, n, k, x, m, y);
    public static bool Direct(int dim) => dim % 32 == 0;
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => IntegerRows<Q8_0>.Dots(rows, dim, x, count, to, step);
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => IntegerRows<Q8_0>.Sweep(rows, dim, p, step, to, count);
    public static int Offset => 0;
    public static int Next => 16;
    public static int Apart => 8;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<short> low, out Vector256<short> high) { low = Formats.Shorts((sbyte*)block + 2); high = Formats.Shorts((sbyte*)block + 18); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Pair(byte* first, byte* second, int half, out Vector256<short> atI, out Vector256<short> atJ)
    {
        Vector128<byte> x = Vector128.Load(first + 2 + 16 * half), y = Vector128.Load(second + 2 + 16 * half);
        atI = Formats.Shorts(Formats.ZipLow(x, y).AsSByte()); atJ = Formats.Shorts(Formats.ZipHigh(x, y).AsSByte());
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum) =>
        Formats.Scaled(Formats.Pairs(Formats.Shorts((sbyte*)from + 2), Vector256.Load(x)) + Formats.Pairs(Formats.Shorts((sbyte*)from + 18), Vector256.Load(x + 16)), from, scales, sum);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Formats.Scale32((sbyte*)from + 2, Formats.Half(from), to);
    public static void Encode(float* from, byte* to)
    {
        float d = Math.Min(Blocks.Largest(from, 32) / 127, 65504f), inverse = d == 0 ? 0 : 1 / d;
        Blocks.Half(d, to);
        for (int i = 0; i < 32; i++) ((sbyte*)to)[2 + i] = (sbyte)Math.Clamp(MathF.Round(from[i] * inverse), -127, 127);
    }
}

/// <summary>Q4_0: a half d and 32 four-bit numbers, w = d·(q − 8). d is the number of largest size by −8, with its sign.</summary>
public readonly unsafe struct Q4_0 : IWritableFormat, IPackedFormat
{
    public static string Name => "q4_0";
    public static int Block => 32;
    public static int BlockBytes => 18;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q4_0>(weights, n, k, x, m, y);
    public static bool Many(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Packed<Q4_0>(weights, n, k, x, m, y);
    public static bool Direct(int dim) => dim % 32 == 0;
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => IntegerRows<Q4_0>.Dots(rows, dim, x, count, to, step);
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => IntegerRows<Q4_0>.Sweep(rows, dim, p, step, to, count);
    public static int Offset => 8;
    public static int Next => 8;
    public static int Apart => 16;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<short> low, out Vector256<short> high) { var q = Formats.Shorts(block + 2); low = q & Vector256.Create((short)15); high = q >>> 4; }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Pair(byte* first, byte* second, int half, out Vector256<short> atI, out Vector256<short> atJ)
    {
        var q = Formats.Shorts(Formats.ZipLow(Vector128.CreateScalarUnsafe(*(long*)(first + 2 + 8 * half)).AsByte(), Vector128.CreateScalarUnsafe(*(long*)(second + 2 + 8 * half)).AsByte()));
        atI = q & Vector256.Create((short)15); atJ = q >>> 4;
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum)
    {
        // Eight lanes that are less by the sum of x make what 8 for every q does.
        var q = Formats.Shorts(from + 2); var products = Formats.Pairs(q & Vector256.Create((short)15), Vector256.Load(x)) + Formats.Pairs(q >>> 4, Vector256.Load(x + 16));
        return Formats.Scaled(Vector256.ConvertToSingle(products) + Vector256.Create(scales->Minus), from, scales, sum);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] static Vector256<sbyte> Load(byte* p) => Blocks.Nibbles(p + 2).AsSByte() - Vector256.Create((sbyte)8);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) { var q = Load(from); Formats.Scale32((sbyte*)&q, Formats.Half(from), to); }
    public static void Encode(float* from, byte* to)
    {
        float largest = 0;
        for (int i = 0; i < 32; i++) if (Math.Abs(from[i]) > Math.Abs(largest)) largest = from[i];
        float d = Math.Clamp(largest / -8, -65504f, 65504f), inverse = d == 0 ? 0 : 1 / d;
        Blocks.Half(d, to);
        int Number(int i) => (int)Math.Clamp(MathF.Floor(from[i] * inverse + 8.5f), 0, 15);
        for (int i = 0; i < 16; i++) to[2 + i] = (byte)(Number(i) | Number(i + 16) << 4);
    }
}

/// <summary>Q4_1: halves d and m and 32 four-bit numbers, w = d·q + m.</summary>
public readonly unsafe struct Q4_1 : IWritableFormat, IIntegerFormat
{
    public static string Name => "q4_1";
    public static int Block => 32;
    public static int BlockBytes => 20;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Integers<Q4_1>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, short* x, Rounded* scales, Vector256<float> sum)
    {
        var q = Formats.Shorts(from + 4);
        return Formats.Shifted(from + 2, scales, Formats.Scaled(Formats.Pairs(q & Vector256.Create((short)15), Vector256.Load(x)) + Formats.Pairs(q >> 4, Vector256.Load(x + 16)), from, scales, sum));
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) { var q = Blocks.Nibbles(from + 4); Affine.Decode((sbyte*)&q, Formats.Half(from), Formats.Half(from + 2), to); }
    public static void Encode(float* from, byte* to)
    {
        byte* q = stackalloc byte[32];
        Affine.Encode(from, 32, 15, to, q);
        for (int i = 0; i < 16; i++) to[4 + i] = (byte)(q[i] | q[i + 16] << 4);
    }
}

/// <summary>Q5_0: a half d, 32 high bits and 32 four-bit numbers, w = d·(q − 16).</summary>
public readonly unsafe struct Q5_0 : IFloatFormat
{
    public static string Name => "q5_0";
    public static int Block => 32;
    public static int BlockBytes => 22;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<Q5_0>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] static Vector256<sbyte> Load(byte* p) => (Blocks.Nibbles(p + 6) | Blocks.Fifth(*(uint*)(p + 2))).AsSByte() - Vector256.Create((sbyte)16);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) { var q = Load(from); Formats.Scale32((sbyte*)&q, Formats.Half(from), to); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum)
    {
        var q = Load(from);
        return Vector256.MultiplyAddEstimate(Formats.Dot32((sbyte*)&q, x), Vector256.Create(Formats.Half(from)), sum);
    }
}

/// <summary>Q5_1: halves d and m, 32 high bits and 32 four-bit numbers, w = d·q + m.</summary>
public readonly unsafe struct Q5_1 : IFloatFormat
{
    public static string Name => "q5_1";
    public static int Block => 32;
    public static int BlockBytes => 24;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<Q5_1>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] static Vector256<byte> Load(byte* p) => Blocks.Nibbles(p + 8) | Blocks.Fifth(*(uint*)(p + 4));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) { var q = Load(from); Affine.Decode((sbyte*)&q, Formats.Half(from), Formats.Half(from + 2), to); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) { var q = Load(from); return Affine.Dot((sbyte*)&q, Formats.Half(from), Formats.Half(from + 2), x, sum); }
}

/// <summary>Q2: halves d and m and 32 two-bit numbers, w = d·q + m: 3 bits a number. Fovea's own, for caches; number i lies in byte i mod 8 at bit 2·(i / 8).</summary>
public readonly unsafe struct Q2 : IWritableFormat, IFloatFormat
{
    public static string Name => "q2";
    public static int Block => 32;
    public static int BlockBytes => 12;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<Q2>(weights, n, k, x, m, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<byte> Load(byte* p)
    {
        ulong b = *(ulong*)(p + 4);
        return Vector256.Create(b, b >> 2, b >> 4, b >> 6).AsByte() & Vector256.Create((byte)3);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) { var q = Load(from); Affine.Decode((sbyte*)&q, Formats.Half(from), Formats.Half(from + 2), to); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) { var q = Load(from); return Affine.Dot((sbyte*)&q, Formats.Half(from), Formats.Half(from + 2), x, sum); }
    public static void Encode(float* from, byte* to)
    {
        byte* q = stackalloc byte[32];
        Affine.Encode(from, 32, 3, to, q);
        for (int i = 0; i < 8; i++) to[4 + i] = (byte)(q[i] | q[i + 8] << 2 | q[i + 16] << 4 | q[i + 24] << 6);
    }
}

/// <summary>w = d·q + m.</summary>
static unsafe class Affine
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Decode(sbyte* q, float d, float m, float* to)
    {
        Vector256<float> scale = Vector256.Create(d), low = Vector256.Create(m);
        for (int i = 0; i < 32; i += 8) Vector256.Store(Vector256.MultiplyAddEstimate(Formats.Bytes(q + i), scale, low), to + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Dot(sbyte* q, float d, float m, float* x, Vector256<float> sum)
    {
        var all = Vector256.Load(x) + Vector256.Load(x + 8) + (Vector256.Load(x + 16) + Vector256.Load(x + 24));
        return Vector256.MultiplyAddEstimate(Formats.Dot32(q, x), Vector256.Create(d), Vector256.MultiplyAddEstimate(all, Vector256.Create(m), sum));
    }

    /// <summary>Writes d and m, and the numbers 0 … most, one per byte, into q.</summary>
    public static void Encode(float* from, int n, int most, byte* to, byte* q)
    {
        float low = from[0], high = from[0];
        for (int i = 1; i < n; i++) { low = Math.Min(low, from[i]); high = Math.Max(high, from[i]); }
        low = Math.Clamp(low, -65504f, 65504f);
        float d = Math.Min((high - low) / most, 65504f), inverse = d == 0 ? 0 : 1 / d;
        Blocks.Half(d, to); Blocks.Half(low, to + 2);
        for (int i = 0; i < n; i++) q[i] = (byte)Math.Clamp(MathF.Round((from[i] - low) * inverse), 0, most);
    }
}
