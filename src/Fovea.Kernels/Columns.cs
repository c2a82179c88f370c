using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Sums over the rows of a matrix, in an order that depends on its shape alone.</summary>
internal static unsafe class Columns
{
    /// <summary>Rows that are summed in registers before they are added to a partial sum: short chains keep the rounding small.</summary>
    const int Run = 32;
    const int Narrow = 64, Wide = 8192, Strip = 2048;

    /// <summary>y[j] += Σ_r a[r,j], or Σ_r a[r,j]·c[r,j] if c is not empty, with rows as long as y.</summary>
    public static void Sum(ReadOnlySpan<Real> a, ReadOnlySpan<Real> c, Span<Real> y, Width width = Width.Widest)
    {
        if (a.IsEmpty) return;
        if (y.IsEmpty || a.Length % y.Length != 0) throw new ArgumentException($"y holds {y.Length} numbers, which does not divide the {a.Length} of a");
        // A narrow matrix is read as a wider one of which y is summed once more at the end; its last row may be short.
        int cols = y.Length < Narrow ? y.Length * Math.Min(a.Length / y.Length, (4 * Narrow + y.Length - 1) / y.Length) : y.Length, rows = (a.Length + cols - 1) / cols;
        using var scratch = Scratch.Open();
        fixed (Real* pa = a, pc = c, py = y)
        {
            if (cols >= Wide) { WideRows.For(cols, Strip, new StripRows(pa, pc, py, rows, cols), width); return; }
            int block = WideRows.Block(rows, cols), blocks = (rows + block - 1) / block;
            Real* partial = scratch.Take((long)blocks * cols);
            new Span<Real>(partial, blocks * cols).Clear();
            WideRows.For(rows, block, new BlockRows(pa, pc, partial, a.Length, cols, block), width);
            if (cols == y.Length) Fold(partial, blocks, cols, py);
            else
            {
                for (int b = 1; b < blocks; b++) for (int j = 0; j < cols; j++) partial[j] += partial[(long)b * cols + j];
                for (int j = 0; j < y.Length; j++)
                {
                    double sum = 0;
                    for (int i = j; i < cols; i += y.Length) sum += partial[i];
                    py[j] += (Real)sum;
                }
            }
        }
    }

    /// <summary>y[j] += Σ_b partial[b,j], in order of b.</summary>
    public static void Fold(Real* partial, int blocks, int cols, Real* y) => WideRows.For(cols, Strip, new StripRows(partial, null, y, blocks, cols));

    /// <summary>y[j] += Σ_r a[r,j] (·c[r,j]) for j in [from, to), rows in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Add<TLanes, V>(Real* a, Real* c, Real* y, int rows, long stride, int from, int to) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count;
        for (int r0 = 0; r0 < rows; r0 += Run)
        {
            int end = Math.Min(rows, r0 + Run), j = from;
            for (; j <= to - 4 * w; j += 4 * w)
            {
                V s = TLanes.Set(0), t = s, u = s, v = s; Real* p = a + r0 * stride + j;
                if (c is null) for (int r = r0; r < end; r++, p += stride)
                {
                    s = TLanes.Add(s, TLanes.Load(p)); t = TLanes.Add(t, TLanes.Load(p + w));
                    u = TLanes.Add(u, TLanes.Load(p + 2 * w)); v = TLanes.Add(v, TLanes.Load(p + 3 * w));
                }
                else
                {
                    Real* q = c + r0 * stride + j;
                    for (int r = r0; r < end; r++, p += stride, q += stride)
                    {
                        s = TLanes.Fma(TLanes.Load(p), TLanes.Load(q), s); t = TLanes.Fma(TLanes.Load(p + w), TLanes.Load(q + w), t);
                        u = TLanes.Fma(TLanes.Load(p + 2 * w), TLanes.Load(q + 2 * w), u); v = TLanes.Fma(TLanes.Load(p + 3 * w), TLanes.Load(q + 3 * w), v);
                    }
                }
                TLanes.Store(y + j, TLanes.Add(TLanes.Load(y + j), s)); TLanes.Store(y + j + w, TLanes.Add(TLanes.Load(y + j + w), t));
                TLanes.Store(y + j + 2 * w, TLanes.Add(TLanes.Load(y + j + 2 * w), u)); TLanes.Store(y + j + 3 * w, TLanes.Add(TLanes.Load(y + j + 3 * w), v));
            }
            for (; j < to; j++)
            {
                Real sum = 0;
                for (int r = r0; r < end; r++) sum += c is null ? a[r * stride + j] : a[r * stride + j] * c[r * stride + j];
                y[j] += sum;
            }
        }
    }

    readonly struct StripRows(Real* a, Real* c, Real* y, int rows, int cols) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct => Add<TLanes, V>(a, c, y, rows, cols, from, to);
    }

    readonly struct BlockRows(Real* a, Real* c, Real* partial, long length, int cols, int block) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            long start = (long)from * cols; Real* y = partial + (long)(from / block) * cols, factor = c is null ? null : c + start;
            int whole = (long)to * cols <= length ? to - from : to - from - 1;
            Add<TLanes, V>(a + start, factor, y, whole, cols, 0, cols);
            if (whole < to - from) { long at = (long)whole * cols; Add<TLanes, V>(a + start + at, factor is null ? null : factor + at, y, 1, cols, 0, (int)(length - start - at)); }
        }
    }
}
