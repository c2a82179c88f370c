using System.Runtime.InteropServices;
namespace Fovea.Bench;

/// <summary>Numbers to work on: the same ones every time, aligned to cache lines so that runs can be compared.</summary>
static unsafe class Data
{
    public static Real* Aligned(long n)
    {
        var x = (Real*)NativeMemory.AlignedAlloc((nuint)(n * sizeof(Real)), 64);
        Fill(x, n);
        return x;
    }
    public static Real[] Array(long n)
    {
        var x = new Real[n];
        fixed (Real* p = x) Fill(p, n);
        return x;
    }
    static void Fill(Real* x, long n)
    {
        uint s = 1;
        for (long i = 0; i < n; i++) { s = s * 1664525 + 1013904223; x[i] = (int)s / (Real)2147483648; }
    }
}
