using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>IEEE float32, in blocks of eight.</summary>
public readonly unsafe struct Float32 : IWritableFormat, IFloatFormat
{
    public static string Name => "f32";
    public static int Block => 8;
    public static int BlockBytes => 32;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<Float32>(weights, n, k, x, m, y);
    public static void Rows(byte* weights, int n, int k, float* x, float* y) => Quantised.FloatRows<Float32>(weights, n, k, x, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Vector256.Store(Vector256.Load((float*)from), to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Vector256.Load((float*)from), Vector256.Load(x), sum);
    public static void Encode(float* from, byte* to) => Vector256.Store(Vector256.Load(from), (float*)to);
}

/// <summary>The upper half of float32, rounded to nearest even.</summary>
public readonly unsafe struct BFloat16 : IWritableFormat, IFloatFormat
{
    public static string Name => "bf16";
    public static int Block => 8;
    public static int BlockBytes => 16;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<BFloat16>(weights, n, k, x, m, y);
    public static void Rows(byte* weights, int n, int k, float* x, float* y) => Quantised.FloatRows<BFloat16>(weights, n, k, x, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Load(byte* p) => ((Avx2.IsSupported ? Avx2.ConvertToVector256Int32((ushort*)p) : Vector256.Create(Vector128.WidenLower(Vector128.Load((ushort*)p)), Vector128.WidenUpper(Vector128.Load((ushort*)p))).AsInt32()) << 16).AsSingle();
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
public readonly unsafe struct Float16 : IWritableFormat, IFloatFormat
{
    public static string Name => "f16";
    public static int Block => 8;
    public static int BlockBytes => 16;
    public static void Few(byte* weights, int n, int k, float* x, int m, float* y) => Quantised.Floats<Float16>(weights, n, k, x, m, y);
    public static void Rows(byte* weights, int n, int k, float* x, float* y) => Quantised.FloatRows<Float16>(weights, n, k, x, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Decode(byte* from, float* to) => Vector256.Store(Formats.Halves(from), to);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Dot(byte* from, float* x, Vector256<float> sum) => Vector256.MultiplyAddEstimate(Formats.Halves(from), Vector256.Load(x), sum);
    public static void Encode(float* from, byte* to) { for (int i = 0; i < 8; i++) ((Half*)to)[i] = (Half)Math.Clamp(from[i], -65504f, 65504f); }
}
