using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
namespace Fovea.Kernels;

/// <summary>Products with weights that stay in their format.</summary>
public static unsafe class Quantised
{
    // Numbers of weights per task: enough to hide the hand-over, few enough for many tasks.
    const int Grain = 1 << 18;
    /// <summary>Rows of x up to which every one reads the weights itself; above, weights are decoded once for all rows.</summary>
    const int Few = 3;

    /// <summary>y [M,N] = x [M,K] · Wᵀ for W [N,K] in a format, row after row. y is overwritten. K must fill whole blocks. With apart, every row has the bits that it has alone, however many there are.</summary>
    public static void MatMul<TFormat>(ReadOnlySpan<byte> weights, int n, int k, ReadOnlySpan<float> x, int m, Span<float> y, bool apart = false) where TFormat : struct, INumberFormat
    {
        Guard.AtLeast(n, 1); Guard.AtLeast(k, 1); Guard.AtLeast(m, 0);
        Fills<TFormat>(k);
        long bytes = n * Formats.RowBytes<TFormat>(k);
        if (weights.Length < bytes) throw new ArgumentException($"{TFormat.Name}: {weights.Length} bytes, {n} rows of {k} weights need {bytes}");
        Guard.Holds(x, (long)m * k); Guard.Holds(y, (long)m * n);
        fixed (byte* w = weights) fixed (float* px = x, py = y) MatMul<TFormat>(w, n, k, px, m, py, apart);
    }

    /// <summary>As above without a limit on the size of W, which may be a mapped file.</summary>
    public static void MatMul<TFormat>(byte* weights, int n, int k, float* x, int m, float* y, bool apart = false) where TFormat : struct, INumberFormat
    {
        Guard.AtLeast(n, 1); Guard.AtLeast(k, 1); Guard.AtLeast(m, 0); Fills<TFormat>(k);
        if (m == 0) return;
        if (m > Few && !apart) { if (!TFormat.Many(weights, n, k, x, m, y)) Threads.For(n, 64, new Panels<TFormat>(weights, n, k, x, m, y)); return; }
        TFormat.Few(weights, n, k, x, m, y);
    }

    static void Fills<TFormat>(int k) where TFormat : struct, INumberFormat
    {
        if (k % TFormat.Block != 0) throw new ArgumentException($"{TFormat.Name}: rows of {k} weights do not fill blocks of {TFormat.Block}");
    }

    internal static void Floats<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) where TFormat : struct, IFloatFormat
    {
        Work.Add((long)m * n * k); new Span<float>(y, m * n).Clear();
        Threads.For(n, RowsPerTask(n, k), new Floated<TFormat>(weights, n, k, x, m, y));
    }

    /// <summary>As <see cref="Floats"/>, with rows as they are where their length allows.</summary>
    internal static void Plain<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) where TFormat : struct, IPlainFormat
    {
        if (!TFormat.Direct(k)) { Floats<TFormat>(weights, n, k, x, m, y); return; }
        Work.Add((long)m * n * k); new Span<float>(y, m * n).Clear();
        Threads.For(n, RowsPerTask(n, k), new DirectRows<TFormat>(weights, n, k, x, m, y));
    }

    readonly struct DirectRows<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) : IRows where TFormat : struct, INumberFormat
    {
        // More rows at once would be summed in another order.
        public void Run(int from, int to)
        {
            nint row = (nint)Formats.RowBytes<TFormat>(k);
            for (int r = 0; r < m; r++) TFormat.Dots(new(weights + from * row, to - from, row), k, x + (nint)r * k, 1, y + (nint)r * n + from, n);
        }
    }

    readonly struct Floated<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) : IRows where TFormat : struct, IFloatFormat
    {
        public void Run(int from, int to) { for (int r = 0; r < m; r++) FloatRows<TFormat>(weights + from * (nint)Formats.RowBytes<TFormat>(k), to - from, k, x + (nint)r * k, y + (nint)r * n + from); }
    }

    // Four rows at a time, a quarter of all apart: the sums of one hide the latency of the others', and memory is read in four long streams. Rows side by side would be many short ones, which come at half the speed.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void FloatRows<TFormat>(byte* weights, int n, int k, float* x, float* y) where TFormat : struct, IFloatFormat
    {
        int blocks = k / TFormat.Block, quarter = n / 4; nint bytes = (nint)blocks * TFormat.BlockBytes, apart = quarter * bytes;
        for (int r = 0; r < quarter; r++)
        {
            byte* a = weights + r * bytes, b = a + apart, c = b + apart, d = c + apart; Vector256<float> s = default, t = default, u = default, v = default; float* at = x;
            for (int i = 0; i < blocks; i++, a += TFormat.BlockBytes, b += TFormat.BlockBytes, c += TFormat.BlockBytes, d += TFormat.BlockBytes, at += TFormat.Block)
            {
                s = TFormat.Dot(a, at, s); t = TFormat.Dot(b, at, t); u = TFormat.Dot(c, at, u); v = TFormat.Dot(d, at, v);
            }
            y[r] += Vector256.Sum(s); y[r + quarter] += Vector256.Sum(t); y[r + 2 * quarter] += Vector256.Sum(u); y[r + 3 * quarter] += Vector256.Sum(v);
        }
        for (int r = 4 * quarter; r < n; r++)
        {
            byte* a = weights + r * bytes; Vector256<float> s = default; float* at = x;
            for (int i = 0; i < blocks; i++, a += TFormat.BlockBytes, at += TFormat.Block) s = TFormat.Dot(a, at, s);
            y[r] += Vector256.Sum(s);
        }
    }

    /// <summary>As <see cref="Floats"/> with x rounded to 16-bit integers.</summary>
    internal static void Integers<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) where TFormat : struct, IIntegerFormat
    {
        using var scratch = Scratch.Open();
        var rounded = (short*)scratch.Take((long)m * k / 2); var scales = (Rounded*)scratch.Take((long)m * k / 32 * 4);
        Formats.Round(x, m * k / 32, rounded, scales);
        Work.Add((long)m * n * k); new Span<float>(y, m * n).Clear();
        Threads.For(n, RowsPerTask(n, k), new RoundedRows<TFormat>(weights, n, k, rounded, scales, m, y));
    }

    readonly struct RoundedRows<TFormat>(byte* weights, int n, int k, short* x, Rounded* scales, int m, float* y) : IRows where TFormat : struct, IIntegerFormat
    {
        public void Run(int from, int to)
        {
            for (int r = 0; r < m; r++) IntegerRows<TFormat>(weights + from * (nint)Formats.RowBytes<TFormat>(k), to - from, k, x + (nint)r * k, scales + (nint)r * k / 32, y + (nint)r * n + from);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void IntegerRows<TFormat>(byte* weights, int n, int k, short* x, Rounded* scales, float* y) where TFormat : struct, IIntegerFormat
    {
        int blocks = k / TFormat.Block, parts = TFormat.Block / 32, quarter = n / 4; nint bytes = (nint)blocks * TFormat.BlockBytes, apart = quarter * bytes;
        for (int r = 0; r < quarter; r++)
        {
            byte* a = weights + r * bytes, b = a + apart, c = b + apart, d = c + apart; Vector256<float> s = default, t = default, u = default, v = default; short* at = x; Rounded* scale = scales;
            for (int i = 0; i < blocks; i++, a += TFormat.BlockBytes, b += TFormat.BlockBytes, c += TFormat.BlockBytes, d += TFormat.BlockBytes, at += TFormat.Block, scale += parts)
            {
                s = TFormat.Dot(a, at, scale, s); t = TFormat.Dot(b, at, scale, t); u = TFormat.Dot(c, at, scale, u); v = TFormat.Dot(d, at, scale, v);
            }
            y[r] += Vector256.Sum(s); y[r + quarter] += Vector256.Sum(t); y[r + 2 * quarter] += Vector256.Sum(u); y[r + 3 * quarter] += Vector256.Sum(v);
        }
        for (int r = 4 * quarter; r < n; r++)
        {
            byte* a = weights + r * bytes; Vector256<float> s = default; short* at = x; Rounded* scale = scales;
            for (int i = 0; i < blocks; i++, a += TFormat.BlockBytes, at += TFormat.Block, scale += parts) s = TFormat.Dot(a, at, scale, s);
            y[r] += Vector256.Sum(s);
        }
    }

    /// <summary>Many rows of x, rounded to 16-bit integers; see <see cref="IntegerPanels{TFormat}"/>. Always true.</summary>
    internal static bool Packed<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) where TFormat : struct, IPackedFormat
    {
        using var scratch = Scratch.Open();
        var rounded = (short*)scratch.Take((long)m * k / 2); var scales = (Rounded*)scratch.Take((long)m * k / 32 * 4);
        Threads.For(m, 16, new Rounding(x, k, rounded, scales));
        Threads.For(IntegerPanels<TFormat>.Groups(n), 4, new IntegerPanels<TFormat>(weights, n, k, rounded, scales, m, y));
        Work.Add((long)m * n * k);
        return true;
    }
    readonly struct Rounding(float* x, int k, short* to, Rounded* scales) : IRows
    {
        public void Run(int from, int end) => Formats.Round(x + (nint)from * k, (end - from) * (k / 32), to + (nint)from * k, scales + (nint)from * (k / 32));
    }

    // At least sixteen tasks, so that a thread that comes late takes fewer.
    static int RowsPerTask(int n, int k) => Math.Max(4, Math.Min(Grain / k, n / 16) / 4 * 4);

    // Many rows of x: some rows of weights are decoded, then multiplied with all of x.
    readonly struct Panels<TFormat>(byte* weights, int n, int k, float* x, int m, float* y) : IRows where TFormat : struct, INumberFormat
    {
        public void Run(int from, int to)
        {
            const int rows = 64; nint bytes = (nint)Formats.RowBytes<TFormat>(k);
            using var scratch = Scratch.Open();
            float* w = scratch.Take((long)rows * k), part = scratch.Take((long)rows * m);
            for (int r = from; r < to; r += rows)
            {
                int some = Math.Min(rows, to - r);
                for (int i = 0; i < some; i++) Formats.DecodeRow<TFormat>(weights + (r + i) * bytes, w + (nint)i * k, k);
                Gemm.NT(new(x, m * k), new(w, some * k), new(part, m * some), m, k, some);
                for (int i = 0; i < m; i++) new Span<float>(part + (nint)i * some, some).CopyTo(new(y + (nint)i * n + r, some));
            }
        }
    }
}
