namespace Fovea.Kernels;

/// <summary>Solves symmetric positive definite systems by A = L Lᵀ, many small ones at once.</summary>
public static unsafe class Cholesky
{
    /// <summary>x_i = A_i⁻¹ b_i for a [count,n,n] (lower triangles are read) and b [count,n] → x [count,n], overwritten; x may be b. A pivot that is not positive gives NaN in its row.</summary>
    public static void Solve(int count, int n, ReadOnlySpan<Real> a, ReadOnlySpan<Real> b, Span<Real> x)
    {
        Guard.AtLeast(count, 0); Guard.AtLeast(n, 1); Guard.Holds(a, (long)count * n * n); Guard.Holds(b, (long)count * n); Guard.Holds(x, (long)count * n);
        fixed (Real* pa = a, pb = b, px = x) Threads.For(count, Math.Max(1, 65536 / (n * n * n + 1)), new Systems(n, pa, pb, px));
        Work.Add((long)count * ((long)n * n * n / 6 + (long)n * n));
    }

    readonly struct Systems(int n, Real* a, Real* b, Real* x) : IRows
    {
        public void Run(int from, int to)
        {
            using var scratch = Scratch.Open(); Real* l = scratch.Take((long)n * n);
            for (int s = from; s < to; s++)
            {
                Real* m = a + (long)s * n * n, y = x + (long)s * n, right = b + (long)s * n;
                for (int i = 0; i < n; i++)
                    for (int j = 0; j <= i; j++)
                    {
                        Real sum = m[i * n + j];
                        for (int c = 0; c < j; c++) sum -= l[i * n + c] * l[j * n + c];
                        l[i * n + j] = i == j ? Real.Sqrt(sum) : sum / l[j * n + j];
                    }
                for (int i = 0; i < n; i++) { Real sum = right[i]; for (int c = 0; c < i; c++) sum -= l[i * n + c] * y[c]; y[i] = sum / l[i * n + i]; }
                for (int i = n - 1; i >= 0; i--) { Real sum = y[i]; for (int c = i + 1; c < n; c++) sum -= l[c * n + i] * y[c]; y[i] = sum / l[i * n + i]; }
            }
        }
    }
}
