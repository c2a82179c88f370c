using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// Stores past the caches, for results that are larger than what stays in them. An ordinary store first reads the line that it fills, a third of the traffic
/// of a pass that reads and writes once. What is stored is made in a buffer before, a row at a time; loops that read and store at an even pace gain nothing.
/// </summary>
static unsafe class Streams
{
    // About half of a last-level cache: what is smaller may still be there for whoever reads it next.
    const long Bytes = 16 << 20;

    public static bool Pays(long numbers) => Sse.IsSupported && numbers * sizeof(Real) >= Bytes;

    /// <summary>to = from, n numbers, past the caches.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Copy<TLanes, V>(Real* from, Real* to, int n) where TLanes : struct, ILanes<V> where V : struct
    {
        int w = TLanes.Count, i = 0;
        for (; i < n && ((nint)(to + i) & (w * sizeof(Real) - 1)) != 0; i++) to[i] = from[i];
        for (; i <= n - w; i += w) TLanes.Stream(to + i, TLanes.Load(from + i));
        for (; i < n; i++) to[i] = from[i];
    }

    /// <summary>Lets other threads see what this one has stored; at the end of a task.</summary>
    public static void End() { if (Sse.IsSupported) Sse.StoreFence(); }

    /// <summary>Asks for the bytes that are read a little later. Any address will do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ahead(Real* x, int bytes)
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch0(x);
        if (bytes > 64) Sse.Prefetch0((byte*)x + 64);
        if (bytes > 128) { Sse.Prefetch0((byte*)x + 128); Sse.Prefetch0((byte*)x + 192); }
    }
}
