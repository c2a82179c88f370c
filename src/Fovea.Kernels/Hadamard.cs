using System.Numerics.Tensors;
namespace Fovea.Kernels;

/// <summary>The Walsh–Hadamard transform with orthonormal scaling: its own inverse and its own adjoint.</summary>
public static unsafe class Hadamard
{
    /// <summary>Each row of x [rows, n] becomes H x/√n with H_ij = (−1)^(number of ones in i ∧ j), in place; n is a power of two.</summary>
    public static void Transform(Span<Real> x, int rows, int n)
    {
        Guard.AtLeast(n, 1); Guard.Holds(x, (long)rows * n);
        if ((n & n - 1) != 0) throw new ArgumentException($"n is {n}, must be a power of two");
        fixed (Real* p = x) Threads.For(rows, WideRows.Grain(n), new HadamardRows(p, n));
    }

    readonly struct HadamardRows(Real* x, int n) : IRows
    {
        public void Run(int from, int to)
        {
            using var scratch = Scratch.Open(); Real* t = scratch.Take(n); Real scale = 1 / Real.Sqrt(n);
            for (long r = from; r < to; r++)
            {
                Real* row = x + r * n;
                for (int half = 1; half < n; half *= 2) for (int start = 0; start < n; start += 2 * half)
                    {
                        Real* a = row + start, b = a + half;
                        if (half < 8) { for (int i = 0; i < half; i++) (a[i], b[i]) = (a[i] + b[i], a[i] - b[i]); continue; }
                        Span<Real> u = new(a, half), v = new(b, half), old = new(t, half);
                        TensorPrimitives.Subtract(u, v, old); TensorPrimitives.Add(u, v, u); old.CopyTo(v);
                    }
                TensorPrimitives.Multiply(new ReadOnlySpan<Real>(row, n), scale, new Span<Real>(row, n));
            }
        }
    }
}
