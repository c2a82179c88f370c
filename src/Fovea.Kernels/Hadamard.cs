using System.Runtime.CompilerServices;
namespace Fovea.Kernels;

/// <summary>The Walsh–Hadamard transform with orthonormal scaling: its own inverse and its own adjoint.</summary>
public static unsafe class Hadamard
{
    /// <summary>Each row of x [rows, n] becomes H x/√n with H_ij = (−1)^(number of ones in i ∧ j), in place; n is a power of two.</summary>
    public static void Transform(Span<Real> x, int rows, int n)
    {
        Guard.AtLeast(n, 1); Guard.Holds(x, (long)rows * n);
        if ((n & n - 1) != 0) throw new ArgumentException($"n is {n}, must be a power of two");
        fixed (Real* p = x) WideRows.For(rows, WideRows.Grain(n), new HadamardRows(p, n));
    }

    readonly struct HadamardRows(Real* x, int n) : IWideRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TLanes, V>(int from, int to) where TLanes : struct, ILanes<V> where V : struct
        {
            int w = TLanes.Count; Real scale = 1 / Real.Sqrt(n);
            for (long r = from; r < to; r++)
            {
                Real* row = x + r * n;
                for (int half = 1; half < n; half *= 2) for (int start = 0; start < n; start += 2 * half)
                {
                    Real* a = row + start, b = a + half;
                    if (half < w) { for (int i = 0; i < half; i++) { Real u = a[i], v = b[i]; a[i] = u + v; b[i] = u - v; } continue; }
                    for (int i = 0; i < half; i += w) { V u = TLanes.Load(a + i), v = TLanes.Load(b + i); TLanes.Store(a + i, TLanes.Add(u, v)); TLanes.Store(b + i, TLanes.Sub(u, v)); }
                }
                Panel.Scale<TLanes, V>(row, row, scale, n);
            }
        }
    }
}
