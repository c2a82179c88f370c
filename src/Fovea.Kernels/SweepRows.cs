using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>C[M,N] (+)= A·B for few rows: B is read once and in the order in which it lies, eight rows of it at a time. Sums of some rows of B and columns of C are made in L1 and then added in order.</summary>
readonly unsafe struct SweepRows(Product p)
{
    /// <summary>Rows whose sums go through the registers together.</summary>
    public const int Most = 8;
    const int Columns = 512, Tasks = 16, Least = 128, Depth = 8;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int across = (p.N + Columns - 1) / Columns, parts = Math.Clamp(p.K / Least, 1, Math.Max(1, Tasks / across)), steps = (p.K + parts - 1) / parts; steps = (steps + Depth - 1) / Depth * Depth; parts = (p.K + steps - 1) / steps;
        int width = Math.Min(Columns, (p.N + TLanes.Count - 1) / TLanes.Count * TLanes.Count);
        using var scratch = Scratch.Open(); Real* a = scratch.Take((long)(p.K + Depth) * Most), sums = scratch.Take((long)across * parts * Most * width);
        if (p.AStep == 1) Pack.Transposed(p.A, p.ARow, p.M, p.K, a, Most); else Pack.Straight<TLanes, V>(p.A, p.AStep, p.M, p.K, a, Most, 0);
        Threads.For(across * parts, 1, new Parts<TLanes, V>(p, a, sums, parts, steps, width));
        for (int x = 0; x < across; x++)
            for (int part = 0; part < parts; part++)
                for (int r = 0; r < p.M; r++)
                {
                    Real* from = sums + ((nint)x * parts + part) * Most * width + (nint)r * width, to = p.C + (nint)r * p.N + x * width; int n = Math.Min(width, p.N - x * width);
                    if (part == 0 && !p.Add) new ReadOnlySpan<Real>(from, n).CopyTo(new Span<Real>(to, n)); else Panel.AddScaled<TLanes, V>(from, to, 1, n);
                }
    }

    readonly struct Parts<TLanes, V>(Product p, Real* a, Real* sums, int parts, int steps, int width) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int x = from; x < to; x++)
            {
                int j = x / parts * width, n = Math.Min(width, p.N - j), first = x % parts * steps, last = Math.Min(p.K, first + steps), i = first; Real* c = sums + (nint)x * Most * width;
                new Span<Real>(c, Most * width).Clear();
                for (; i + Depth <= last; i += Depth) Sweep<TLanes, V>(a + (nint)i * Most, p.B + i * p.BStep + j, p.BStep, c, width, n);
                for (; i < last; i++) for (int r = 0; r < p.M; r++) RowProduct.Plus<TLanes, V>(c + (nint)r * width, a[(nint)i * Most + r], p.B + i * p.BStep + j, n);
            }
        }
    }

    // Eight rows of B for eight rows of C; columns behind the last full register one by one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Sweep<TLanes, V>(Real* a, Real* b, nint ld, Real* c, int ldc, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, j = 0;
        for (; j + w <= n; j += w, c += w)
        {
            Real* c4 = c + 4 * ldc, at = b + j, f = a;
            V s0 = TLanes.Load(c), s1 = TLanes.Load(c + ldc), s2 = TLanes.Load(c + 2 * ldc), s3 = TLanes.Load(c + 3 * ldc), s4 = TLanes.Load(c4), s5 = TLanes.Load(c4 + ldc), s6 = TLanes.Load(c4 + 2 * ldc), s7 = TLanes.Load(c4 + 3 * ldc);
            for (int u = 0; u < Depth; u++, at += ld, f += Most)
            {
                V x = TLanes.Load(at);
                s0 = TLanes.Fma(TLanes.Set(f[0]), x, s0); s1 = TLanes.Fma(TLanes.Set(f[1]), x, s1); s2 = TLanes.Fma(TLanes.Set(f[2]), x, s2); s3 = TLanes.Fma(TLanes.Set(f[3]), x, s3);
                s4 = TLanes.Fma(TLanes.Set(f[4]), x, s4); s5 = TLanes.Fma(TLanes.Set(f[5]), x, s5); s6 = TLanes.Fma(TLanes.Set(f[6]), x, s6); s7 = TLanes.Fma(TLanes.Set(f[7]), x, s7);
            }
            TLanes.Store(c, s0); TLanes.Store(c + ldc, s1); TLanes.Store(c + 2 * ldc, s2); TLanes.Store(c + 3 * ldc, s3); TLanes.Store(c4, s4); TLanes.Store(c4 + ldc, s5); TLanes.Store(c4 + 2 * ldc, s6); TLanes.Store(c4 + 3 * ldc, s7);
        }
        for (; j < n; j++, c++)
            for (int r = 0; r < Most; r++)
            {
                Real sum = c[r * ldc];
                for (int u = 0; u < Depth; u++) sum += a[u * Most + r] * b[u * ld + j];
                c[r * ldc] = sum;
            }
    }
}
