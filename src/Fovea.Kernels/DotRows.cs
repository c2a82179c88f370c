using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>C[M,N] (+)= A·Bᵀ for few rows: B is read once, as it lies, four rows of A and three of B at a time.</summary>
readonly unsafe struct DotRows(Product p)
{
    /// <summary>With more rows, turning B is cheaper than sums across registers.</summary>
    public const int Most = 8;
    // A piece of A of eight rows stays in L1.
    const int Piece = 512, High = 4, Across = 3;
    const long Grain = 1 << 16;

    public void Run<TLanes, V>() where TLanes : struct, ILanes<V> where V : struct
    {
        int grain = (int)Math.Clamp(Grain / p.K, Across, 48) / Across * Across;
        Threads.For(p.N, p.Size < Product.Alone ? p.N : grain, new Columns<TLanes, V>(p));
    }

    readonly struct Columns<TLanes, V>(Product p) : IRows where TLanes : struct, ILanes<V> where V : struct
    {
        public void Run(int from, int to)
        {
            for (int at = 0; at < p.K; at += Piece)
                for (int j = from; j < to; j += Across)
                    for (int i = 0; i < p.M; i += High) Tile<TLanes, V>(p, i, j, Math.Min(Across, to - j), at, Math.Min(Piece, p.K - at));
        }
    }

    // Rows that are not there are computed as copies of the last one, and dropped: the time goes into reading.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Tile<TLanes, V>(in Product p, int i, int j, int columns, int at, int count) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, rows = Math.Min(High, p.M - i), x = 0;
        Real* a0 = p.A + i * p.ARow + at, a1 = rows > 1 ? a0 + p.ARow : a0, a2 = rows > 2 ? a1 + p.ARow : a1, a3 = rows > 3 ? a2 + p.ARow : a2;
        Real* b0 = p.B + j * p.BColumn + at, b1 = columns > 1 ? b0 + p.BColumn : b0, b2 = columns > 2 ? b1 + p.BColumn : b1;
        V s00 = TLanes.Set(0), s01 = s00, s02 = s00, s10 = s00, s11 = s00, s12 = s00, s20 = s00, s21 = s00, s22 = s00, s30 = s00, s31 = s00, s32 = s00;
        for (; x + w <= count; x += w)
        {
            V u = TLanes.Load(b0 + x), v = TLanes.Load(b1 + x), y = TLanes.Load(b2 + x), f = TLanes.Load(a0 + x);
            s00 = TLanes.Fma(f, u, s00); s01 = TLanes.Fma(f, v, s01); s02 = TLanes.Fma(f, y, s02); f = TLanes.Load(a1 + x);
            s10 = TLanes.Fma(f, u, s10); s11 = TLanes.Fma(f, v, s11); s12 = TLanes.Fma(f, y, s12); f = TLanes.Load(a2 + x);
            s20 = TLanes.Fma(f, u, s20); s21 = TLanes.Fma(f, v, s21); s22 = TLanes.Fma(f, y, s22); f = TLanes.Load(a3 + x);
            s30 = TLanes.Fma(f, u, s30); s31 = TLanes.Fma(f, v, s31); s32 = TLanes.Fma(f, y, s32);
        }
        Real* sums = stackalloc Real[High * Across] { TLanes.Sum(s00), TLanes.Sum(s01), TLanes.Sum(s02), TLanes.Sum(s10), TLanes.Sum(s11), TLanes.Sum(s12), TLanes.Sum(s20), TLanes.Sum(s21), TLanes.Sum(s22), TLanes.Sum(s30), TLanes.Sum(s31), TLanes.Sum(s32) };
        bool plus = p.Add || at > 0;
        for (int r = 0; r < rows; r++)
        {
            Real* a = a0 + r * p.ARow, c = p.C + (nint)(i + r) * p.N + j;
            for (int t = 0; t < columns; t++)
            {
                Real sum = sums[r * Across + t]; Real* b = b0 + t * p.BColumn;
                for (int y = x; y < count; y++) sum += a[y] * b[y];
                c[t] = plus ? c[t] + sum : sum;
            }
        }
    }
}
