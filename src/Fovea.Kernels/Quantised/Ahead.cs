using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>
/// Asks for memory before it is read, for loops that compute so much that the processor does not look far enough ahead by itself. Where memory is only read it is faster left alone.
/// Any address may be asked for. Nothing happens where there is no such instruction.
/// </summary>
static unsafe class Ahead
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(byte* p) { if (Sse.IsSupported) Sse.Prefetch1(p); }

    /// <summary>The lines of a row of some bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(byte* p, nint bytes)
    {
        Line(p); Line(p + 64);
        for (nint i = 128; i < bytes; i += 64) Line(p + i);
    }
}
