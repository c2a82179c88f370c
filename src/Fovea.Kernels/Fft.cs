using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Discrete Fourier transform of complex rows, real and imaginary parts in separate spans, in place. Any length: powers of two by halving, others by Bluestein's convolution.</summary>
public static unsafe class Fft
{
    /// <summary>X_k = Σ_n x_n e^(−2πi kn/N) for each row of re and im [rows, n].</summary>
    public static void Forward(Span<Real> re, Span<Real> im, int rows, int n) => Run(re, im, rows, n, false);

    /// <summary>x_n = (1/N) Σ_k X_k e^(+2πi kn/N): the inverse of <see cref="Forward"/>.</summary>
    public static void Inverse(Span<Real> re, Span<Real> im, int rows, int n) => Run(re, im, rows, n, true);

    static void Run(Span<Real> re, Span<Real> im, int rows, int n, bool inverse)
    {
        Guard.AtLeast(n, 1); Guard.Holds(re, (long)rows * n); Guard.Holds(im, (long)rows * n);
        if (rows == 0) return;
        bool power = (n & n - 1) == 0; int m = power ? n : (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(2 * n - 1));
        using var scratch = Scratch.Open();
        Real* cos = scratch.Take(m), sin = scratch.Take(m), chirp = null, kernel = null;
        for (int half = 1; half < m; half *= 2) for (int k = 0; k < half; k++) { var (s, c) = Math.SinCos(-Math.PI * k / half); cos[half + k] = (Real)c; sin[half + k] = (Real)s; }
        if (!power)
        {
            // kn = (k² + n² − (k − n)²)/2: a convolution with the chirp e^(+πi j²/N), done by transforms of a power of two.
            chirp = scratch.Take(2L * n); kernel = scratch.Take(2L * m); new Span<Real>(kernel, 2 * m).Clear();
            for (int j = 0; j < n; j++)
            {
                var (s, c) = Math.SinCos(Math.PI * ((long)j * j % (2L * n)) / n);      // the remainder keeps the angle small and exact
                chirp[j] = (Real)c; chirp[n + j] = (Real)(-s);
                kernel[j] = kernel[j == 0 ? 0 : m - j] = (Real)c; kernel[m + j] = kernel[j == 0 ? m : 2 * m - j] = (Real)s;
            }
            Halving<Lanes1, Real>(kernel, kernel + m, cos, sin, m);
        }
        fixed (Real* pre = re, pim = im) WideRows.For(rows, WideRows.Grain(n * 8), new FftRows(pre, pim, n, m, cos, sin, chirp, kernel, inverse));
        int levels = System.Numerics.BitOperations.Log2((uint)m);
        Work.Add((long)rows * (power ? 2L : 4L) * m * levels);
    }

    readonly struct FftRows(Real* re, Real* im, int n, int m, Real* cos, Real* sin, Real* chirp, Real* kernel, bool inverse) : IWideRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            using var scratch = Scratch.Open(); Real* a = chirp is null ? null : scratch.Take(m), b = chirp is null ? null : scratch.Take(m);
            for (long r = from; r < to; r++)
            {
                // The inverse is the forward transform with the roles of the real and imaginary part exchanged.
                Real* x = (inverse ? im : re) + r * n, y = (inverse ? re : im) + r * n; Real scale = inverse ? (Real)1 / n : 1;
                if (chirp is null)
                {
                    Halving<TLanes, V>(x, y, cos, sin, n);
                    if (inverse) for (int i = 0; i < n; i++) { x[i] *= scale; y[i] *= scale; }
                    continue;
                }
                new Span<Real>(a, m).Clear(); new Span<Real>(b, m).Clear();
                for (int i = 0; i < n; i++) { a[i] = x[i] * chirp[i] - y[i] * chirp[n + i]; b[i] = x[i] * chirp[n + i] + y[i] * chirp[i]; }
                Halving<TLanes, V>(a, b, cos, sin, m);
                // The inverse transform again by exchanging the parts.
                for (int i = 0; i < m; i++) { Real u = a[i] * kernel[i] - b[i] * kernel[m + i], v = a[i] * kernel[m + i] + b[i] * kernel[i]; a[i] = u / m; b[i] = v / m; }
                Halving<TLanes, V>(b, a, cos, sin, m);
                for (int i = 0; i < n; i++) { x[i] = scale * (a[i] * chirp[i] - b[i] * chirp[n + i]); y[i] = scale * (a[i] * chirp[n + i] + b[i] * chirp[i]); }
            }
        }
    }

    /// <summary>In place for n a power of two; cos and sin hold e^(−πi k/half) at [half + k] for each half = 1, 2, 4 … below n.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Halving<TLanes, V>(Real* re, Real* im, Real* cos, Real* sin, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int i = 1, j = 0; i < n; i++)      // j is i with its bits reversed
        {
            int bit = n >> 1;
            for (; (j & bit) != 0; bit >>= 1) j ^= bit;
            j ^= bit;
            if (i < j) { (re[i], re[j]) = (re[j], re[i]); (im[i], im[j]) = (im[j], im[i]); }
        }
        for (int half = 1; half < n; half *= 2) for (int start = 0; start < n; start += 2 * half)
            if (half < TLanes.Count) Cross<Lanes1, Real>(re + start, im + start, cos + half, sin + half, half);
            else Cross<TLanes, V>(re + start, im + start, cos + half, sin + half, half);
    }

    /// <summary>(a, c) becomes (a + c t, a − c t) for the two halves of 2·half numbers and the turns t.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Cross<TLanes, V>(Real* re, Real* im, Real* cos, Real* sin, int half) where TLanes : struct, ILanes<V> where V : struct
    {
        for (int k = 0; k < half; k += TLanes.Count)
        {
            V p = TLanes.Load(cos + k), q = TLanes.Load(sin + k), c = TLanes.Load(re + half + k), d = TLanes.Load(im + half + k), a = TLanes.Load(re + k), b = TLanes.Load(im + k);
            V u = TLanes.Sub(TLanes.Mul(c, p), TLanes.Mul(d, q)), v = TLanes.Fma(c, q, TLanes.Mul(d, p));
            TLanes.Store(re + half + k, TLanes.Sub(a, u)); TLanes.Store(im + half + k, TLanes.Sub(b, v)); TLanes.Store(re + k, TLanes.Add(a, u)); TLanes.Store(im + k, TLanes.Add(b, v));
        }
    }
}
