using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
namespace Fovea.Kernels;

/// <summary>Sums of neighbouring products of small integers.</summary>
static class Neighbours
{
    /// <summary>Σ of pairs of products of 16-bit integers: eight 32-bit sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Sums(Vector256<short> a, Vector256<short> b)
    {
        if (Avx2.IsSupported) return Avx2.MultiplyAddAdjacent(a, b);
        // Neighbours, as the instruction has them: what follows may count on the lane.
        Vector256<int> x = a.AsInt32(), y = b.AsInt32();
        return (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
    }

    /// <summary>Σ of pairs of products of unsigned and signed bytes: sixteen 16-bit sums, which must not be larger.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Sums(Vector256<byte> a, Vector256<sbyte> b)
    {
        if (Avx2.IsSupported) return Avx2.MultiplyAddAdjacent(a, b);
        Vector256<short> x = a.AsInt16(), y = b.AsInt16();
        return (x & Vector256.Create((short)255)) * (y << 8 >> 8) + (x >>> 8) * (y >> 8);
    }
}
