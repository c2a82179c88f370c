using System.Numerics;
namespace Fovea.Kernels;

/// <summary>A scalar function together with its vector form; the JIT inlines both into one loop.</summary>
public interface IUnary
{
    static abstract Real Of(Real x);
    static abstract Vector<Real> Of(Vector<Real> x);
}

/// <summary>Element-wise loops that System.Numerics.Tensors does not already have.</summary>
public static class Map
{
    /// <summary>destination[i] = op(x[i]). Spans may be the same memory, not partly overlapping.</summary>
    public static void Apply<TOp>(ReadOnlySpan<Real> x, Span<Real> destination) where TOp : struct, IUnary
    {
        Guard.Fits(x, destination);
        int i = 0, w = Vector<Real>.Count;
        for (; i <= x.Length - w; i += w) TOp.Of(new Vector<Real>(x.Slice(i, w))).CopyTo(destination.Slice(i, w));
        for (; i < x.Length; i++) destination[i] = TOp.Of(x[i]);
    }
}
