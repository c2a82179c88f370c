using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>Copies of matrix parts in the order in which <see cref="Micro"/> reads them: panels of a few rows or columns, one step of k after the other, padded with zeros.</summary>
static unsafe class Pack
{
    // Rows that lie further apart than this are not read ahead by the machine.
    const int Ahead = 256;

    /// <summary>Panels of width columns, one after the other: dst[p·panel + k·width + i] = src[k·ld + p·width + i], with 0 behind the last of the columns.</summary>
    // All panels go on by one row at a time: memory is read as it lies, and what comes some rows later is asked for.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Straight<TLanes, V>(Real* src, nint ld, int columns, nint count, Real* dst, int width, nint panel) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, full = columns / width * width;
        for (nint left = count; left > 0; left--, src += ld, dst += width)
        {
            Real* from = src, to = dst, end = src + full;
            if (Sse.IsSupported && ld > Ahead) for (int i = 0; i < columns; i += 64 / sizeof(Real)) Sse.Prefetch0(src + 4 * ld + i);
            if (width == 2 * w) for (; from < end; from += width, to += panel) { TLanes.Store(to, TLanes.Load(from)); TLanes.Store(to + w, TLanes.Load(from + w)); }
            else if (typeof(Real) == typeof(float) && width == 6) for (; from < end; from += 6, to += panel) { Vector128.Store(Vector128.Load(from), to); *(double*)(to + 4) = *(double*)(from + 4); }     // the tile height at 256 bits
            else
                for (; from < end; from += width, to += panel)
                {
                    int i = 0;
                    for (; i + w <= width; i += w) TLanes.Store(to + i, TLanes.Load(from + i));
                    for (; i < width; i++) to[i] = from[i];
                }
            int rest = columns - full;
            if (rest == 0) continue;
            int x = 0;
            for (; x < rest; x++) to[x] = from[x];
            for (; x < width; x++) to[x] = 0;
        }
    }

    /// <summary>Rows of so many columns into panels two registers wide, each with room for capacity rows.</summary>
    public static void Panels<TLanes, V>(Real* src, nint ld, int columns, int rows, Real* dst, long capacity) where TLanes : struct, ILanes<V> where V : struct
    {
        int wide = 2 * TLanes.Count;
        for (int c = 0; c < columns; c += wide) Straight<TLanes, V>(src + c, ld, Math.Min(wide, columns - c), rows, dst + c * capacity, wide, 0);
    }

    /// <summary>dst[k·width + i] = src[i·ld + k] for i below rows, 0 from there to width.</summary>
    public static void Transposed(Real* src, nint ld, int rows, nint count, Real* dst, int width) => Transposed(src, ld, rows, count, dst, width, width);

    /// <summary>dst[k·width + i] = src[i·ld + k] for i below rows, 0 from there to padded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transposed(Real* src, nint ld, int rows, nint count, Real* dst, int width, int padded)
    {
        int i = 0;
        if (typeof(Real) == typeof(float))
        {
            if (Avx.IsSupported)
                for (; i + 8 <= rows; i += 8)
                {
                    nint k = 0;
                    for (; k + 8 <= count; k += 8) Square8((float*)(src + i * ld + k), ld, (float*)(dst + k * width + i), width);
                    Plain(src + i * ld, ld, 8, k, count, dst + i, width);
                }
            if (Sse.IsSupported || AdvSimd.Arm64.IsSupported)
                for (; i + 4 <= rows; i += 4)
                {
                    nint k = 0;
                    for (; k + 4 <= count; k += 4) Square4((float*)(src + i * ld + k), ld, (float*)(dst + k * width + i), width);
                    Plain(src + i * ld, ld, 4, k, count, dst + i, width);
                }
            if (Sse.IsSupported || AdvSimd.Arm64.IsSupported)
                for (; i + 2 <= rows; i += 2)
                {
                    nint k = 0;
                    for (; k + 4 <= count; k += 4) Pair((float*)(src + i * ld + k), ld, (float*)(dst + k * width + i), width);
                    Plain(src + i * ld, ld, 2, k, count, dst + i, width);
                }
        }
        Plain(src + i * ld, ld, rows - i, 0, count, dst + i, width);
        if (rows < padded) for (nint k = 0; k < count; k++) new Span<Real>(dst + k * width + rows, padded - rows).Clear();
    }

    static void Plain(Real* src, nint ld, int rows, nint from, nint to, Real* dst, int width)
    {
        for (int i = 0; i < rows; i++)
            for (nint k = from; k < to; k++) dst[k * width + i] = src[i * ld + k];
    }

    // Interleaving rows 0 and 2, 1 and 3, and then the results, puts one number of each row side by side.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Square4(float* s, nint ld, float* d, nint width)
    {
        Vector128<float> r0 = Vector128.Load(s), r1 = Vector128.Load(s + ld), r2 = Vector128.Load(s + 2 * ld), r3 = Vector128.Load(s + 3 * ld);
        Vector128<float> a = Low(r0, r2), b = High(r0, r2), c = Low(r1, r3), e = High(r1, r3);
        Vector128.Store(Low(a, c), d); Vector128.Store(High(a, c), d + width);
        Vector128.Store(Low(b, e), d + 2 * width); Vector128.Store(High(b, e), d + 3 * width);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Pair(float* s, nint ld, float* d, nint width)
    {
        Vector128<float> r0 = Vector128.Load(s), r1 = Vector128.Load(s + ld), a = Low(r0, r1), b = High(r0, r1);
        Vector64.Store(a.GetLower(), d); Vector64.Store(a.GetUpper(), d + width); Vector64.Store(b.GetLower(), d + 2 * width); Vector64.Store(b.GetUpper(), d + 3 * width);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> Low(Vector128<float> a, Vector128<float> b) => Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.ZipLow(a, b);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> High(Vector128<float> a, Vector128<float> b) => Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.ZipHigh(a, b);

    // As Square4 in both halves of a register, after the halves of rows i and i + 4 were put side by side.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Square8(float* s, nint ld, float* d, nint width)
    {
        Half8(s, ld, d, width);
        Half8(s + 4, ld, d + 4 * width, width);
    }
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Half8(float* s, nint ld, float* d, nint width)
    {
        float* t = s + 4 * ld;
        var r0 = Vector256.Create(Vector128.Load(s), Vector128.Load(t)); var r1 = Vector256.Create(Vector128.Load(s + ld), Vector128.Load(t + ld));
        var r2 = Vector256.Create(Vector128.Load(s + 2 * ld), Vector128.Load(t + 2 * ld)); var r3 = Vector256.Create(Vector128.Load(s + 3 * ld), Vector128.Load(t + 3 * ld));
        Vector256<float> a = Avx.UnpackLow(r0, r2), b = Avx.UnpackHigh(r0, r2), c = Avx.UnpackLow(r1, r3), e = Avx.UnpackHigh(r1, r3);
        Vector256.Store(Avx.UnpackLow(a, c), d); Vector256.Store(Avx.UnpackHigh(a, c), d + width);
        Vector256.Store(Avx.UnpackLow(b, e), d + 2 * width); Vector256.Store(Avx.UnpackHigh(b, e), d + 3 * width);
    }
}
