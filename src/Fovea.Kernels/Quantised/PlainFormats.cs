using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>IEEE float32, in blocks of eight.</summary>
public readonly unsafe struct Float32 : IWritableFormat, IPlainFormat
{
    public static string Name => "f32";
    public static int Block => 8;
    public static int BlockBytes => 32;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Plain<Float32>(weights, n, k, x, m, y);
    public static bool Direct(int dim) => dim % 16 == 0;
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => PlainRows<Float32>.Dots(rows, dim, x, count, to, step);
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => PlainRows<Float32>.Sweep(rows, dim, p, step, to, count);
    public static float Root => 1;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<ushort> Watch(byte* p, Vector256<ushort> noted) => noted;
    public static bool Noted(Vector256<ushort> noted) => false;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Load(byte* p) => Vector256.Load((float*)p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Vector256.Store(Vector256.Load((float*)from), to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Vector256.Load((float*)from), Vector256.Load(x), sum);
    public static void Encode(float* from, byte* to) => Vector256.Store(Vector256.Load(from), (float*)to);
}

/// <summary>The upper half of float32, rounded to nearest even.</summary>
public readonly unsafe struct BFloat16 : IWritableFormat, IPlainFormat
{
    public static string Name => "bf16";
    public static int Block => 8;
    public static int BlockBytes => 16;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Plain<BFloat16>(weights, n, k, x, m, y);
    public static bool Direct(int dim) => dim % 16 == 0;
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => PlainRows<BFloat16>.Dots(rows, dim, x, count, to, step);
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => PlainRows<BFloat16>.Sweep(rows, dim, p, step, to, count);
    public static float Root => 1;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<ushort> Watch(byte* p, Vector256<ushort> noted) => noted;
    public static bool Noted(Vector256<ushort> noted) => false;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Load(byte* p) => (Formats.Words(p) << 16).AsSingle();
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Vector256.Store(Load(from), to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Load(from), Vector256.Load(x), sum);
    public static void Encode(float* from, byte* to)
    {
        for (int i = 0; i < 8; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(from[i]);
            ((ushort*)to)[i] = (ushort)(bits + 0x7fff + (bits >> 16 & 1) >> 16);
        }
    }
}

/// <summary>IEEE float16; what is too large for it becomes the largest, 65,504.</summary>
public readonly unsafe struct Float16 : IWritableFormat, IPlainFormat
{
    public static string Name => "f16";
    public static int Block => 8;
    public static int BlockBytes => 16;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Plain<Float16>(weights, n, k, x, m, y);
    public static bool Direct(int dim) => dim % 16 == 0;
    public static void Dots(RowRuns rows, int dim, float* x, int count, float* to, nint step) => PlainRows<Float16>.Dots(rows, dim, x, count, to, step);
    public static void Sweep(RowRuns rows, int dim, float* p, nint step, float* to, int count) => PlainRows<Float16>.Sweep(rows, dim, p, step, to, count);
    /// <summary>2^56: read as a float's, a half's exponent is 112 too small.</summary>
    public static float Root => 7.2057594037927936e16f;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(byte* p) => (Formats.Words(p) << 13 & Vector256.Create(unchecked((int)0x8fffe000))).AsSingle();
    // Twice a half without its sign is largest where its exponent is.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Watch(byte* p, Vector256<ushort> noted) { var h = Vector256.Load((ushort*)p); return Vector256.Max(noted, h + h); }
    public static bool Noted(Vector256<ushort> noted) => Vector256.GreaterThanOrEqualAny(noted, Vector256.Create((ushort)0xf800));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Vector256.Store(Formats.Halves(from), to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Formats.Halves(from), Vector256.Load(x), sum);
    public static void Encode(float* from, byte* to) { for (int i = 0; i < 8; i++) ((Half*)to)[i] = (Half)Math.Clamp(from[i], -65504f, 65504f); }
}
