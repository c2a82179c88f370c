using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>Choosing, ordering and moving rows. Ties go to the smaller index.</summary>
public static unsafe class Select
{
    /// <summary>The k largest of each row of x [rows,cols], largest first, and where they stood; values and indices [rows,k]. −∞ is a number like any other; NaN throws.</summary>
    public static void TopK(ReadOnlySpan<Real> x, int rows, int cols, int k, Span<Real> values, Span<int> indices)
    {
        Guard.Holds(x, (long)rows * cols); Guard.AtLeast(k, 0); Guard.Holds(values, (long)rows * k); Guard.Holds(indices, (long)rows * k);
        if (k > cols) throw new ArgumentException($"k is {k}, must be at most cols = {cols}");
        fixed (Real* px = x, pv = values) fixed (int* pi = indices) Threads.For(rows, WideRows.Grain(cols), new TopRows(px, cols, k, pv, pi));
    }

    /// <summary>order [rows,cols] = the indices that sort each row of x, smallest first unless descending; NaN throws.</summary>
    public static void ArgSort(ReadOnlySpan<Real> x, int rows, int cols, Span<int> order, bool descending = false)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(order, (long)rows * cols);
        fixed (Real* px = x) fixed (int* po = order) Threads.For(rows, WideRows.Grain(cols * 8), new SortRows(px, cols, po, descending));
    }

    /// <summary>y[r,i] = Σ_{j ≤ i} x[r,j], or Σ_{j ≥ i} if reverse; summed in double. y may be x.</summary>
    public static void CumSum(ReadOnlySpan<Real> x, Span<Real> y, int rows, int cols, bool reverse = false)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)rows * cols);
        fixed (Real* px = x, py = y) Threads.For(rows, WideRows.Grain(cols), new CumSumRows(px, py, cols, reverse));
    }

    /// <summary>Row i of y [indices.Length, cols] = row indices[i] of x [rows, cols].</summary>
    public static void Gather(ReadOnlySpan<Real> x, int rows, int cols, ReadOnlySpan<int> indices, Span<Real> y)
    {
        Guard.Holds(x, (long)rows * cols); Guard.Holds(y, (long)indices.Length * cols); Inside(indices, rows);
        fixed (Real* px = x, py = y) fixed (int* pi = indices) Threads.For(indices.Length, WideRows.Grain(cols), new GatherRows(px, py, pi, cols));
    }

    /// <summary>Row indices[i] of dx [rows, cols] += row i of y, in order of i for each row of dx.</summary>
    public static void ScatterAdd(ReadOnlySpan<Real> y, ReadOnlySpan<int> indices, Span<Real> dx, int rows, int cols)
    {
        Guard.Holds(y, (long)indices.Length * cols); Guard.Holds(dx, (long)rows * cols); Inside(indices, rows);
        // Tasks are strips of columns, each of which walks over all indices: no two tasks add into the same number.
        fixed (Real* py = y, pdx = dx) fixed (int* pi = indices) WideRows.For(cols, 256, new ScatterRows(py, pdx, pi, indices.Length, cols));
        Work.Add((long)indices.Length * cols);
    }

    static void Inside(ReadOnlySpan<int> indices, int rows)
    {
        for (int i = 0; i < indices.Length; i++) if ((uint)indices[i] >= (uint)rows) throw new ArgumentException($"indices[{i}] is {indices[i]}, must be within [0, {rows})");
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void NoNaN(Real* x, int row, int cols)
    {
        for (int i = 0; i < cols; i++) if (Real.IsNaN(x[i])) throw new ArgumentException($"x[{row},{i}] is NaN, which has no order");
    }

    readonly struct TopRows(Real* x, int cols, int k, Real* values, int* indices) : IRows
    {
        // A heap of the k best so far with the worst on top: cheap when k is small, since most numbers lose against the top at once.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            for (int r = from; r < to; r++)
            {
                Real* row = x + (long)r * cols; int* heap = indices + (long)r * k;
                NoNaN(row, r, cols);
                if (k == 0) continue;
                for (int i = 0; i < k; i++) heap[i] = i;
                for (int i = k / 2 - 1; i >= 0; i--) Sink(row, heap, i, k);
                for (int i = k; i < cols; i++) if (row[i] > row[heap[0]]) { heap[0] = i; Sink(row, heap, 0, k); }
                for (int n = k - 1; n > 0; n--) { (heap[0], heap[n]) = (heap[n], heap[0]); Sink(row, heap, 0, n); }
                for (int i = 0; i < k; i++) values[(long)r * k + i] = row[heap[i]];
            }
        }
        static bool Worse(Real* row, int a, int b) => row[a] < row[b] || row[a] == row[b] && a > b;
        static void Sink(Real* row, int* heap, int i, int n)
        {
            for (int child; (child = 2 * i + 1) < n; i = child)
            {
                if (child + 1 < n && Worse(row, heap[child + 1], heap[child])) child++;
                if (!Worse(row, heap[child], heap[i])) return;
                (heap[i], heap[child]) = (heap[child], heap[i]);
            }
        }
    }

    readonly struct SortRows(Real* x, int cols, int* order, bool descending) : IRows
    {
        public void Run(int from, int to)
        {
            for (int r = from; r < to; r++)
            {
                Real* row = x + (long)r * cols; var o = new Span<int>(order + (long)r * cols, cols);
                NoNaN(row, r, cols);
                for (int i = 0; i < cols; i++) o[i] = i;
                o.Sort(new ByValue(row, descending));
            }
        }
    }

    readonly struct ByValue(Real* row, bool descending) : IComparer<int>
    {
        public int Compare(int a, int b)
        {
            Real u = row[a], v = row[b];
            return u == v ? a.CompareTo(b) : u < v != descending ? -1 : 1;
        }
    }

    readonly struct CumSumRows(Real* x, Real* y, int cols, bool reverse) : IRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            for (long r = from; r < to; r++)
            {
                double sum = 0; Real* u = x + r * cols, v = y + r * cols;
                if (reverse) for (int i = cols - 1; i >= 0; i--) { sum += u[i]; v[i] = (Real)sum; }
                else for (int i = 0; i < cols; i++) { sum += u[i]; v[i] = (Real)sum; }
            }
        }
    }

    readonly struct GatherRows(Real* x, Real* y, int* indices, int cols) : IRows
    {
        public void Run(int from, int to)
        {
            for (long i = from; i < to; i++) new ReadOnlySpan<Real>(x + (long)indices[i] * cols, cols).CopyTo(new Span<Real>(y + i * cols, cols));
        }
    }

    readonly struct ScatterRows(Real* y, Real* dx, int* indices, int count, int cols) : IWideRows
    {
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            for (long i = 0; i < count; i++) Panel.AddScaled<TLanes, V>(y + i * cols + from, dx + (long)indices[i] * cols + from, 1, to - from);
        }
    }
}
