using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>Products of matrices of 8-bit integers, summed as 32-bit integers, and numbers to and from such integers with one scale for all: x ≈ scale·q, q from −127 to 127.</summary>
public static unsafe class IntegerGemm
{
    /// <summary>c [M,N] = a [M,K] · bᵀ for b [N,K]; exact for K up to 133,000. c is overwritten.</summary>
    public static void NT(ReadOnlySpan<sbyte> a, ReadOnlySpan<sbyte> b, Span<int> c, int m, int k, int n)
    {
        Guard.AtLeast(m, 0); Guard.AtLeast(k, 1); Guard.AtLeast(n, 1);
        if (a.Length < (long)m * k || b.Length < (long)n * k || c.Length < (long)m * n) throw new ArgumentException($"a {a.Length}, b {b.Length}, c {c.Length} numbers, expected [{m}, {k}], [{n}, {k}] and [{m}, {n}]");
        fixed (sbyte* pa = a, pb = b) fixed (int* pc = c) Threads.For(n, Math.Max(4, (1 << 16) / (k * Math.Max(1, m)) & ~3), new Columns(pa, pb, pc, m, k, n));
        Work.Add((long)m * n * k);
    }

    // Rows of b [from, to), for all rows of a: b is read once, four rows at a time.
    readonly struct Columns(sbyte* a, sbyte* b, int* c, int m, int k, int n) : IRows
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            for (int j = from; j < to; j += 4)
            {
                int some = Math.Min(4, to - j);
                sbyte* b0 = b + (nint)j * k, b1 = b0 + (some > 1 ? k : 0), b2 = b0 + (some > 2 ? 2 * (nint)k : 0), b3 = b0 + (some > 3 ? 3 * (nint)k : 0);
                for (int i = 0; i < m; i++)
                {
                    sbyte* x = a + (nint)i * k; Vector256<int> s = default, t = s, u = s, v = s; int at = 0;
                    for (; at + 16 <= k; at += 16)
                    {
                        var y = Wide(x + at);
                        s += Neighbours.Sums(Wide(b0 + at), y); t += Neighbours.Sums(Wide(b1 + at), y); u += Neighbours.Sums(Wide(b2 + at), y); v += Neighbours.Sums(Wide(b3 + at), y);
                    }
                    int p = Vector256.Sum(s), q = Vector256.Sum(t), r = Vector256.Sum(u), w = Vector256.Sum(v);
                    for (; at < k; at++) { p += x[at] * b0[at]; q += x[at] * b1[at]; r += x[at] * b2[at]; w += x[at] * b3[at]; }
                    int* to4 = c + (nint)i * n + j;
                    to4[0] = p; if (some > 1) to4[1] = q; if (some > 2) to4[2] = r; if (some > 3) to4[3] = w;
                }
            }
        }
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<short> Wide(sbyte* x) { if (Avx2.IsSupported) return Avx2.ConvertToVector256Int16(x); var v = Vector128.Load(x); return Vector256.Create(Vector128.WidenLower(v), Vector128.WidenUpper(v)); }
    }

    /// <summary>q = x/scale, rounded to the nearest and cut to ±127; q is overwritten. Throws if scale is not positive or a number is none.</summary>
    public static void Round(ReadOnlySpan<Real> x, Real scale, Span<sbyte> q)
    {
        if (!(scale > 0)) throw new ArgumentOutOfRangeException(nameof(scale), scale, "must be positive");
        if (q.Length < x.Length) throw new ArgumentException($"q holds {q.Length} numbers, needs {x.Length}");
        Real inverse = 1 / scale;
        bool none = false;
        for (int i = 0; i < x.Length; i++) { Real y = x[i] * inverse; none |= Real.IsNaN(y); q[i] = (sbyte)(int)Real.Round(Math.Max(-127, Math.Min(127, y))); }
        if (none) throw new ArithmeticException("a number that is to be rounded to 8 bits is not a number");
    }
}
